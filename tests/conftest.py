"""For all tests: properties have no deadline (machines are shared and slow at times), a failure can be repeated, and no
process outlives its test.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.patience import awaited

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")

# Under nohup, or in the background of a script, Ctrl-C is ignored, and by every process a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

LEAVES = 5.0
"""Seconds for what is just ending."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """An orphan makes innocent tests fail, so the one that began it fails instead."""
    outcome = yield
    if _children() and not awaited(lambda: not _children(), within=LEAVES):
        left = {pid: _command(pid) for pid in _children()}
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pytest.fail(f"left behind by {item.nodeid}: {left}", pytrace=False)
    return outcome


def _children() -> list[int]:
    """Of this process; none where the kernel does not tell."""
    found: list[int] = []
    for thread in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return [pid for pid in found if pid != os.getpid()]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return "(gone)"
