"""Every answer of docs/oicp-notes.md, and whatever else may come."""

from __future__ import annotations

import json
from email.utils import formatdate

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.codes import CODES
from oicp_adapter.oicp.interpret import RETRY_AFTER_DEFAULT, RETRY_AFTER_MAX, interpret

NOW = 1_700_000_000.0
JSON = {"Content-Type": "application/json;charset=UTF-8", "Process-ID": "dc83fb59-0000"}
HTML = {"Content-Type": "text/html"}
NULLS = b'"SessionID":null,"CPOPartnerSessionID":null,"EMPPartnerSessionID":null}'
APPLIED = b'{"Result":true,"StatusCode":{"Code":"000","Description":null,"AdditionalInfo":null},' + NULLS


def read(status: int, body: bytes, headers: dict[str, str] | None = None, *, records: int = 10) -> Answer:
    return interpret(status, body, headers=JSON if headers is None else headers, now=NOW, records=records)


def refusal(code: str, description: str = "x", info: str | None = None, *, result: bool = False) -> bytes:
    status = {"Code": code, "Description": description, "AdditionalInfo": info}
    return json.dumps({"Result": result, "StatusCode": status, "SessionID": None}).encode()


def bare(code: str, description: str) -> bytes:
    return json.dumps(
        {"StatusCode": {"Code": code, "Description": description, "AdditionalInfo": None}}
    ).encode()


def page(title: str) -> bytes:
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body>{title}<hr>nginx</body></html>".encode()


def errors(*references: object) -> bytes:
    listed = [{"fieldReference": reference, "errorMessage": "must match ..."} for reference in references]
    return json.dumps({"message": "Error parsing/validating JSON.", "validationErrors": listed}).encode()


MISSING = "EVSE data records missing for EvseIDs: DE811E288B04491002,DE811E288B04491003"
INDEXED = "operatorEvseStatus.evseStatusRecord[3].evseID"
WRONG_URI = "OICP service not found for URI: /api/oicp/evsepush/v23/operators/DE*BDO/status-records"

ANSWERS = [
    pytest.param(200, APPLIED, JSON, Reaction.APPLIED, "000", id="200 applied"),
    pytest.param(200, refusal("603", info=MISSING), JSON, Reaction.REFUSED, "603", id="603"),
    pytest.param(200, refusal("018", "Duplicate EVSE IDs"), JSON, Reaction.REFUSED, "018", id="018"),
    pytest.param(200, refusal("022", "Data error"), JSON, Reaction.REFUSED, "022", id="022"),
    *(
        pytest.param(200, refusal(code), JSON, Reaction.TRANSIENT, code, id=code)
        for code in ("001", "002", "009", "021", "310", "320")
    ),
    pytest.param(400, errors(INDEXED), JSON, Reaction.REFUSED, "", id="400 by index"),
    pytest.param(
        400,
        errors("operatorEvseStatus.operatorName"),
        JSON,
        Reaction.STOPPED,
        "",
        id="400 outside the records",
    ),
    pytest.param(
        400, page("400 The SSL Certificate Error"), HTML, Reaction.STOPPED, "", id="400 certificate"
    ),
    pytest.param(401, bare("017", "Unauthorized Access"), JSON, Reaction.STOPPED, "017", id="401 017"),
    pytest.param(403, page("403 Forbidden"), HTML, Reaction.STOPPED, "", id="403 nginx"),
    pytest.param(
        403, bare("210", "No active subscription found"), JSON, Reaction.STOPPED, "210", id="403 210"
    ),
    pytest.param(404, bare("300", "Partner not found"), JSON, Reaction.STOPPED, "300", id="404 300"),
    pytest.param(404, bare("001", WRONG_URI), JSON, Reaction.STOPPED, "001", id="404 wrong path"),
    pytest.param(200, bare("001", WRONG_URI), JSON, Reaction.STOPPED, "001", id="200 wrong path"),
    pytest.param(500, bare("001", "Unexpected error ..."), JSON, Reaction.TRANSIENT, "001", id="500 001"),
    pytest.param(408, b"", {}, Reaction.IN_DOUBT, "", id="408"),
    *(
        pytest.param(status, page(f"{status} Oops"), HTML, Reaction.IN_DOUBT, "", id=f"{status} page")
        for status in (500, 502, 503, 504)
    ),
    pytest.param(413, page("413 Request Entity Too Large"), HTML, Reaction.TOO_LARGE, "", id="413"),
    pytest.param(429, page("429 Too Many Requests"), HTML, Reaction.THROTTLED, "", id="429"),
    pytest.param(200, page("Welcome"), HTML, Reaction.IN_DOUBT, "", id="200 HTML"),
    pytest.param(200, APPLIED[:-9], JSON, Reaction.IN_DOUBT, "", id="200 cut off"),
    pytest.param(200, b"", JSON, Reaction.IN_DOUBT, "", id="200 empty"),
    pytest.param(200, b"{}", JSON, Reaction.IN_DOUBT, "", id="200 says nothing"),
    pytest.param(200, refusal("777"), JSON, Reaction.REFUSED, "777", id="unknown code"),
    pytest.param(302, b"", {"Location": "/login"}, Reaction.STOPPED, "", id="redirect"),
    pytest.param(405, page("405 Not Allowed"), HTML, Reaction.STOPPED, "", id="405"),
]


