"""What the simulated Hubject holds and how it decides, without any network."""

from typing import Any

import msgspec
import pytest

from oicp_adapter.simulator import SimulatorOptions
from oicp_adapter.simulator.hub import Hub, Late, Peer, Verdict
from oicp_adapter.simulator.validate import Invalid, StatusPush, status_push

OPERATOR = "DE*SLB"


def body(action: str, statuses: dict[str, str], **members: Any) -> bytes:
    records = [{"EvseID": wire, "EvseStatus": status} for wire, status in statuses.items()]
    operator = {"OperatorID": OPERATOR, "OperatorName": "SWLB", "EvseStatusRecord": records, **members}
    return msgspec.json.encode({"ActionType": action, "OperatorEvseStatus": operator})


def push(action: str, statuses: dict[str, str]) -> StatusPush:
    parsed = status_push(body(action, statuses))
    assert isinstance(parsed, StatusPush)
    return parsed


def make(**options: Any) -> Hub:
    hub = Hub(SimulatorOptions(clock=lambda: 0.0, **options))
    hub.holdings.hold(OPERATOR, {"DE*SLB*E1": "Available", "DE*SLB*E2": "Occupied"})
    return hub


def code(verdict: Verdict) -> tuple[int, str]:
    return verdict.answer.status, verdict.answer.code


HELD = {"DE*SLB*E1": "Available", "DE*SLB*E2": "Occupied"}


@pytest.mark.parametrize(
    ("action", "statuses", "named"),
    [
        ("insert", {"DE*SLB*E9": "Available", "DE*SLB*E1": "Occupied"}, "DE*SLB*E1"),
        ("update", {"DE*SLB*E1": "Occupied", "DE*SLB*E9": "Available"}, "DE*SLB*E9"),
        ("delete", {"DE*SLB*E1": "Available", "DE*SLB*E9": "Available"}, "DE*SLB*E9"),
    ],
)
def test_strict_actions_are_all_or_nothing(action: str, statuses: dict[str, str], named: str) -> None:
    # A stand-in that applies half a bundle hides that Hubject applied none of it.
    hub = make()
    verdict = hub.push_status(OPERATOR, push(action, statuses))
    assert code(verdict) == (200, "022")
    assert named.encode() in verdict.answer.body
    assert verdict.applied is None
    assert hub.holdings.statuses(OPERATOR) == HELD


def test_the_ids_at_fault_can_stay_unnamed() -> None:
    # Hubject does not always name them; then only bisecting finds them.
    verdict = make(names_ids=False).push_status(OPERATOR, push("insert", {"DE*SLB*E1": "Occupied"}))
    assert b'"AdditionalInfo":null' in verdict.answer.body


@pytest.mark.parametrize("action", ["insert", "update"])
def test_lenient_insert_and_update_store_either_way(action: str) -> None:
    # Hubject's guide updates a status with insert: an adapter must survive that too.
    hub = make(semantics="lenient")
    statuses = {"DE*SLB*E1": "Available", "DE*SLB*E2": "Available", "DE*SLB*E9": "Unknown"}
    verdict = hub.push_status(OPERATOR, push(action, statuses))
    assert verdict.applied is not None
    assert (verdict.applied.added, verdict.applied.changed, verdict.applied.noop) == (1, 1, 1)
    assert hub.holdings.statuses(OPERATOR) == statuses


def test_lenient_delete_of_an_absent_evse_is_fine() -> None:
    # A removal answered twice must not look like an error in lenient mode.
    hub = make(semantics="lenient")
    verdict = hub.push_status(OPERATOR, push("delete", {"DE*SLB*E1": "Available", "DE*SLB*E9": "Available"}))
    assert verdict.applied is not None
    assert verdict.applied.removed == 1
    assert hub.holdings.statuses(OPERATOR) == {"DE*SLB*E2": "Occupied"}


@pytest.mark.parametrize("semantics", ["strict", "lenient"])
def test_a_full_load_replaces_everything_and_says_how_much_it_removed(semantics: str) -> None:
    # The accident everybody fears must be visible in the journal, not only in what is left.
    hub = make(semantics=semantics)
    verdict = hub.push_status(
        OPERATOR, push("fullLoad", {"DE*SLB*E2": "Available", "DE*SLB*E3": "Available"})
    )
    assert verdict.applied is not None
    assert (verdict.applied.added, verdict.applied.changed, verdict.applied.removed) == (1, 1, 1)
    assert hub.push_status(OPERATOR, push("fullLoad", {})).applied is not None
    assert hub.holdings.statuses(OPERATOR) == {}


