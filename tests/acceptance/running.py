"""The program as processes of its own: a verb that runs, the daemon with its log, and how they end.

All they write is taken at once, into a file or by a thread, so none of them waits for a reader, and no reader waits for
a line that never comes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

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


class Stream(Protocol):
    """Where a process writes."""

    def fileno(self) -> int:
        """What the process gets."""

    def handed_over(self) -> None:
        """The process has it."""

    @property
    def text(self) -> str:
        """What was written so far."""

    def close(self) -> None:
        """It is not needed any more; the process has ended."""


class LogFile:
    """A file, as under a supervisor. The process has its own place in it: reading does not disturb it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")

    def fileno(self) -> int:
        return self._file.fileno()

    def handed_over(self) -> None:
        pass

    @property
    def text(self) -> str:
        return os.pread(self.fileno(), os.fstat(self.fileno()).st_size, 0).decode()

    def close(self) -> None:
        self._file.close()


class Pipe:
    """A pipe that a thread empties: what is full or limited does not concern it."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def fileno(self) -> int:
        return self._writes

    def handed_over(self) -> None:
        os.close(self._writes)

    @property
    def text(self) -> str:
        return self._written.decode(errors="replace")

    @property
    def whole(self) -> bool:
        """Whether nothing more can come."""
        return not self._reader.is_alive()

    def close(self) -> None:
        self._reader.join()
        os.close(self._reads)

    def _read(self) -> None:
        while more := os.read(self._reads, 65536):
            self._written += more


class Running:
    """A process."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Stream, err: Stream
    ) -> None:
        self._command = command
        self._out, self._err = out, err
        self._process = leash.begin(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        out.handed_over()
        err.handed_over()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.text

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.text

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
        """It does not run any more, and what it wrote is let go."""
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
        self._pipes = Pipe(), Pipe()
        out, err = self._pipes
        super().__init__(command, cwd=cwd, env=env, out=out, err=err)

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
        code = self.ends(number, within=within)
        wait_until(lambda: all(pipe.whole for pipe in self._pipes), f"all that {self} wrote is read")
        return Ended(code, self.out, self.err)


class Daemon(Running):
    """A `run`. Its log is a file, as under a supervisor."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], name: str) -> None:
        self._log = cwd / f"{name}.log"
        super().__init__(
            command,
            cwd=cwd,
            env=env,
            out=LogFile(self._log),
            err=LogFile(cwd / f"{name}.err"),
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
