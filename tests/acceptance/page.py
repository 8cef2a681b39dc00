"""A page of documentation as a session: its commands run in order, and print what the page shows.

The danger: a page that was true once. What differs from one run to the next (times, ids, places) is not compared.
On the line before a code block of the page a comment may say what it is:

    <!-- file: NAME -->      its content is written to the file
    <!-- append: NAME -->    its content is added to the file
    <!-- session -->         `$ command` lines are run on a terminal, what follows each is what it prints
    <!-- stays -->           as session, with one command that goes on, and what it prints first
    <!-- soon -->            as session, repeated until it is so
    <!-- replace: A → B -->  every file of the directory: A becomes B, once (what a person would do in an editor)

`python -m tests.acceptance.page docs/NAME.md` writes what is printed now into the page; then read the difference.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.terminal import PATIENCE, Terminal
from tests.patience import Patience

HURRY = {"OICP_ADAPTER__OPERATORS__ABC__SCHEDULE__DELTA": "1s"}
"""A reader waits ten seconds, a test one."""
PORT = 9400
"""The simulator's port on the page; a test takes a free one."""

_BLOCK = re.compile(
    r"<!-- (?P<mark>\w+)(?:: (?P<what>[^\n]+?))? -->\n+(?P<fence>```)\w*\n(?P<text>.*?)```\n", re.DOTALL
)
_EDIT = re.compile(r"<!-- replace: (?P<before>[^\n]+?) → (?P<after>[^\n]+?) -->\n")
_CHANGING = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)"), "TIME"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"cycle_id=\w+"), "cycle_id=ID"),
    (re.compile(r"\(process \d+ on [^\s,]+"), "(process N on HOST"),
    (re.compile(r"(duration|slowest|lag)=[\d.]+"), r"\1=N"),
    (re.compile(r"\bin \d+\.\d s\b"), "in N s"),
]


@dataclass(frozen=True)
class Step:
    """One thing the page does."""

    mark: str
    what: str
    text: str
    at: int
    """Where its text begins in the page."""


def steps(page: str) -> Iterator[Step]:
    """The page's steps, in order."""
    found = [*_BLOCK.finditer(page), *_EDIT.finditer(page)]
    for match in sorted(found, key=re.Match.start):
        if match.re is _EDIT:
            yield Step("replace", match["before"], match["after"], match.start("after"))
        else:
            yield Step(match["mark"], match["what"] or "", match["text"], match.start("text"))


def alike(text: str) -> list[str]:
    """The lines without what differs from run to run."""
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


class Session:
    """Plays a page in a directory; `oicp-adapter` is the program of this repository."""

    def __init__(self, place: Path, **environment: str) -> None:
        self._place = place
        self._port = PORT
        self._running: list[Terminal] = []
        tools = place / ".tools"
        tools.mkdir()
        tool = tools / "oicp-adapter"
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m oicp_adapter "$@"\n')
        tool.chmod(0o755)
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        self._environment = kept | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONWARNINGS": "error",
            "TERM": "dumb",
            **environment,
        }

    def play(self, step: Step) -> str:
        """Do it; returns the block's text as it should be."""
        file = self._place / step.what
        if step.mark == "file":
            file.write_text(step.text, encoding="utf-8")
        elif step.mark == "append":
            file.write_text(file.read_text(encoding="utf-8") + "\n" + step.text, encoding="utf-8")
        elif step.mark == "replace":
            self._replace(step.what, step.text)
        elif step.mark == "stays":
            return self._stays(step.text)
        else:
            assert step.mark in ("session", "soon"), step.mark
            shown = self._session(step.text)
            if step.mark == "soon":
                with Patience(PATIENCE) as patience:
                    while alike(shown) != alike(step.text) and not patience.over:
                        shown = self._session(step.text)
            return shown
        return step.text

    def close(self) -> list[tuple[int, str]]:
        """Ctrl-C for what still runs, the youngest first; exit code and what it had printed."""
        try:
            return [(terminal.ends(signal.SIGINT), terminal.shown) for terminal in reversed(self._running)]
        finally:
            for terminal in self._running:
                terminal.close()

    @property
    def simulator(self) -> str:
        """Where the page's simulator answers."""
        return f"http://127.0.0.1:{self._port}"

    def _session(self, text: str) -> str:
        lines = []
        for command in _commands(text):
            with self._open(command) as terminal:
                assert terminal.ends(None) == 0, f"{command}\n{terminal.shown}"
            lines += ["$ " + command, *_trimmed(self._as_on_the_page(terminal.shown))]
        return "\n".join(lines) + "\n"

    def _stays(self, text: str) -> str:
        (command,) = _commands(text)
        simulates = command.startswith("oicp-adapter simulate")
        terminal = self._open(command + " --port 0" if simulates else command)
        self._running.append(terminal)
        wanted = len(text.splitlines()) - 1
        shown = terminal.waits_for(wanted)
        if simulates and (found := re.search(r"127\.0\.0\.1:(\d+)", shown)):
            self._port = int(found[1])
        return "\n".join(["$ " + command, *_trimmed(self._as_on_the_page(shown))[:wanted]]) + "\n"

    def _replace(self, before: str, after: str) -> None:
        files = [
            file for file in self._place.rglob("*") if file.is_file() and file.suffix in (".csv", ".toml")
        ]
        (file,) = [file for file in files if before in file.read_text(encoding="utf-8")]
        beside = file.with_name(file.name + ".new")
        beside.write_text(file.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
        beside.rename(file)

    def _open(self, command: str) -> Terminal:
        return Terminal(command.replace(f":{PORT}", f":{self._port}"), cwd=self._place, env=self._environment)

    def _as_on_the_page(self, text: str) -> str:
        assert "Traceback" not in text, text
        return text.replace(f":{self._port}", f":{PORT}").replace(str(self._place), "/home/you/charging")


def _commands(text: str) -> list[str]:
    """What follows `$ `, continued over lines that end with a backslash."""
    return re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)$", text, flags=re.MULTILINE)


def _trimmed(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n").splitlines()


def main() -> None:
    """Write what is printed now into the page."""
    path = Path(sys.argv[1])
    page = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        session = Session(Path(place), **HURRY)
        fresh, end = "", 0
        try:
            for step in steps(page):
                shown = session.play(step)
                fresh += page[end : step.at] + (shown if alike(shown) != alike(step.text) else step.text)
                end = step.at + len(step.text)
        finally:
            session.close()
    path.write_text(fresh + page[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
