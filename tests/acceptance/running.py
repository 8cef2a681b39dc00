"""The program as processes of its own: a verb that runs, the daemon with its log, and how they end.

All they write goes into files, so none of them waits for a reader, and no reader waits for a line that never comes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pytest

from tests import leash
from tests.patience import PATIENCE, wait_until

Line = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Both streams, for "this stands somewhere"."""
        return self.out + self.err


class Running:
    """A process that writes into two files."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: BinaryIO, err: BinaryIO
    ) -> None:
        self._command = command
        self._out, self._err = out, err
        self._process = leash.begin(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return _text(self._out)

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return _text(self._err)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ends(self, number: signal.Signals | None = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        """Send the signal, if any, and wait for its end; the exit code."""
        if number is not None:
            self.tell(number)
        wait_until(lambda: not self.alive, lambda: f"{self} ends\n{self.err[-2000:]}", within=within)
        return self._process.wait()

    def dies(self) -> None:
        """kill -9, now, for it and all that it began."""
        leash.end(self._process)

    def close(self) -> None:
        """It does not run any more, and its files are let go."""
        self.dies()
        self._out.close()
        self._err.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"`{' '.join(self._command)}`"


class Verb(Running):
    """A verb that runs."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        super().__init__(
            command,
            cwd=cwd,
            env=env,
            out=tempfile.TemporaryFile(),  # noqa: SIM115 - closed by close
            err=tempfile.TemporaryFile(),  # noqa: SIM115
        )

    def says(self, words: str) -> str:
        """Wait until a whole line of its stdout has these words; the line."""

        def look() -> str | None:
            alive = self.alive
            found = next((line for line in self.out.splitlines(keepends=True) if words in line), "")
            if not found.endswith("\n") and not alive:
                pytest.fail(f"{self} ended without saying {words!r}:\n{self.out}\n{self.err}")
            return found if found.endswith("\n") else None

        return wait_until(look, lambda: f"{self} says {words!r}; it said\n{self.out}\n{self.err}").rstrip(
            "\n"
        )

    def ended(self, number: signal.Signals | None = None, *, within: float = PATIENCE) -> Ended:
        """How it ends, after the signal if there is one."""
        return Ended(self.ends(number, within=within), self.out, self.err)


class Daemon(Running):
    """A `run`. Its log is a file, as under a supervisor."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], name: str) -> None:
        self._log = cwd / f"{name}.log"
        super().__init__(
            command,
            cwd=cwd,
            env=env,
            out=self._log.open("w+b"),
            err=(cwd / f"{name}.err").open("w+b"),
        )
        self._lines: list[Line] = []
        self._read = 0

    def lines(self, event: str = "") -> list[Line]:
        """What it has logged so far, a line still being written left out; all, or one kind of event."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if line.endswith(b"\n"):
                    self._lines.append(json.loads(line))
                    self._read += len(line)
        return [line for line in self._lines if event in ("", line["event"])]

    def waits_for(self, event: str, *, after: int = 0, within: float = PATIENCE, **fields: object) -> Line:
        """The first such line after so many of its kind; waits for it."""

        def look() -> Line | None:
            alive = self.alive
            found = self.lines(event)[after:]
            line = next((line for line in found if fields.items() <= line.items()), None)
            if line is None and not alive:
                pytest.fail(f"the daemon ended with {self.ends(None)}: {self.err}\n{self.out}")
            return line

        return wait_until(look, lambda: f"{event} {fields or ''} in\n{self.out[-3000:]}", within=within)

    def works(self, cycles: int = 1) -> Line:
        """Wait for so many whole delta cycles: ones that begin after this call."""
        seen = len(self.lines("delta.done"))
        return self.waits_for("delta.done", after=seen + cycles)


def _text(file: BinaryIO) -> str:
    """All of it. The process that writes has a place of its own in it, so reading does not disturb it."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()
