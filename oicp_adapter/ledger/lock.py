"""The right to push for an operator: an OS file lock, held only by verbs that push (P2).

The danger: two processes that push for one operator overtake each other at Hubject. The kernel frees the lock when
its holder dies, however it dies; the file stays, since removing it would let two processes hold "the" lock.
The file must be on a disk of this machine, beside the ledger: flock on network shares promises little.
"""

from __future__ import annotations

import fcntl
import glob
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from oicp_adapter.errors import LockHeld
from oicp_adapter.ledger import faults


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock, as it wrote itself into the file."""

    verb: str
    pid: int
    host: str
    since: float

    @property
    def obeys(self) -> bool:
        """Whether it looks for commands: only the daemon does."""
        return self.verb == "run"

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"`{self.verb}` (process {self.pid} on {self.host}, since {since})"


UNNAMED = Holder(verb="unknown", pid=0, host="unknown", since=0.0)
"""Held, but its holder has not written its name yet."""


class OperatorLock:
    """One operator's lock. Not re-entrant; another object on the same file is another contender, also in-process.

    `holder` is the verb that holds it, `now` the wall clock, both for the message others get.
    """

    def __init__(self, path: Path, *, holder: str, now: Callable[[], float]) -> None:
        self._path = path
        self._verb = holder
        self._now = now
        self._file: int | None = None

    def acquire(self) -> None:
        """Take it or raise LockHeld naming the holder; never waits. LedgerNotWritable if the file cannot be made."""
        if self._file is not None:
            raise self._held()
        with faults.translated(self._path):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if not _take(file):
                    raise self._held()
                self._sign(file)
            except BaseException:
                os.close(file)
                raise
        self._file = file

    def release(self) -> None:
        """Let others have it. Idempotent."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # a child between fork and exec has the file open, too
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        """Who holds it now; None if nobody. See `holder_of`."""
        return holder_of(self._path)

    def _held(self) -> LockHeld:
        return LockHeld(
            f"another process pushes for this operator: {self.holder() or UNNAMED}",
            hint="wait for it, or stop it; `resync` is handed to a running daemon by itself",
        )

    def _sign(self, file: int) -> None:
        name = Holder(verb=self._verb, pid=os.getpid(), host=socket.gethostname(), since=self._now())
        text = msgspec.json.encode(name) + b"\n"
        os.pwrite(file, text, 0)  # first: on a full disk the block that was freed may be gone
        os.ftruncate(file, len(text))

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock at `path`; None if nobody. Needs no right to write, never waits, keeps nobody from it."""
    with faults.translated(path):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if _lock(file, fcntl.LOCK_SH):
                return None
            text = os.pread(file, 4096, 0)
        finally:
            os.close(file)
    try:
        return msgspec.json.decode(text, type=Holder)
    except ValueError:  # torn, or not ours
        return UNNAMED


def holders_beside(ledger: Path) -> list[Holder]:
    """Who pushes with this ledger, for any operator."""
    found = [holder_of(path) for path in sorted(ledger.parent.glob(f"{glob.escape(ledger.name)}.*.lock"))]
    return [holder for holder in found if holder is not None]


def _take(file: int) -> bool:
    """True if the lock is ours. One that is merely looked at (shared, for microseconds) is not held: try again."""
    while not _lock(file, fcntl.LOCK_EX):
        if not _lock(file, fcntl.LOCK_SH):
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
    return True


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
