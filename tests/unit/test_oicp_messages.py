"""Endpoints and wire messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.oicp import endpoints
from oicp_adapter.oicp.messages import PushRequest, body


def request(records: Sequence[tuple[str, EvseStatus]], action: ActionType = ActionType.UPDATE) -> PushRequest:
    return PushRequest(action=action, operator_id="DE*ABC", operator_name="A BC", records=records)


def test_the_path_of_a_status_push_is_what_hubject_documents() -> None:
    # A wrong version or a bare star: "OICP service not found", and nothing is ever published.
    assert (
        endpoints.url(endpoints.PUSH_EVSE_STATUS, base_url=endpoints.BASE_URLS["qa"], partner_id="DE*ABC")
        == "https://service-qa.hubject.com/api/oicp/evsepush/v21/operators/DE%2AABC/status-records"
    )


def test_a_slash_after_the_base_url_does_not_double() -> None:
    # People paste base URLs with and without it.
    made = endpoints.url(
        endpoints.PUSH_EVSE_DATA, base_url="http://127.0.0.1:1/api/oicp/", partner_id="+49*123"
    )
    assert made == "http://127.0.0.1:1/api/oicp/evsepush/v23/operators/%2B49%2A123/data-records"


def test_a_message_has_exactly_the_documented_members() -> None:
    # Hubject answers 400 to a member it does not know.
    made = body(request([("DE*ABC*E1", EvseStatus.OUT_OF_SERVICE), ("DE*ABC*E2", EvseStatus.AVAILABLE)]))
    assert b"".join(made) == (
        b'{"ActionType":"update","OperatorEvseStatus":{"OperatorID":"DE*ABC","OperatorName":"A BC",'
        b'"EvseStatusRecord":[{"EvseID":"DE*ABC*E1","EvseStatus":"OutOfService"},'
        b'{"EvseID":"DE*ABC*E2","EvseStatus":"Available"}]}}'
    )


def test_an_empty_full_load_is_a_message_too() -> None:
    # It is how an operator who leaves is withdrawn; it must not turn into broken JSON.
    made = b"".join(body(request([], ActionType.FULL_LOAD)))
    assert json.loads(made)["OperatorEvseStatus"]["EvseStatusRecord"] == []


@pytest.mark.parametrize("count", [1, 4_999, 5_000, 5_001, 10_000, 12_345])
def test_the_chunks_of_a_big_message_make_one_json_document(count: int) -> None:
    # A comma lost at a chunk boundary: every fullLoad above 5,000 EVSEs is refused.
    records = [(f"DE*ABC*E{number}", EvseStatus.OCCUPIED) for number in range(count)]
    sent = json.loads(b"".join(body(request(records))))["OperatorEvseStatus"]["EvseStatusRecord"]
    assert [(record["EvseID"], record["EvseStatus"]) for record in sent] == records


@pytest.mark.parametrize("count", [3, 12_345])
def test_a_message_can_be_sent_twice_and_says_its_length(count: int) -> None:
    # A retried fullLoad with an exhausted body is empty, and deletes the fleet.
    made = body(request([(f"DE*ABC*E{number}", EvseStatus.UNKNOWN) for number in range(count)]))
    first, second = b"".join(made), b"".join(made)
    assert first == second
    assert len(first) == made.length


@given(st.text(max_size=100), st.lists(st.text(max_size=40), max_size=5))
def test_any_name_survives_the_encoding(name: str, ids: list[str]) -> None:
    # Operator names carry umlauts and quotes; the length must count bytes, not characters.
    made = body(
        PushRequest(
            action=ActionType.INSERT,
            operator_id="DE*ABC",
            operator_name=name,
            records=[(wire, EvseStatus.AVAILABLE) for wire in ids],
        )
    )
    sent = b"".join(made)
    assert len(sent) == made.length
    assert json.loads(sent)["OperatorEvseStatus"]["OperatorName"] == name


class _Counting(Sequence[tuple[str, EvseStatus]]):
    """Claims a million records and makes them when asked, in slices; counts the largest slice."""

    largest = 0

    def __len__(self) -> int:
        return 30_000

    def __getitem__(self, index: int | slice) -> object:  # type: ignore[override]
        assert isinstance(index, slice)
        numbers = range(*index.indices(len(self)))
        self.largest = max(self.largest, len(numbers))
        return [(f"DE*ABC*E{number}", EvseStatus.AVAILABLE) for number in numbers]

    def __iter__(self) -> Iterator[tuple[str, EvseStatus]]:
        raise AssertionError("read as a whole")


def test_a_big_message_is_encoded_piece_by_piece() -> None:
    # A million EVSEs encoded at once take 56 MB twice, in a container with 128.
    records = _Counting()
    assert max(len(part) for part in body(request(records))) < 1_000_000
    assert records.largest == 5_000
