"""Plants the mistakes of mutants*.toml one by one in a copy of the package: the tests named there must catch each.

    scripts/torture --mutants [NAME ...]

The danger: a mutant that is never planted, or a test that fails anyway. So a text that is not there exactly once is an
error, all named tests must pass on the unchanged copy, and it is checked that the copy is what they test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import leash
from tests.torture.table import say

ROOT = Path(__file__).parents[2]
LISTS = sorted(Path(__file__).parent.glob("mutants*.toml"))
COPIED = (
    "oicp_adapter",
    "tests",
    "config",
    "docs",
    "scripts",
    "pyproject.toml",
    "README.md",
    "Dockerfile",
    "CHANGELOG.md",
)
PATIENCE = 600.0
"""Seconds for one test; one that hangs has not caught anything."""
MISSED = "NOT CAUGHT BY "


@dataclass(frozen=True)
class Edit:
    """One text, and what replaces it."""

    file: Path
    text: str
    becomes: str

    def plant(self, path: Path) -> None:
        """Raises ValueError if the text is not there exactly once."""
        path.write_text(self.planted(path.read_text(encoding="utf-8")), encoding="utf-8")

    def planted(self, before: str) -> str:
        """The file with the mistake in it. Raises ValueError if the text is not there exactly once."""
        found = before.count(self.text)
        if found != 1:
            raise ValueError(f"the text is {found} times in {self.file}, not once:\n{self.text}")
        return before.replace(self.text, self.becomes)


@dataclass(frozen=True)
class Mutant:
    """A mistake, and the tests that catch it."""

    name: str
    breaks: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]


def mutants() -> list[Mutant]:
    """The list, as written."""

    def edit(table: Mapping[str, Any]) -> Edit:
        return Edit(Path(table["file"]), table["text"], table["becomes"])

    return [
        Mutant(name, table["breaks"], tuple(map(edit, table["edits"])), tuple(table["caught_by"]))
        for path in LISTS
        for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]


class Copy:
    """The package and its tests in another directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in COPIED:
            original = ROOT / name
            if original.is_dir():
                shutil.copytree(original, place / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(original, place / name)
        imported = self._python("-c", "import oicp_adapter; print(oicp_adapter.__file__)").stdout.strip()
        assert Path(imported).is_relative_to(place), f"not the copy would be tested: {imported}"

    @contextmanager
    def with_mutant(self, mutant: Mutant) -> Iterator[None]:
        """The copy with the mistake in it, until the block ends."""
        files = [self.place / "oicp_adapter" / edit.file for edit in mutant.edits]
        healthy = {path: path.read_bytes() for path in files}
        try:
            for path, edit in zip(files, mutant.edits, strict=True):
                edit.plant(path)
            yield
        finally:
            for path, content in healthy.items():
                path.write_bytes(content)

    def passes(self, test: str) -> tuple[bool, str]:
        """Whether a test passes, and the last thing pytest said if not. Raises ValueError if it did not run."""
        done = self._python("-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=short", test)
        if done.returncode not in (0, 1):
            raise ValueError(f"{test} did not run: {(done.stdout + done.stderr)[-2000:]}")
        return done.returncode == 0, _said(done.stdout)

    def _python(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        environment = kept | {
            "PYTHONPATH": str(self.place),
            "PYTHONDONTWRITEBYTECODE": "1",  # an edit within a second would go unnoticed
            "OICP_NO_SHRINK": "1",
        }
        command = [sys.executable, *words]
        pipes = {"stdout": leash.PIPE, "stderr": leash.PIPE}
        with leash.begun(command, cwd=self.place, env=environment, **pipes) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())


def _said(output: str) -> str:
    """What the failing test found, in one line."""
    errors = re.findall(r"^(?:  \| )?E\s+(\S.*)$", output, re.MULTILINE)
    return errors[0].removeprefix("AssertionError: ")[:100] if errors else ""


def _pass_unchanged(copy: Copy, tests: Iterable[str]) -> None:
    for test in tests:
        passed, said = copy.passes(test)
        assert passed, f"{test} fails without any mutant: {said}"
        say(f"passes unchanged: {test}")


def main(names: Sequence[str]) -> int:
    """Plant the named ones, or all; 0 if all named tests catch them."""
    listed = mutants()
    unknown = set(names) - {mutant.name for mutant in listed}
    if unknown:
        say(
            f"no such mutant: {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in listed)}"
        )
        return 2
    chosen = [mutant for mutant in listed if not names or mutant.name in names]
    verdicts: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="oicp-mutants-") as place:
        copy = Copy(Path(place))
        for mutant in chosen:  # all can be planted, before the first is tested
            with copy.with_mutant(mutant):
                pass
        _pass_unchanged(copy, sorted({test for mutant in chosen for test in mutant.caught_by}))
        for mutant in chosen:
            say(f"{mutant.name}: {mutant.breaks}")
            verdicts[mutant.name] = [_verdict(copy, mutant, test) for test in mutant.caught_by]
    missed = sum(verdict.startswith(MISSED) for found in verdicts.values() for verdict in found)
    say("\nmutant → caught by")
    for name, found in verdicts.items():
        say(f"  {name.ljust(max(map(len, verdicts)))}  {', '.join(found)}")
    say(f"{len(chosen)} mutants, {missed} times not caught")
    return 1 if missed else 0


def _verdict(copy: Copy, mutant: Mutant, test: str) -> str:
    with copy.with_mutant(mutant):
        passed, said = copy.passes(test)
    short = test.rpartition("/")[2]
    say(f"    {MISSED + short if passed else f'{short}: {said}'}")
    return MISSED + short if passed else short


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
