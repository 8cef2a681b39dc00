"""Which faults strike which requests, how often, and what they answer."""

import msgspec
import pytest

from oicp_adapter.simulator import FAULT_KINDS, Fault, FaultBox
from oicp_adapter.simulator.fault_answers import answer_of
from oicp_adapter.simulator.validate import StatusPush, status_push

OPERATOR = "DE*SLB"


def push(action: str, *wires: str) -> StatusPush:
    records = [{"EvseID": wire, "EvseStatus": "Available"} for wire in wires]
    body = {"ActionType": action, "OperatorEvseStatus": {"OperatorID": OPERATOR, "EvseStatusRecord": records}}
    parsed = status_push(msgspec.json.encode(body))
    assert isinstance(parsed, StatusPush)
    return parsed


UPDATE = push("update", "DE*SLB*E1", "DE*SLB*E2")
TIME_AND_CONNECTION = {
    "latency_before_apply",
    "latency_after_apply",
    "drop_before_apply",
    "drop_after_apply",
    "hang",
    "late_apply",
    "drip",
    "answered_twice",
    "stale_answer",
}


def struck(
    box: FaultBox, request: StatusPush | None = UPDATE, endpoint: str = "status", operator: str = OPERATOR
) -> bool:
    return bool(box.strike(endpoint, operator, request).names)


@pytest.mark.parametrize(
    ("fault", "hit", "missed"),
    [
        (Fault(kind="hang", actions=("insert", "fullLoad")), push("insert", "DE*SLB*E1"), UPDATE),
        (Fault(kind="hang", evse_ids=("DESLBE2",)), UPDATE, push("update", "DE*SLB*E1")),
        (Fault(kind="hang", more_than=1), UPDATE, push("update", "DE*SLB*E1")),
    ],
)
def test_a_fault_strikes_only_what_it_is_meant_for(fault: Fault, hit: StatusPush, missed: StatusPush) -> None:
    # A fault that strikes too much makes a test pass for the wrong reason.
    box = FaultBox()
    box.add(fault)
    assert not struck(box, missed)
    assert struck(box, hit)


def test_a_fault_can_be_for_one_operator_or_endpoint() -> None:
    # One operator's trouble must be injectable without touching the others.
    box = FaultBox()
    box.add(Fault(kind="hang", operator="DESLB"))
    assert not struck(box, operator="DE*ABC")
    assert not struck(box, None, endpoint="pull-by-id")
    assert struck(box)
    box.add(Fault(kind="hang", endpoint="any"))
    assert struck(box, None, endpoint="data", operator="DE*ABC")


def test_count_skip_and_clear_decide_how_often() -> None:
    # "The next two after the first" must mean exactly that, or fault matrices lie.
    box = FaultBox()
    box.add(Fault(kind="internal_error", count=2, skip=1))
    assert [struck(box) for _ in range(5)] == [False, True, True, False, False]
    assert box.active() == {}
    number = box.add(Fault(kind="hang"))
    assert all(struck(box) for _ in range(5))
    box.remove(number)
    assert not struck(box)
    assert box.hits == {("internal_error", "update"): 2, ("hang", "update"): 5}


def test_chance_is_repeatable() -> None:
    # A failing random run must be the same when it is run again.
    def run(seed: int) -> list[bool]:
        box = FaultBox(seed)
        box.add(Fault(kind="hang", probability=0.5))
        return [struck(box) for _ in range(50)]

    assert run(7) == run(7) != run(8)
    assert 10 < sum(run(7)) < 40


def test_delays_add_up_and_the_first_answer_wins() -> None:
    # Latency and a refusal at once is what an overloaded server does.
    box = FaultBox()
    for fault in (
        Fault(kind="latency_before_apply", seconds=0.1),
        Fault(kind="internal_error"),
        Fault(kind="latency_before_apply", seconds=0.2),
        Fault(kind="latency_after_apply", seconds=0.4),
        Fault(kind="hang", count=1),
    ):
        box.add(fault)
    strike = box.strike("status", OPERATOR, UPDATE)
    assert (round(strike.before, 3), strike.after) == (0.3, 0.4)
    assert strike.fault is not None
    assert strike.fault.kind == "internal_error"
    assert len(box.active()) == 5, "a fault that lost keeps its count"


def test_every_kind_has_an_answer_or_is_about_time_and_connection() -> None:
    # A kind that does nothing would make a test of it pass for nothing.
    for kind in FAULT_KINDS:
        fault = msgspec.convert({"kind": kind}, Fault)
        answered = answer_of(fault, UPDATE, "/x", 0.0) is not None
        assert answered == (kind not in TIME_AND_CONNECTION), kind


def answer(fault: Fault) -> bytes:
    found = answer_of(fault, UPDATE, "/x", 0.0)
    assert found is not None
    return found.body


def test_refusals_name_the_records_at_fault() -> None:
    # Isolation works with the names and indexes Hubject gives.
    two = ("DE*SLB*E2",)
    assert b'EvseIDs: DESLBE2"' in answer(Fault(kind="evse_data_missing", evse_ids=two))
    assert b'"DE*SLB*E2"' in answer(Fault(kind="data_error", evse_ids=two))
    assert b"evseStatusRecord[1].evseID" in answer(Fault(kind="validation_error", evse_ids=two))
    assert b'"AdditionalInfo":null' in answer(Fault(kind="data_error", evse_ids=two, named=False))
    assert b'"AdditionalInfo":"so so"' in answer(Fault(kind="data_error", additional_info="so so"))
    assert b'"operatorEvseStatus.operatorName"' in answer(
        Fault(kind="validation_error", field_reference="operatorEvseStatus.operatorName")
    )
    assert b'"Code":"777"' in answer(Fault(kind="code", code="777"))


def test_retry_after_comes_in_both_forms() -> None:
    # Retry-After read as a number only is a known mistake.
    forms = {}
    for form in ("seconds", "date", "none"):
        fault = msgspec.convert({"kind": "too_many", "seconds": 90, "retry_after": form}, Fault)
        found = answer_of(fault, UPDATE, "/x", 0.0)
        assert found is not None
        forms[form] = found.headers.get("Retry-After")
    assert forms == {"seconds": "90", "date": "Thu, 01 Jan 1970 00:01:30 GMT", "none": None}


@pytest.mark.parametrize(
    "wrong", [{"kind": "nonsense"}, {"kind": "hang", "cuont": 1}, {"kind": "hang", "count": 0}]
)
def test_a_misspelt_fault_is_refused(wrong: dict[str, object]) -> None:
    # A silently ignored fault is a test that tests nothing.
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Fault)
