"""Every answer Hubject has been seen to give, as data: status, body shape, charset, headers.

Source: docs/oicp-notes.md "Answers". The differences in shape are the point: 200 may be a refusal,
401/403/404/500 carry a StatusCode but no Result, 400 carries neither, an nginx page has no Process-ID, and
the charset varies.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from oicp_adapter.simulator.ids import without_separators
from oicp_adapter.simulator.validate import FieldError

DESCRIPTIONS = {
    "000": "Success",
    "001": "Hubject system error",
    "002": "Hubject database error",
    "009": "Data transaction error",
    "017": "Unauthorized Access",
    "018": "Duplicate EVSE IDs",
    "021": "System error",
    "022": "Data error",
    "210": "No active subscription found",
    "300": "Partner not found",
    "310": "System error",
    "320": "Service not available",
    "603": "One or more EVSE data record not found!",
}
"""Texts that go with a code; where Hubject publishes several, one of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `reason` None is the usual phrase; `code` is what the journal shows ("" if the body
    has none).
    """

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    code: str = ""
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    from_hub: bool = True
    """False for a page of the proxy in front of Hubject: no Process-ID."""


def success() -> Answer:
    """Applied. The unused members are JSON null, as recorded."""
    return _result(result=True, code="000", info=None, charset="utf-8")


def refusal(code: str, description: str = "", info: str | None = None) -> Answer:
    """HTTP 200 and nevertheless refused."""
    return _result(result=False, code=code, description=description, info=info, charset="UTF-8")


def evse_data_missing(evse_ids: Iterable[str]) -> Answer:
    """603, which names the EVSEs without their separators."""
    names = ",".join(without_separators(wire) for wire in evse_ids)
    return refusal("603", info=f"EVSE data records missing for EvseIDs: {names}")


def _result(*, result: bool, code: str, info: str | None, charset: str, description: str = "") -> Answer:
    body = {
        "Result": result,
        "StatusCode": _status_code(code, description, info),
        "SessionID": None,
        "CPOPartnerSessionID": None,
        "EMPPartnerSessionID": None,
    }
    return _json(200, body, code=code, charset=charset)


def _status_code(code: str, description: str = "", info: str | None = None) -> dict[str, str | None]:
    text = description or DESCRIPTIONS.get(code, "Unspecified")
    return {"Code": code, "Description": text, "AdditionalInfo": info}


def _json(status: int, body: object, *, code: str = "", charset: str = "utf-8") -> Answer:
    data = msgspec.json.encode(body)
    if charset.upper() == "ISO-8859-1":
        data = data.decode().encode("iso-8859-1", "replace")
    return Answer(status, data, f"application/json;charset={charset}", code)


def bare(status: int, code: str, description: str = "", info: str | None = None) -> Answer:
    """A StatusCode without Result: the shape of 401, 403, 404 and 500."""
    return _json(status, {"StatusCode": _status_code(code, description, info)}, code=code, charset="UTF-8")


def read_back(members: dict[str, object]) -> Answer:
    """A read-back: its members and a StatusCode, no Result."""
    return _json(200, {**members, "StatusCode": _status_code("000")}, code="000")


def invalid(errors: Iterable[FieldError]) -> Answer:
    """400: neither Result nor StatusCode, only field references."""
    listed = [{"fieldReference": error.reference, "errorMessage": error.message} for error in errors]
    body = {"message": "Error parsing/validating JSON.", "validationErrors": listed}
    return _json(400, body, charset="ISO-8859-1")


def page(status: int, title: str, *, reason: str | None = None) -> Answer:
    """A page in the manner of nginx: HTML, no code, no Process-ID."""
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, html.encode(), "text/html", reason=reason, from_hub=False)


def ssl_certificate_error() -> Answer:
    """400 HTML: the TLS layer in front of Hubject does not trust the client's chain."""
    return page(400, "400 The SSL Certificate Error")


def unauthorized() -> Answer:
    """401 code 017: operator and client certificate do not belong together, or the certificate expired."""
    return bare(401, "017")


def forbidden_address() -> Answer:
    """403 HTML: the source address is not on Hubject's allow-list."""
    return page(403, "403 Forbidden")


def no_subscription() -> Answer:
    """403 code 210: no contract for the service."""
    return bare(403, "210")


def partner_not_found() -> Answer:
    """404 code 300: the operator is unknown."""
    return bare(404, "300")


def service_not_found(uri: str) -> Answer:
    """404 code 001 for a wrong path or version: permanent, unlike any other 001."""
    return bare(404, "001", f"OICP service not found for URI: {uri}")


def internal_error() -> Answer:
    """500 code 001: trouble inside the broker."""
    return bare(500, "001", "Unexpected error while processing the request")


def too_large() -> Answer:
    """413, from the proxy, before the body was read."""
    return replace(page(413, "413 Request Entity Too Large"), headers={"Connection": "close"})


def too_many(retry_after: str | None) -> Answer:
    """429; `retry_after` is seconds or an HTTP date, or missing."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return replace(page(429, "429 Too Many Requests"), headers=headers)