@pytest.mark.parametrize(("status", "body", "headers", "reaction", "code"), ANSWERS)
def test_every_answer_seen_in_the_field_asks_for_its_reaction(
    status: int, body: bytes, headers: dict[str, str], reaction: Reaction, code: str
) -> None:
    # The whole delivery decides by this: a refusal read as success is a status lost for good.
    answer = read(status, body, headers)
    assert (answer.reaction, answer.code, answer.http_status) == (reaction, code, status)
    assert answer.process_id == headers.get("Process-ID")


@pytest.mark.parametrize(("status", "body", "headers", "reaction", "code"), ANSWERS)
def test_whatever_stops_the_pushes_says_how_to_go_on(
    status: int, body: bytes, headers: dict[str, str], reaction: Reaction, code: str
) -> None:
    # At 03:00 "403" alone sends the wrong person looking.
    if reaction is Reaction.STOPPED:
        assert read(status, body, headers).hint


@pytest.mark.parametrize(("status", "body", "headers", "reaction", "code"), ANSWERS)
def test_the_declared_charset_and_the_case_of_headers_change_nothing(
    status: int, body: bytes, headers: dict[str, str], reaction: Reaction, code: str
) -> None:
    # Hubject's instances differ in both.
    other = {name.upper(): value for name, value in headers.items()}
    other["CONTENT-TYPE"] = "application/json;charset=ISO-8859-1"
    for prefix in (b"", b"\xef\xbb\xbf", b"\r\n "):
        assert read(status, prefix + body, other).reaction is reaction


def test_an_answer_in_iso_8859_1_is_read() -> None:
    # An umlaut in a description must not turn a refusal into doubt.
    body = '{"Result":false,"StatusCode":{"Code":"022","Description":"Ungültig"}}'.encode("iso-8859-1")
    answer = read(200, body)
    assert answer.reaction is Reaction.REFUSED
    assert "Ungültig" in answer.text


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, refusal("000")),
        (200, bare("000", "Success")),
        (200, b'{"Result":true}'),
        (200, b'{"Result":"true","StatusCode":{"Code":"000"}}'),
        (200, b'{"Result":1,"StatusCode":{"Code":"000"}}'),
        (200, refusal("777", result=True)),
        (201, APPLIED),
        (202, APPLIED),
        (400, APPLIED),
        (429, APPLIED),
        (500, APPLIED),
    ],
)
def test_an_answer_that_contradicts_itself_is_in_doubt(status: int, body: bytes) -> None:
    # Half a success is none, and not a refusal either: it may have been applied.
    assert read(status, body).reaction is Reaction.IN_DOUBT


def test_a_refusing_code_counts_even_where_result_is_true() -> None:
    # In doubt, the named EVSEs would be sent again for ever and never isolated.
    answer = read(200, refusal("603", info=MISSING, result=True))
    assert answer.reaction is Reaction.REFUSED


