"""Runs the stories of tests/scenarios/cycles.yaml; what a step may say is explained there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.model import EvseStatus
from oicp_adapter.errors import SourceError
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.sync.report import CycleReport
from tests.fakes import answers
from tests.fakes.hub import Crash, Scripted
from tests.fakes.operator import Choices, Operator, described, key, shown, wire

SCENARIOS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "scenarios" / "cycles.yaml").read_text("utf-8")
)
SET_UP = ("after", "restart", "source", "change", "read", "hubject", "no_evse_data", "names", "answers")
ACTION = ("run", "adopt", "allow_withdrawal", "empties_the_map", "force")
EXPECT = ("sends", "tells", "exit", "full_load", "holds", "ledger", "found", "healed", "says")
WORDS: Mapping[str, Answer | Scripted] = {
    "in doubt": answers.IN_DOUBT,
    "in doubt, applied": answers.APPLIED_LATE,
    "unreachable": answers.UNREACHABLE,
    "trouble": answers.TRANSIENT,
    "rejected": answers.STOPPED,
    "too large": answers.TOO_LARGE,
    "wait 120 s": answers.THROTTLED,
    "killed": answers.KILLED,
    "killed, applied": answers.KILLED_AFTER,
}


def spread(fleet: Mapping[str, str]) -> dict[str, str]:
    """E1..E20: AVAILABLE stands for twenty."""
    found: dict[str, str] = {}
    for name, value in fleet.items():
        first, _, last = name.partition("..")
        numbers = range(int(first[1:]), int(last[1:]) + 1) if last else ()
        found |= {f"{first[0]}{number}": value for number in numbers} if last else {name: value}
    return found


def answer(words: str) -> Answer | Scripted:
    if match := re.fullmatch(r"refuses (\d+)((?: \w+)*)", words):
        return answers.refused(match[1], *(wire(name) for name in match[2].split()))
    return WORDS[words]


def brief(request: PushRequest) -> str:
    """Up to six records one by one, more as "update 20: 18 Available, 2 Occupied"."""
    if len(request.records) <= 6:
        return shown(request)
    statuses = [status.value for _, status in request.records]
    parts = ", ".join(f"{statuses.count(one)} {one}" for one in sorted(set(statuses)))
    return f"{request.action.value} {len(statuses)}: {parts}"


def set_up(operator: Operator, fleet: dict[str, str], step: dict[str, Any]) -> None:
    operator.passes(step.get("after", 0))
    if step.get("restart"):
        operator.start()
    if "source" in step:
        fleet.clear()
        fleet.update(spread(step["source"]))
    for name, value in spread(step.get("change", {})).items():
        fleet.pop(name) if value == "gone" else fleet.update({name: value})
    operator.has(fleet)
    how = step.get("read", "complete")
    operator.source.complete = how == "complete"
    operator.source.failure = SourceError("no such file", hint="put it there") if how == "fails" else None
    if "hubject" in step:
        operator.hub.held = {wire(name): EvseStatus(one) for name, one in spread(step["hubject"]).items()}
    if "no_evse_data" in step:
        operator.hub.no_data = {wire(name) for name in spread(dict.fromkeys(step["no_evse_data"], ""))}
    operator.hub.names = step.get("names", operator.hub.names)
    operator.hub.script = [answer(words) for words in step.get("answers", [])]


def run(operator: Operator, step: dict[str, Any]) -> CycleReport | None:
    allowance = Allowance(
        adopt=step.get("adopt"),
        withdrawals=step.get("allow_withdrawal"),
        empties_the_map=step.get("empties_the_map", False),
    )
    force = step.get("force", False)
    try:
        match step["run"]:
            case "delta":
                return operator.sync.delta(force=force)
            case "reconcile":
                return operator.sync.reconcile()
            case "full":
                return operator.sync.full(asked="scenario", allowance=allowance, force=force)
            case other:
                raise AssertionError(f"no such job: {other}")
    except Crash:
        return None


def check(operator: Operator, step: dict[str, Any], report: CycleReport | None) -> None:
    assert [brief(request) for request in operator.hub.requests] == step.get("sends", [])
    assert sorted(set(operator.lines.alarms)) == sorted(step.get("tells", []))
    assert operator.hub.script == [], "more answers than requests"
    if "holds" in step:
        assert operator.holds() == spread(step["holds"])
    rows = operator.ledger.load().rows
    for name, facts in spread(step.get("ledger", {})).items():
        assert (name, described(rows.get(key(name)))) == (name, facts)
    if report is None:
        assert "killed" in " ".join(step.get("answers", []))
        return
    assert report.exit_code == step.get("exit", 0)
    assert report.full_load == step.get("full_load", "")
    assert report.found == step.get("found", {} if step["run"] == "reconcile" else report.found)
    assert report.healed == step.get("healed", step.get("found", report.healed))
    told = " ".join(refusal.text + " " + refusal.hint for refusal in report.refusals)
    assert all(part in told for part in step.get("says", [])), told


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one["about"] for one in SCENARIOS])
def test_a_story_from_the_field(scenario: dict[str, Any]) -> None:
    # What breaks in the field is said by the scenario's name.
    choices = msgspec.convert(scenario.get("settings", {}), Choices)
    operator = Operator(choices)
    fleet: dict[str, str] = {}
    for number, step in enumerate(scenario["steps"], 1):
        assert set(step) <= {*SET_UP, *ACTION, *EXPECT}, f"step {number} says what nobody reads"
        set_up(operator, fleet, step)
        operator.forget()
        check(operator, step, run(operator, step))
