"""Processes that end with whoever began them: with the test, and with a whole test run that is killed.

The danger: an orphan. It goes on pushing, holds a lock or a port, and an innocent test fails because of it. So each is
head of a process group of its own, which ends as a whole, and is tied to the process that began it (tied.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PIPE = subprocess.PIPE
TIED = str(Path(__file__).with_name("tied.py"))


def begin(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start it, with the options of Popen. To be called in a thread that outlives it: the kernel ties it to that."""
    tied = [sys.executable, "-I", "-S", TIED, str(os.getpid()), *command]
    return subprocess.Popen(tied, start_new_session=True, **options)


def end(process: subprocess.Popen[bytes]) -> None:
    """kill -9 for it and all that it began. Nothing happens if it has ended."""
    if process.poll() is None:  # until it is waited for, its number is nobody else's
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


@contextmanager
def begun(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of the block."""
    process = begin(command, **options)
    try:
        yield process
    finally:
        end(process)