def test_an_update_keeps_the_spelling_of_the_first_push() -> None:
    # Another spelling takes effect with the next full load only.
    hub = make()
    hub.push_status(OPERATOR, push("update", {"DESLBE1": "Unknown"}))
    assert hub.holdings.statuses(OPERATOR)["DE*SLB*E1"] == "Unknown"
    hub.push_status(OPERATOR, push("fullLoad", {"DESLBE1": "Unknown"}))
    assert hub.holdings.statuses(OPERATOR) == {"DESLBE1": "Unknown"}


def test_the_same_evse_twice_is_refused_and_a_broken_rule() -> None:
    # Two spellings of one EVSE in one request: Hubject answers 018 and applies nothing.
    hub = make()
    assert code(
        hub.push_status(OPERATOR, push("fullLoad", {"DE*SLB*E7": "Available", "DESLBE7": "Unknown"}))
    ) == (200, "018")
    assert [broken.rule for broken in hub.journal.broken] == ["duplicate_id"]


def test_ids_outside_the_operators_prefixes_are_refused() -> None:
    # One foreign EVSE makes Hubject refuse the whole request.
    foreign = {"DE*ABC*E1": "Available"}
    assert code(make().push_status(OPERATOR, push("insert", foreign))) == (200, "018")
    wide = make(operators={OPERATOR: [OPERATOR, "DE*ABC"]})
    assert code(wide.push_status(OPERATOR, push("insert", foreign))) == (200, "000")


def test_evses_without_evse_data_are_named_without_separators() -> None:
    # 603 is the refusal that stops real fleets; its spelling of ids must be the real one.
    hub = make(evse_data=["DE*SLB*E1"])
    verdict = hub.push_status(OPERATOR, push("fullLoad", {"DESLBE1": "Available", "DE*SLB*E2": "Available"}))
    assert code(verdict) == (200, "603")
    assert b"EVSE data records missing for EvseIDs: DESLBE2" in verdict.answer.body
    assert hub.holdings.statuses(OPERATOR) == HELD


@pytest.mark.parametrize("action", ["insert", "update", "delete"])
def test_a_request_without_records_is_a_liveness_call(action: str) -> None:
    # Hubject forbids calls made only to see whether it is alive.
    hub = make()
    assert code(hub.push_status(OPERATOR, push(action, {}))) == (200, "022")
    assert [broken.rule for broken in hub.journal.broken] == ["liveness_call"]


def test_a_body_of_another_operator_is_unauthorized() -> None:
    # A push under the wrong id would overwrite somebody else's fleet.
    assert code(make().push_status("DE*ABC", push("insert", {"DE*SLB*E9": "Available"}))) == (401, "017")


def test_certificate_and_operator_must_belong_together() -> None:
    # Hubject matches the client certificate to the OperatorID; so must we.
    hub = make(operators=[OPERATOR])
    good = Peer("DESLB", 0.0, 9e9)
    assert hub.refuse_operator(OPERATOR, None) is None
    assert hub.refuse_operator(OPERATOR, good) is None
    for peer in (Peer("DE*ABC", 0.0, 9e9), Peer(OPERATOR, 0.0, 1.0), Peer(OPERATOR, 8e9, 9e9)):
        refused = hub.refuse_operator(OPERATOR, peer)
        assert refused is not None
        assert (refused.status, refused.code) == (401, "017")
    for unknown in ("DE*ABC", "nonsense"):
        answer = hub.refuse_operator(unknown, None)
        assert answer is not None
        assert (answer.status, answer.code) == (404, "300")


def refs(data: bytes) -> list[str]:
    parsed = status_push(data)
    assert isinstance(parsed, Invalid)
    return [error.reference for error in parsed.errors]


def test_every_field_at_fault_is_named_by_its_index() -> None:
    # Isolation by index is only as good as the index.
    statuses = {"DE*SLB*E1": "Available", "nonsense": "Available", "DE*SLB*E3": "Blue"}
    where = "operatorEvseStatus.evseStatusRecord"
    assert refs(body("update", statuses)) == [f"{where}[1].evseID", f"{where}[2].evseStatus"]