def test_a_code_written_as_a_number_is_understood() -> None:
    # A JSON library on the way may drop the quotes.
    assert read(200, b'{"Result":true,"StatusCode":{"Code":0}}').reaction is Reaction.APPLIED


@pytest.mark.parametrize("body", [b'{"Result":false}', b'{"Result":false,"StatusCode":{"Code":null}}'])
def test_a_refusal_without_a_code_is_still_a_refusal(body: bytes) -> None:
    # Bisection finds the culprit; doubt would never end.
    assert read(200, body).reaction is Reaction.REFUSED
    assert read(503, body).reaction is Reaction.IN_DOUBT


def test_only_an_undocumented_code_is_reported_as_unknown() -> None:
    # `hub.code_unknown` is how a new code of Hubject comes to our notice; false alarms would hide it.
    assert not read(200, refusal("777")).code_known
    assert all(read(200, refusal(code)).code_known for code in CODES)
    assert read(503, b"").code_known


@pytest.mark.parametrize(
    ("info", "named"),
    [
        (MISSING, ("DE811E288B04491002", "DE811E288B04491003")),
        ("EVSE data records missing for EvseIDs: DE811E1", ("DE811E1",)),
        (
            "missing: DE*811*E1*2; +49*811*000*1 ,49811000123.",
            ("DE*811*E1*2", "+49*811*000*1", "49811000123"),
        ),
        ("missing: DE811E1,DE811E1", ("DE811E1",)),
        ("DE811E1, DE811E2", ("DE811E1", "DE811E2")),
        ("NODATE7 in request: DE811E1", ("DE811E1",)),
        ("was deleted, created or updated by 3 others", ()),
        ("Some EVSEs: already existent", ()),
        (None, ()),
        ("", ()),
    ],
)
@pytest.mark.parametrize("code", ["603", "022", "018"])
def test_the_evses_a_refusal_names_are_found(code: str, info: str | None, named: tuple[str, ...]) -> None:
    # They are quarantined and the rest is resent at once; a word taken for an id would force bisection.
    assert read(200, refusal(code, info=info)).named_ids == named


@pytest.mark.parametrize(
    ("body", "not_there"),
    [
        (refusal("603", info=MISSING), True),
        (refusal("603", "any text"), True),
        (refusal("022", "Data error"), False),
        (refusal("022", "Data error", "EVSE does not exist: DE*ABC*E1"), True),
        (refusal("022", "EvseID could not be found"), True),
        (refusal("777", "no such EVSE"), True),
        (refusal("022", "EVSE already exists", "DEABCE1"), False),
        (refusal("022", "EvseStatus EvseNotFound is not allowed"), False),
        (refusal("018", "Duplicate EVSE IDs"), False),
        (bare("001", "OICP service not found for URI: /x"), False),
    ],
)
def test_a_refusal_says_by_603_or_in_words_that_the_evse_is_not_there(body: bytes, not_there: bool) -> None:
    # A removal refused for another reason is taken for done, and the charger stays on the map.
    assert read(200, body).not_there is not_there


