"""`explain`: whatever state an EVSE is in, it says what Hubject believes, why, and what happens next."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.model import EvseStatus, Rejected
from oicp_adapter.core.plan import Missing, PlanPolicy
from oicp_adapter.core.records import EvseRow, OperatorState, Presence, Quarantine
from oicp_adapter.sync.explaining import EvseFacts, RejectedFacts, explained, rejections

T0 = 1_795_192_516.0
"""2026-11-20T16:35:16Z"""
AVAILABLE, OCCUPIED = EvseStatus.AVAILABLE, EvseStatus.OCCUPIED
POLICY = PlanPolicy(settle=60.0, missing_after=120.0, hold_available=30.0)
SETTLED = EvseRow(
    key="DEABCE1",
    wire_id="DE*ABC*E1",
    source_id="DE*ABC*E1",
    presence=Presence.PRESENT,
    status=OCCUPIED,
    status_at=T0 - 600,
    desired=OCCUPIED,
    value="Charging",
    rule="ocpp1.6 Charging",
)
REFUSED = Quarantine(
    code="603",
    text="no EVSE data",
    process_id="p-1",
    since=T0 - 100,
    retry_at=T0 + 900,
    attempts=2,
    status=OCCUPIED,
)


def told(
    row: EvseRow,
    *,
    state: OperatorState | None = None,
    policy: PlanPolicy = POLICY,
    stopped: str | None = None,
    unrecorded: str | None = None,
) -> EvseFacts:
    return explained(
        "abc",
        row,
        state or OperatorState(),
        [],
        policy=policy,
        stopped=stopped,
        unrecorded=unrecorded,
        now=T0,
    )


def test_a_settled_evse_says_so() -> None:
    # The 03:00 question: what does Hubject believe, since when, and why?
    facts = told(SETTLED, state=OperatorState(last_read_at=T0 - 4))
    assert (facts.source_says, facts.rule) == ("Charging → Occupied", "ocpp1.6 Charging")
    assert (facts.hubject_holds, facts.presence) == ("Occupied", "present")
    assert (facts.acknowledged_at, facts.source_read_at) == ("2026-11-20T16:25:16Z", "2026-11-20T16:35:12Z")
    assert facts.next == "nothing: Hubject holds what the source says"
    nothing = (
        facts.missing_since,
        facts.in_doubt_since,
        facts.quarantine,
        facts.withheld,
        facts.waiting_since,
    )
    assert nothing == (None,) * 5


def test_an_evse_never_acknowledged_claims_nothing() -> None:
    # "Occupied since 1970" sends the on-call engineer the wrong way.
    row = replace(SETTLED, presence=Presence.UNKNOWN, status=None, status_at=None)
    facts = told(row)
    assert (facts.hubject_holds, facts.acknowledged_at) == ("nothing acknowledged", None)
    assert facts.next.startswith("insert to Occupied with the next delta: not known to be at Hubject")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"desired": OCCUPIED, "status": AVAILABLE, "changed_at": T0 - 1},
            "update to Occupied with the next delta",
        ),
        ({"in_doubt_since": T0 - 10}, "pushed again with its latest status after 2026-11-20T16:36:06Z"),
        ({"in_doubt_since": T0 - 60}, "update to Occupied with the next delta: was in doubt"),
        ({"reassert_at": T0 + 540}, "asserted once more after 2026-11-20T16:44:16Z"),
        ({"quarantine": REFUSED}, "tried again alone at 2026-11-20T16:50:16Z, or when its status changes"),
        (
            {"quarantine": REFUSED, "desired": AVAILABLE, "status": None, "presence": Presence.ABSENT},
            "insert to Available with the next delta: quarantined (603), tried again alone",
        ),
        (
            {"withheld": "withdrawal", "first_missing": T0 - 900},
            "nothing while the withdrawal guard withholds it",
        ),
        (
            {"first_missing": T0 - 10},
            "withdrawn when a complete read after 2026-11-20T16:37:06Z misses it again",
        ),
        ({"first_missing": T0 - 120}, "update to EvseNotFound with the next delta: withdrawn"),
        (
            {"first_missing": T0 - 900, "status": EvseStatus.EVSE_NOT_FOUND},
            "nothing: the source does not publish it, and neither does Hubject",
        ),
        (
            {"desired": AVAILABLE, "changed_at": T0 - 10},
            "update to Available after 2026-11-20T16:35:36Z (hold_available)",
        ),
    ],
    ids=[
        *("changed", "in doubt", "settled", "to be asserted", "quarantined", "quarantined and changed"),
        *("withheld", "missing", "gone", "withdrawn", "held back"),
    ],
)
def test_it_says_what_happens_next(changes: dict[str, object], expected: str) -> None:
    # "Hubject holds what the source says" about an EVSE for which something is still to come, or cannot come.
    assert told(replace(SETTLED, **changes)).next.startswith(expected)


def test_an_evse_that_is_kept_is_not_promised_to_go() -> None:
    # Somebody waits for a withdrawal that the setting forbids.
    row = replace(SETTLED, first_missing=T0 - 900)
    policy = replace(POLICY, missing=Missing.KEEP)
    assert 'missing = "keep"' in told(row, policy=policy).next


@pytest.mark.parametrize(
    "row", [replace(SETTLED, status=AVAILABLE, changed_at=T0), replace(SETTLED, quarantine=REFUSED)]
)
def test_nothing_is_promised_while_the_operator_is_stopped(row: EvseRow) -> None:
    # "with the next delta", and a pause or observe mode keeps it from happening for hours.
    facts = told(row, stopped="paused by ann@host until 2026-11-20T18:00:00Z: works")
    assert facts.next == "nothing for now: paused by ann@host until 2026-11-20T18:00:00Z: works"


def test_an_evse_that_has_nothing_to_wait_for_says_so_in_an_outage() -> None:
    # One EVSE waits, and `explain` of every other one said the same as of that one.
    assert (
        told(SETTLED, stopped="Connection refused").next
        == "nothing for now: Connection refused; nothing of it waits"
    )
    unread = OperatorState(source_failing_since=T0 - 100)
    stopped = "the source is unreadable since 2026-11-20T16:33:36Z"
    assert told(SETTLED, state=unread, stopped=stopped).next == f"nothing for now: {stopped}", "nobody knows"


def test_no_all_clear_after_a_cycle_that_could_not_be_recorded() -> None:
    # The disk is full: "nothing: Hubject holds what the source says", while the export says Faulted.
    facts = told(SETTLED, unrecorded="no cycle has been recorded since 2026-11-20T16:00:00Z")
    assert facts.next == (
        "not known: no cycle has been recorded since 2026-11-20T16:00:00Z; as of then: nothing: Hubject holds what "
        "the source says"
    )


def test_times_are_the_first_ones() -> None:
    # "waiting since a minute ago": since the last restart, or the last of many changes.
    row = replace(
        SETTLED,
        desired=AVAILABLE,
        changed_at=T0 - 900,
        said_at=T0 - 60,
        in_doubt_since=T0 - 9,
        doubted_at=T0 - 600,
    )
    facts = told(row)
    assert (facts.waiting_since, facts.in_doubt_since) == ("2026-11-20T16:20:16Z", "2026-11-20T16:25:16Z")


def test_doubt_quarantine_and_withholding_are_told_with_their_reasons() -> None:
    # The answer and the Process-ID are what Hubject's support asks for.
    facts = told(replace(SETTLED, in_doubt_since=T0 - 10, quarantine=REFUSED, withheld="mass_unknown"))
    assert facts.in_doubt_since == "2026-11-20T16:35:06Z"
    assert facts.withheld == "mass_unknown"
    assert facts.quarantine is not None
    for word in ("603 no EVSE data", "Process-ID p-1", "since 2026-11-20T16:33:36Z", "2 times", "16:50:16Z"):
        assert word in facts.quarantine


@pytest.mark.parametrize(
    ("writing", "since", "what"),
    [
        ("", -10.0, "withdrawn when a complete read after 2026-11-20T16:37:06Z misses it again"),
        ("7", -5.0, "withdrawn when a complete read after 2026-11-20T16:37:06Z misses it again"),
        (
            "7",
            -10.0,
            "withdrawn when a newer writing of the source misses it, too, after 2026-11-20T16:37:06Z, or after "
            "2026-11-20T16:50:06Z if the source still stands as it is (missing_after_unchanged)",
        ),
    ],
)
def test_a_missing_evse_says_what_it_waits_for(writing: str, since: float, what: str) -> None:
    # A charger was dismantled ten minutes ago and is still on the map: who knows that one file is read again and again?
    row = replace(SETTLED, first_missing=T0 - 10)
    assert told(row, state=OperatorState(writing=writing, writing_since=T0 + since)).next == what


def test_what_the_source_last_said_of_a_missing_evse_is_told_with_its_time() -> None:
    # The last read did not have it: its age is that of the last one that did.
    row = replace(SETTLED, first_missing=T0 - 50, last_seen=T0 - 60)
    facts = told(row, state=OperatorState(last_read_at=T0))
    assert (facts.source_read_at, facts.missing_since) == ("2026-11-20T16:34:16Z", "2026-11-20T16:34:26Z")


def test_a_full_load_confirms_what_was_acknowledged_before_it_only() -> None:
    # An EVSE in quarantine was not in it.
    state = OperatorState(last_full_at=T0 - 30)
    assert told(SETTLED, state=state).confirmed_by_full_load_at == "2026-11-20T16:34:46Z"
    assert told(replace(SETTLED, status_at=T0), state=state).confirmed_by_full_load_at is None
    assert told(replace(SETTLED, quarantine=REFUSED), state=state).confirmed_by_full_load_at is None


def test_a_record_that_is_not_publishable_is_found_in_any_spelling() -> None:
    # "Nothing is known about it", while the source has it and a reason is on record.
    rejected = [
        (Rejected(evse_id="de*xyz*e10*1", reason="outside the prefixes", origin="line 4"), T0),
        (Rejected(evse_id="Depot gate", reason="not an EvseID", origin="line 9"), T0 - 60),
        (Rejected(evse_id="", reason="no EvseID", origin="line 12"), T0),
    ]
    expected = RejectedFacts(
        operator="abc",
        evse_id="de*xyz*e10*1",
        origin="line 4",
        reason="outside the prefixes",
        since="2026-11-20T16:35:16Z",
    )
    assert found(rejected, "DEXYZE101") == found(rejected, "DE*XYZ*E10*1") == [expected]
    (other,) = found(rejected, " Depot gate ")
    assert other.reason == "not an EvseID"
    assert found(rejected, "") == found(rejected, "DE*XYZ*E11") == []


def test_a_record_with_other_separators_is_found_by_the_id_it_means() -> None:
    # A person writes the id as Hubject has it, the backend with hyphens.
    rejected = [(Rejected(evse_id="DE-ABC-E10-1", reason="not an EvseID", origin="line 4"), T0)]
    assert [one.origin for one in found(rejected, "DE*ABC*E10*1")] == ["line 4"]


def found(rejected: list[tuple[Rejected, float]], evse_id: str) -> list[RejectedFacts]:
    return rejections("abc", evse_id, rejected, prefixes=(parse_prefix("DE*ABC"),))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"presence": Presence.ABSENT}, "nothing to do: gone in the source, and Hubject does not show it"),
        (
            {"presence": Presence.UNKNOWN},
            "update to EvseNotFound with the next delta: not known to be at Hubject",
        ),
        (
            {"presence": Presence.UNKNOWN, "withheld": "baseline"},
            "nothing while the baseline is unknown: gone in",
        ),
    ],
)
def test_what_the_source_calls_gone_is_told_as_such(more: dict[str, Any], words: str) -> None:
    # "insert to EvseNotFound", or "Hubject holds what the source says", of a charger that lies in the stock.
    stored = replace(SETTLED, status=None, desired=EvseStatus.EVSE_NOT_FOUND, value="REMOVED", **more)
    assert told(stored).next.startswith(words)
