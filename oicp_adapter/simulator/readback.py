"""The two read-backs, which only a partner with an EMP role may use (docs/oicp-notes.md "The request").

An id nobody pushed comes back as `EvseNotFound`, not as an error and not left out.
"""

import msgspec

from oicp_adapter.simulator import answers
from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.hub import Hub
from oicp_adapter.simulator.ids import evse_key, provider_key
from oicp_adapter.simulator.validate import FieldError, PullById, PullByOperator


def by_operator(hub: Hub, provider: str, body: bytes) -> Answer:
    """Everything the operators asked for hold; an operator unknown to Hubject is left out."""
    try:
        asked = msgspec.json.decode(body, type=PullByOperator)
    except (msgspec.MsgspecError, RecursionError):
        return answers.invalid([FieldError("operatorID", "must be a list of OperatorIDs")])
    if provider_key(asked.ProviderID) != provider_key(provider):
        return answers.unauthorized()
    found = [
        {
            "OperatorID": operator,
            "OperatorName": None,
            "EvseStatusRecord": _records(hub.holdings.statuses(operator)),
        }
        for operator in asked.OperatorID
        if hub.holdings.knows(operator)
    ]
    return answers.read_back({"EvseStatuses": {"OperatorEvseStatus": found}})


def by_id(hub: Hub, provider: str, body: bytes) -> Answer:
    """The status of up to 100 EVSEs, in the order and spelling asked for."""
    try:
        asked = msgspec.json.decode(body, type=PullById)
    except (msgspec.MsgspecError, RecursionError):
        return answers.invalid([FieldError("evseID", "must be a list of at most 100 EvseIDs")])
    if provider_key(asked.ProviderID) != provider_key(provider):
        return answers.unauthorized()
    statuses = {}
    for wire in asked.EvseID:
        held = hub.holdings.find(evse_key(wire) or wire)
        statuses[wire] = held.status if held else "EvseNotFound"
    return answers.read_back({"EVSEStatusRecords": {"EvseStatusRecord": _records(statuses)}})


def _records(statuses: dict[str, str]) -> list[dict[str, str]]:
    return [{"EvseID": wire, "EvseStatus": status} for wire, status in statuses.items()]
