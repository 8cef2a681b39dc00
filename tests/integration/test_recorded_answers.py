"""Hubject's answers as they were recorded, byte for byte, through the real client.

The danger: a test's own JSON library writes tidier answers than the field does. Here are the reason phrases, or none,
charsets in three spellings, members that are null, pages without a Process-ID, and names without separators.
"""

from __future__ import annotations

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.hub import HubClient, HubOptions
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest
from tests.fakes.clock import HurriedClock
from tests.fakes.raw_server import RawServer, answering

PROCESS_ID = "dc83fb59-5b1f-4c5c-a2a9-3f0c5c4a1e11"
UTF8, SHOUTED, LATIN = (f"application/json;charset={name}" for name in ("utf-8", "UTF-8", "ISO-8859-1"))
HTML = "text/html"


def recorded(status: str, content_type: str, body: str, *more: str) -> bytes:
    """A whole answer. nginx's pages carry no Process-ID."""
    data = body.encode("iso-8859-1" if content_type == LATIN else "utf-8")
    lines = [f"HTTP/1.1 {status}", "Server: nginx", f"Content-Type: {content_type}", *more]
    lines += [f"Content-Length: {len(data)}", "Connection: keep-alive"]
    lines += [] if content_type == HTML else [f"Process-ID: {PROCESS_ID}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


def nginx(title: str) -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )


NULLS = '"SessionID":null,"CPOPartnerSessionID":null,"EMPPartnerSessionID":null}'
APPLIED = '{"Result":true,"StatusCode":{"Code":"000","Description":null,"AdditionalInfo":null},' + NULLS
NO_DATA = (
    '{"Result":false,"StatusCode":{"Code":"603","Description":"One or more EVSE data record not found!",'
    '"AdditionalInfo":"EVSE data records missing for EvseIDs: DE811E288B04491002,DE811E288B04491003"},'
    + NULLS
)
DUPLICATE = (
    '{"Result":false,"StatusCode":{"Code":"018","Description":"Duplicate EVSE IDs","AdditionalInfo":null},'
    + NULLS
)
INVALID = (
    '{"message":"Error parsing/validating JSON.","validationErrors":[{"fieldReference":'
    '"operatorEvseStatus.evseStatusRecord[3].evseID","errorMessage":"must match \\"^[A-Za-z]{2}\\""}]}'
)
WRONG_NAME = (
    '{"message":"Error parsing/validating JSON.","validationErrors":[{"fieldReference":'
    '"operatorEvseStatus.operatorName","errorMessage":"size must be between 0 and 100"}]}'
)


def bare(code: str, description: str) -> str:
    return '{"StatusCode":{"Code":"' + code + '","Description":"' + description + '","AdditionalInfo":null}}'


NO_SERVICE = "OICP service not found for URI: /api/oicp/evsepush/v22/operators/DE*ABC/status-records"
CERTIFICATE = "400 The SSL Certificate Error"

ANSWERS = [
    pytest.param(recorded("200 ", UTF8, APPLIED), Reaction.APPLIED, "000", id="applied, no reason phrase"),
    pytest.param(recorded("200 OK", LATIN, APPLIED), Reaction.APPLIED, "000", id="applied, ISO-8859-1"),
    pytest.param(recorded("200 OK", SHOUTED, NO_DATA), Reaction.REFUSED, "603", id="603"),
    pytest.param(recorded("200 OK", UTF8, DUPLICATE), Reaction.REFUSED, "018", id="018"),
    pytest.param(recorded("400 Bad Request", LATIN, INVALID), Reaction.REFUSED, "", id="400, a record"),
    pytest.param(recorded("400 ", LATIN, WRONG_NAME), Reaction.STOPPED, "", id="400, outside the records"),
    pytest.param(
        recorded("400 Bad Request", HTML, nginx(CERTIFICATE)),
        Reaction.STOPPED,
        "",
        id="400, certificate page",
    ),
    pytest.param(
        recorded("401 ", SHOUTED, bare("017", "Unauthorized Access")), Reaction.STOPPED, "017", id="017"
    ),
    pytest.param(
        recorded("403 Forbidden", HTML, nginx("403 Forbidden")), Reaction.STOPPED, "", id="403, page"
    ),
    pytest.param(
        recorded("403 ", UTF8, bare("210", "No active subscription found")),
        Reaction.STOPPED,
        "210",
        id="210",
    ),
    pytest.param(recorded("404 ", UTF8, bare("300", "Partner not found")), Reaction.STOPPED, "300", id="300"),
    pytest.param(recorded("404 ", UTF8, bare("001", NO_SERVICE)), Reaction.STOPPED, "001", id="no service"),
    pytest.param(
        recorded("500 ", UTF8, bare("001", "Unexpected error")), Reaction.TRANSIENT, "001", id="500"
    ),
    pytest.param(recorded("502 ", HTML, nginx("502 Bad Gateway")), Reaction.IN_DOUBT, "", id="502"),
    pytest.param(
        recorded("503 Service Temporarily Unavailable", HTML, nginx("503 Service Temporarily Unavailable")),
        Reaction.IN_DOUBT,
        "",
        id="503",
    ),
    pytest.param(
        recorded("408 Request Time-out", HTML, nginx("408 Request Time-out")),
        Reaction.IN_DOUBT,
        "",
        id="408",
    ),
    pytest.param(
        recorded("413 Request Entity Too Large", HTML, nginx("413 Request Entity Too Large")),
        Reaction.TOO_LARGE,
        "",
        id="413",
    ),
    pytest.param(
        recorded("429 Too Many Requests", HTML, nginx("429 Too Many Requests"), "Retry-After: 7"),
        Reaction.THROTTLED,
        "",
        id="429",
    ),
    pytest.param(recorded("200 OK", HTML, nginx("Welcome")), Reaction.IN_DOUBT, "", id="200, a page"),
    pytest.param(recorded("200 OK", UTF8, APPLIED[:-20]), Reaction.IN_DOUBT, "", id="200, cut off"),
]


def pushed(answer: bytes) -> Answer:
    records = [(f"DE*811*E288*B0449*100{number}", EvseStatus.AVAILABLE) for number in range(1, 6)]
    request = PushRequest(
        action=ActionType.UPDATE, operator_id="DE*811", operator_name="Test", records=records
    )
    with RawServer(answering(answer)) as server:
        hub = HubClient(HubOptions(base_url=server.base_url, attempts=1), clock=HurriedClock())
        found = hub.push(request)
        hub.close()
    return found


@pytest.mark.parametrize(("answer", "reaction", "code"), ANSWERS)
def test_an_answer_as_recorded_is_read_as_it_is_meant(answer: bytes, reaction: Reaction, code: str) -> None:
    # The adapter works against its own simulator, and reads the first real answer wrongly.
    found = pushed(answer)
    assert (found.reaction, found.code) == (reaction, code)
    assert found.process_id == (None if b"text/html" in answer else PROCESS_ID)
    assert found.code_known


def test_the_names_and_the_index_of_a_recorded_refusal_are_found() -> None:
    # Named without separators; the index counts from 0.
    assert pushed(recorded("200 OK", SHOUTED, NO_DATA)).named_ids == (
        "DE811E288B04491002",
        "DE811E288B04491003",
    )
    assert pushed(recorded("400 Bad Request", LATIN, INVALID)).indexes == (3,)