@pytest.mark.parametrize(
    ("members", "reference"),
    [
        ({"OperatorID": "DE*SLBX"}, "operatorEvseStatus.operatorID"),
        ({"OperatorID": 5}, "operatorEvseStatus.operatorID"),
        ({"OperatorID": None}, "operatorEvseStatus.operatorID"),
        ({"OperatorName": "x" * 101}, "operatorEvseStatus.operatorName"),
        ({"OperatorName": None}, "operatorEvseStatus.operatorName"),
        ({"EvseStatusRecord": None}, "operatorEvseStatus.evseStatusRecord"),
        ({"EvseStatusRecord": {}}, "operatorEvseStatus.evseStatusRecord"),
        ({"EvseStatusRecord": [7]}, "operatorEvseStatus.evseStatusRecord[0]"),
        (
            {"EvseStatusRecord": [{"EvseID": "DE*SLB*E1", "EvseStatus": None}]},
            "operatorEvseStatus.evseStatusRecord[0].evseStatus",
        ),
        ({"Timestamp": "now"}, "operatorEvseStatus.timestamp"),
    ],
)
def test_a_field_outside_the_contract_is_refused(members: dict[str, Any], reference: str) -> None:
    # Hubject refuses the request whole; a laxer stand-in would hide a mapping bug until production.
    assert refs(body("update", {}, **members)) == [reference]


def test_an_unknown_action_and_broken_json_are_refused() -> None:
    # Both come as 400; the second without any field reference.
    assert refs(body("replace", {})) == ["actionType"]
    for broken in (b"", b"{", b"\xff", b"[" * 100_000):
        assert refs(broken) == []
    assert refs(b"[]") == [""]


def test_unknown_members_and_small_letters_are_broken_rules() -> None:
    # OICP knows no timestamp in a status push; letters go out in upper case.
    hub = make()
    hub.push_status(OPERATOR, status_push(body("update", {}, Timestamp="now")))
    hub.note_spelling(OPERATOR, push("update", {"de*slb*E1": "Available"}))
    hub.note_spelling(OPERATOR, push("update", {"DE*SLB*E1": "Available"}))
    assert [broken.rule for broken in hub.journal.broken] == ["unknown_member", "lower_case_id"]


def test_a_late_request_lands_on_top_of_newer_ones() -> None:
    # The reason for settle and re-assertion: Hubject may apply a request after its client gave up.
    hub = make()
    hub.late.append(Late(5.0, OPERATOR, push("update", {"DE*SLB*E1": "Unknown"}), ("late_apply",)))
    hub.push_status(OPERATOR, push("update", {"DE*SLB*E1": "Occupied"}))
    assert hub.release(4.9) == 0
    assert hub.release(5.0) == 1
    assert hub.release() == 0
    assert hub.holdings.statuses(OPERATOR)["DE*SLB*E1"] == "Unknown"
    assert [(entry.late, entry.changed) for entry in hub.journal.entries] == [(True, 1)]


def test_late_requests_come_in_the_order_they_are_due() -> None:
    # A test that releases two late applies must get one outcome, always the same.
    hub = make()
    for due, status in ((9.0, "Unknown"), (3.0, "Occupied")):
        hub.late.append(Late(due, OPERATOR, push("update", {"DE*SLB*E1": status}), ()))
    assert hub.release() == 2
    assert hub.holdings.statuses(OPERATOR)["DE*SLB*E1"] == "Unknown"


def test_data_pushes_register_and_withdraw_evse_data() -> None:
    # 603 must go away once the EVSE data is there, and come back when it is not.
    hub = make(evse_data=["DE*ABC*E1"])
    hub.evse_data.push("fullLoad", ["DESLBE1", "DESLBE2"], hub.prefixes(OPERATOR))
    assert hub.evse_data.missing(push("update", HELD)) == ()
    hub.evse_data.push("delete", ["DESLBE2"], hub.prefixes(OPERATOR))
    assert hub.evse_data.missing(push("update", HELD)) == ("DE*SLB*E2",)
    hub.evse_data.push("fullLoad", [], hub.prefixes(OPERATOR))
    assert len(hub.evse_data.missing(push("update", HELD))) == 2
