"""How tests begin processes and wait: the ways that leave an orphan, or bet on a fast machine, are not taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WAYS = {
    r"subprocess\.(run|Popen|call|check_\w+)\(": ("leash.py",),  # nobody ends it when the test fails
    r"os\.fork\(": ("torture/nursery.py",),
    r"std(out|err)\.read(line)?\(": (),  # waits for ever for what never comes
    r"\.communicate\(\)": (),
    r"\bTimer\(": (),  # seconds of an idle machine
    r"time\.sleep\(": ("patience.py", "torture/kills.py", "torture/soak.py"),
}


@pytest.mark.parametrize("way", WAYS)
def test_processes_belong_to_their_test_and_waiting_is_for_something(way: str) -> None:
    # An orphan that pushes on, or a patience that runs out on a busy machine: an innocent test fails for it.
    places = {
        str(file.relative_to(TESTS))
        for file in TESTS.rglob("*.py")
        if file != Path(__file__) and re.search(way, file.read_text(encoding="utf-8"))
    }
    assert places == set(WAYS[way]), (
        f"{way}: use tests/leash.py, tests/acceptance/running.py or tests/patience.py"
    )
