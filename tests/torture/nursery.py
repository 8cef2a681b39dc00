"""Starts daemons fast: everything is imported once; each daemon is a fork of this process, and a process by itself.

    python -m tests.torture.nursery

A line on stdin (the name of a log file) starts `oicp-adapter run --config adapter.toml` in the working directory and
answers with its pid. The danger: threads do not survive a fork, so nothing here may start one.
"""

from __future__ import annotations

import os
import signal
import sys

import oicp_adapter.cli.main
import oicp_adapter.daemon
import oicp_adapter.wiring
from oicp_adapter.__main__ import main
from tests.tied import tie

assert oicp_adapter.cli.main, (
    oicp_adapter.daemon,
    oicp_adapter.wiring,
)  # imported here so that no fork has to


def _live(log: str, nursery: int) -> None:
    tie(nursery)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv = ["oicp-adapter", "run", "--config", "adapter.toml"]
    main()


def _answer() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead leave at once
    nursery = os.getpid()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(line.strip(), nursery)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _answer()