@pytest.mark.parametrize(
    ("references", "reaction", "indexes"),
    [
        ((INDEXED,), Reaction.REFUSED, (3,)),
        (("OperatorEvseStatus.EvseStatusRecord[3].EvseID",), Reaction.REFUSED, (3,)),
        (("a.evseStatusRecord[9].evseID", "a.evseStatusRecord[0]", "a.evseStatusRecord[9].evseStatus"),
         Reaction.REFUSED, (0, 9)),
        (("operatorEvseStatus.operatorID", INDEXED), Reaction.REFUSED, (3,)),
        (("operatorEvseStatus.operatorID",), Reaction.STOPPED, ()),
        (("operatorEvseStatus.evseStatusRecord",), Reaction.STOPPED, ()),
        (("evseStatusRecord[10].evseID",), Reaction.STOPPED, ()),
        (("evseStatusRecord[-1].evseID",), Reaction.STOPPED, ()),
        ((None,), Reaction.REFUSED, ()),
        ((), Reaction.REFUSED, ()),
    ],
)  # fmt: skip
def test_field_references_name_records_or_accuse_the_operator(
    references: tuple[object, ...], reaction: Reaction, indexes: tuple[int, ...]
) -> None:
    # A wrong operator name must stop and be reported, not put ten thousand EVSEs into quarantine.
    answer = read(400, errors(*references))
    assert (answer.reaction, answer.indexes) == (reaction, indexes)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        (formatdate(NOW + 120, usegmt=True), 120.0),
        ("Tue, 14 Nov 2023 22:15:20 -0000", 120.0),
        (formatdate(NOW - 120, usegmt=True), RETRY_AFTER_DEFAULT),
        ("-5", RETRY_AFTER_DEFAULT),
        ("soon", RETRY_AFTER_DEFAULT),
        ("", RETRY_AFTER_DEFAULT),
        ("²", RETRY_AFTER_DEFAULT),
        ("9" * 5000, RETRY_AFTER_DEFAULT),
        ("Mon, 99 Foo 99999 99:99:99 GMT", RETRY_AFTER_DEFAULT),
        ("86400000", RETRY_AFTER_MAX),
        (formatdate(NOW + 9e7, usegmt=True), RETRY_AFTER_MAX),
        (None, RETRY_AFTER_DEFAULT),
    ],
)
def test_retry_after_is_honoured_in_both_forms_and_bounded(value: str | None, seconds: float) -> None:
    # Parsed as a number only, a date means hammering a hub that asked for rest; unbounded, a typo means silence.
    answer = read(429, b"", {} if value is None else {"Retry-After": value})
    assert answer.retry_after == pytest.approx(seconds)


def test_retry_after_counts_with_other_answers_too() -> None:
    # Hubject's "service not available" may say when to come back; without the header there is nothing to wait for.
    assert read(200, refusal("320"), {"Retry-After": "3"}).retry_after == 3.0
    assert read(200, refusal("320"), {}).retry_after is None


def test_the_text_is_one_bounded_printable_line() -> None:
    # It goes into logs and terminals: no page of HTML, no escape sequences, no ten thousand ids.
    info = "missing: " + ",".join(f"DE811E{number}" for number in range(20_000)) + "\x1b[2J\n\x00"
    answer = read(200, refusal("603", "bad\r\nlog line", info))
    assert len(answer.named_ids) == 20_000
    assert len(answer.text) < 600
    assert answer.text.isprintable()
    assert "<" not in read(502, page("502 Bad Gateway"), HTML).text


PLAUSIBLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["000", "001", "603", "022", INDEXED, MISSING]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Result", "StatusCode", "Code", "Description", "AdditionalInfo", "message", "validationErrors",
             "fieldReference", "errorMessage"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.integers(0, 999),
    st.binary(max_size=200) | PLAUSIBLE.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["Retry-After", "Process-ID", "content-type"]), st.text(max_size=40)),
    st.integers(0, 5),
)
@example(200, b"[" * 200_000, {}, 1)
@example(200, b'{"a":' * 100_000, {}, 1)
@example(200, b'{"StatusCode":{"Code":1e999}}', {}, 1)
@example(200, b'{"Result":true,"StatusCode":{"Code":"\\ud800"}}', {}, 1)
@example(429, b"", {"Retry-After": "Thu, 01 Jan 0001 00:00:00 +2359"}, 1)
def test_no_answer_whatever_its_bytes_raises_or_is_taken_for_success(
    status: int, body: bytes, headers: dict[str, str], records: int
) -> None:
    # The daemon runs for months; one odd byte from a gateway must not end it, nor commit anything.
    answer = interpret(status, body, headers=headers, now=NOW, records=records)
    assert all(0 <= index < records for index in answer.indexes)
    assert answer.retry_after is None or 0 <= answer.retry_after <= RETRY_AFTER_MAX
    msgspec.json.encode(answer)
    if answer.reaction is Reaction.APPLIED:
        said = json.loads(body.decode("utf-8-sig"))
        assert status == 200
        assert said["Result"] is True
        assert said["StatusCode"]["Code"] in ("000", 0)
