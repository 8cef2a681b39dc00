"""A command on a terminal of its own: what a person sees, what a person types.

The danger: a test that types before it was asked proves nothing. So it waits for what is on the screen.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import leash
from tests.patience import wait_until

WIDTH = 80
"""Columns: what fits here fits everywhere."""
PATIENCE = 30.0
"""Seconds until something must have happened, on an idle machine."""


class Terminal:
    """Runs one shell command."""

    def __init__(self, command: str, *, cwd: Path, env: Mapping[str, str]) -> None:
        self._screen, keyboard = pty.openpty()
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
        self._process = leash.begin(
            ["sh", "-c", f"exec {command}"],
            cwd=cwd,
            env=env,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
        )
        os.close(keyboard)
        self._seen = b""
        self._answered = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        """All it has shown."""
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    @property
    def shown(self) -> str:
        """Whole lines only."""
        return self.screen[: self.screen.rfind("\n") + 1]

    def waits_for(self, lines: int) -> str:
        """The first so many lines."""

        def enough() -> bool:
            return len(self.shown.splitlines()) >= lines

        wait_until(enough, lambda: f"{lines} lines; it has shown\n{self.screen}", within=PATIENCE)
        return self.shown

    def answers(self, question: str, text: str) -> None:
        """Type a line when its last line begins with the question and waits for an answer."""

        def asked() -> bool:
            last = self.screen[self._answered :].rpartition("\n")[2]
            return last.startswith(question) and last.endswith(": ")

        wait_until(asked, lambda: f"{question} is asked; it has shown\n{self.screen}", within=PATIENCE)
        self._answered = len(self.screen)
        os.write(self._screen, text.encode() + b"\n")

    def ends(self, number: signal.Signals | None = None) -> int:
        """Its exit code, after the signal if there is one."""
        if number is not None:
            self._process.send_signal(number)
        wait_until(
            lambda: self._process.poll() is not None and not self._reader.is_alive(),
            lambda: f"the command ends; it has shown\n{self.screen}",
            within=PATIENCE,
        )
        self.close()
        return self._process.wait()

    def close(self) -> None:
        """kill -9 for what still runs; the screen is let go."""
        leash.end(self._process)
        self._reader.join()
        if self._screen >= 0:
            os.close(self._screen)
            self._screen = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        try:
            while more := os.read(self._screen, 65536):
                self._seen += more
        except OSError:
            pass  # the last one who had it open is gone
