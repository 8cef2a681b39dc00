"""What is printed where: data on stdout, talk on stderr, logs as lines that machines and people can follow."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from oicp_adapter.ledger.lock import OperatorLock
from oicp_adapter.simulator import Fault, SimulatorOptions
from oicp_adapter.telemetry.events import CATALOGUE
from tests import leash
from tests.acceptance.fleet import fleet, published, replace, write_locations
from tests.acceptance.house import MINIMAL, OPERATOR_ID, House, opened, wait_until

SUMMARY = {
    *("read", "changed", "requests", "pushed", "acked", "quarantined", "withheld"),
    *("in_doubt", "backlog", "bundle", "duration", "lag"),
}


def test_every_json_output_parses_and_keeps_its_keys(house: House) -> None:
    # In the field: the monitoring of 200 operators reads these; a renamed key is an alarm that never sounds again.
    evses = fleet(4)
    house.simulator.set_evse_data(list(evses)[1:])
    house.exports(evses | {"DE*XYZ*E1": "AVAILABLE"})
    house.configure()

    plan = house.call("plan", "--json").data["slb"]
    assert plan.keys() >= {
        "exit_code",
        "stopped",
        "read",
        "complete",
        "changes",
        "unchanged",
        "in_doubt",
        "quarantined",
    }
    assert plan.keys() >= {"missing", "withheld", "rejected", "unmapped", "full_load", "refused"}
    assert plan["changes"][0].keys() >= {"evse_id", "action", "from", "to", "kind", "reason"}
    assert plan["full_load"] == {"records": 4, "withdraws": 0}

    sync = house.call("sync", "--json").data
    assert sync["slb"].keys() >= SUMMARY | {"exit_code", "stopped", "refused", "failed"}
    assert (sync["slb"]["acked"], sync["slb"]["quarantined"], sync["slb"]["exit_code"]) == (3, 1, 0)

    status = house.call("status", "--json").data["slb"]
    assert status.keys() >= {"pushed_by", "held", "backlog", "in_doubt", "quarantined", "rejected", "missing"}
    assert status.keys() >= {"withheld", "refusals", "baseline", "last_full_load", "full_load_due", "source"}
    assert status.keys() >= {"hubject", "certificate_days_left", "jobs"}
    assert (status["held"], status["quarantined"], status["rejected"]) == ({"Available": 3}, 1, 1)

    listed = house.call("quarantine", "list", "--json").data
    assert [(one["by"], one["evse_id"]) for one in listed] == [
        ("Hubject", "DE*SLB*E0001*1"),
        ("validation", "DE*XYZ*E1"),
    ]
    assert listed[0].keys() >= {
        "operator",
        "origin",
        "code",
        "why",
        "process_id",
        "since",
        "next_try",
        "attempts",
    }
    assert (listed[0]["code"], listed[0]["process_id"]) == ("603", house.requests()[0].process_id)

    resync = house.call("resync", "--json")
    assert (resync.code, resync.data["slb"].keys()) == (3, {"exit_code", "text"})


def test_json_of_several_operators_is_one_object_with_what_failed_in_it(tmp_path: Path) -> None:
    # In the field: `plan --json | jq` stops at the second operator, or forgets the first because the second failed.
    with opened(tmp_path, SimulatorOptions(operators=[OPERATOR_ID, "DE*DEF"])) as house:
        other = MINIMAL[MINIMAL.index("[operators.slb]") :]
        for ours, theirs in (("slb", "def"), ("DE*SLB", "DE*DEF"), ("fleet.json", "def.json")):
            other = other.replace(ours, theirs)
        house.configure(MINIMAL + "\n" + other)
        house.exports(fleet(3))
        write_locations(house.place / "def.json", fleet(2, operator="DE*DEF"))

        for words, does in (
            (["plan"], ("full_load", {"records": 3, "withdraws": 0})),
            (["resync", "--dry-run"], ("full_load", {"records": 3, "withdraws": 0})),
            (["sync"], ("acked", 3)),
            (["resync", "--no-wait"], ("exit_code", 3)),
            (["quarantine", "retry"], ("exit_code", 0)),
            (["ledger", "distrust"], ("exit_code", 0)),
        ):
            found = house.call(*words, "--json").data
            assert list(found) == ["slb", "def"], words
            assert does in found["slb"].items(), words
            assert found["slb"].keys() == found["def"].keys()
        assert list(house.call("status", "--json").data) == ["slb", "def"]

        (house.place / "def.json").unlink()
        plan = house.call("plan", "--json")
        assert (plan.code, plan.data["slb"]["exit_code"], plan.data["slb"]["read"]) == (5, 0, 3)
        assert plan.data["def"].keys() == {"exit_code", "error", "fix"}
        assert (plan.data["def"]["exit_code"], "def.json" in plan.data["def"]["error"]) == (5, True)
        sync = house.call("sync", "--json")
        assert (sync.code, "def.json" in sync.data["def"]["failed"][0]["text"]) == (5, True)
        with OperatorLock(house.place / "ledger.db.DEDEF.lock", holder="test", now=lambda: 0.0):
            held = house.call("sync", "--json")
        assert (held.data["slb"]["read"], held.data["def"]["exit_code"]) == (3, 1)
        assert "another process pushes" in held.data["def"]["error"]


def test_data_goes_to_stdout_and_talk_to_stderr(house: House) -> None:
    # In the field: `oicp-adapter plan > plan.txt`, and a warning in the middle of the table.
    house.exports(fleet(2))
    house.configure()
    for words in (("plan",), ("sync",), ("status",), ("quarantine", "list")):
        ended = house.call(*words)
        assert ended.out
        assert not {"fix:", "note:", "warning"} & set(ended.out.split())
        assert "\x1b[" not in ended.said, "no colours into a file"
    refused = house.call("resync", "slb", "--dry-run", "--adopt", "3")
    assert "--adopt 2" in refused.err
    assert "--adopt 2" not in refused.out


def test_text_from_outside_is_shown_as_it_is(house: House) -> None:
    # In the field: a backend's free text looks like a terminal's markup, and the on-call engineer sees a traceback.
    house.exports(fleet(2))
    export = house.export.read_text().replace("DE*SLB*E0001*1", "[/red]").replace("AVAILABLE", "[/b] out [x]")
    replace(house.export, export)
    house.configure()
    plan = house.call("plan")
    assert plan.code == 3
    assert "[/b] out [x]" in plan.err
    assert house.call("sync").code == 3
    listed = house.call("quarantine", "list")
    assert listed.code == 0
    assert "[/red]" in listed.out
    assert house.call("status").code == 0


def test_log_lines_are_json_catalogued_and_lead_from_the_cycle_to_hubjects_process_id(house: House) -> None:
    # In the field: "what did we send at 03:12, and what did Hubject say?", asked of a log collector.
    evses = fleet(6)
    house.configure_quick(schedule='{ delta = "500ms", reconcile = "1s", full = "03:00" }')
    house.published(evses)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="too_many", seconds=0, count=1))
    house.simulator.faults.add(Fault(kind="drop_after_apply", skip=2, count=1))
    evses = dict.fromkeys(evses, "CHARGING")
    house.exports(evses)
    house.comes_to_hold(published(evses))
    daemon.waits_for("delta.done", after=len(daemon.lines("delta.done")), in_doubt=0)
    daemon.waits_for("reconcile.done")
    assert daemon.ends() == 0

    lines = daemon.lines()
    cycles = {line["cycle_id"] for line in lines if line["event"].endswith(".done")}
    for line in lines:
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC
        assert line["level"].upper() == _level(line["event"])
        if line["event"].startswith(("push.", "evse.")):
            assert line["cycle_id"] in cycles
            assert line["operator"] == "slb"
    applied = [line for line in lines if line["event"] == "push.applied"]
    answered = {entry.process_id: entry for entry in house.requests()}
    for line in applied:
        seen = answered[line["process_id"]]
        assert (line["action"], line["records"], line["code"]) == (seen.action, seen.count, seen.code)
    pushes = [line["push_id"] for line in lines if line["event"] in ("push.applied", "push.in_doubt")]
    assert len(pushes) == len(set(pushes))
    assert {"push.retried", "push.in_doubt", "evse.changed", "reconcile.done"} <= {
        line["event"] for line in lines
    }
    changed = [line["evse_id"] for line in lines if line["event"] == "evse.changed"]
    assert sorted(changed) == sorted(evses), "one line per change, none for what did not change"
    assert all(line.keys() >= SUMMARY for line in lines if line["event"] == "delta.done")


def _level(event: str) -> str:
    return {20: "INFO", 30: "WARNING", 40: "ERROR"}[CATALOGUE[event].level]


def test_on_a_terminal_the_log_is_for_people(house: House) -> None:
    # In the field: the first run in a terminal is read by a person.
    house.exports(fleet(2))
    house.configure()
    ours, theirs = os.openpty()
    process = leash.begin(
        house.command("run"), cwd=house.place, env=house.environment(), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = b""

    def look() -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(ours, 65536)
        return b"delta.done" in shown

    try:
        wait_until(look, "a first cycle on the terminal")
        process.terminate()
        wait_until(lambda: process.poll() is not None, "it ends")
        assert process.returncode == 0
    finally:
        leash.end(process)
        os.close(ours)
    assert b'{"' not in shown
    assert b"push.applied" in shown
