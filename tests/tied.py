"""Ties a process to its parent: when that one ends, however it ends, the kernel kills this one (Linux only).

    python -I -S tests/tied.py PARENT COMMAND ...

becomes the command, tied. Imports next to nothing, for every process of the acceptance tests begins here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of prctl(2). Kept over exec, but not by what the process forks."""


def tie(parent: int) -> None:
    """From now on this process ends with its parent; at once if that one has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
