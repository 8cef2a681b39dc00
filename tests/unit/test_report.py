"""What a cycle came to, in one exit code."""

from __future__ import annotations

import pytest

from oicp_adapter.core.guards import Guard, Refusal
from oicp_adapter.errors import worst_exit_code
from oicp_adapter.sync.report import CycleReport


def refusal(guard: Guard = Guard.WITHDRAWAL, text: str = "no") -> Refusal:
    return Refusal(guard=guard, text=text, hint="")


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((), 0), ((0, 1), 1), ((1, 3), 3), ((3, 4), 4), ((4, 5), 5), ((5, 2), 2), ((0, 1, 3, 4, 5, 2), 2)],
)
def test_of_several_outcomes_the_worst_decides(codes: tuple[int, ...], worst: int) -> None:
    # A script that runs two operators sees "done" although one of them failed.
    assert worst_exit_code(codes) == worst_exit_code(reversed(codes)) == worst


def test_a_cycle_s_exit_code_is_its_worst_outcome() -> None:
    # cron reports a guard's refusal although Hubject is down, or nothing at all.
    report = CycleReport(job="delta", quarantined=3)
    assert report.exit_code == 0
    report.refuse(refusal())
    assert report.exit_code == 3
    report.in_doubt = 1
    assert report.exit_code == 4
    report.failures.append((5, "source", ""))
    assert report.exit_code == 5


def test_the_same_guard_s_no_is_told_once() -> None:
    # The resync prints one refusal twice, with two numbers.
    report = CycleReport(job="full")
    report.refuse(refusal(text="in the plan"))
    report.refuse(refusal(text="in the full load"))
    report.refuse(refusal(Guard.MASS_UNKNOWN))
    assert [one.text for one in report.refusals] == ["in the plan", "no"]
