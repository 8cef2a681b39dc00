"""Reads one HTTP answer of Hubject: pure, and total (never raises, whatever the bytes).

The danger: an answer taken for success that was none loses a status for good; so only HTTP 200 with
`Result` true and code 000 is success, and an answer that says nothing readable, or contradicts itself, is
in doubt. Never decides by the HTTP status where the body says more. Source: docs/oicp-notes.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from oicp_adapter.core.text import one_line
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.codes import (
    CODES,
    NO_EVSE_DATA,
    SUCCESS,
    WRONG_PATH,
    WRONG_PATH_MARK,
    Meaning,
    by_status,
)

RETRY_AFTER_DEFAULT = 10.0
"""Seconds to wait after a 429 that does not say how long, or says nonsense."""
RETRY_AFTER_MAX = 3600.0
"""Longer is taken for this: an hour with no status is already an outage, so ask again then."""

_INDEX = re.compile(r"evseStatusRecord\[([0-9]{1,9})\]", re.IGNORECASE)
_ID_LIKE = re.compile(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}|\+?[0-9][0-9*]{6,40}")
_NOT_THERE = re.compile(
    r"\b(not (be )?found|(does|do|did|could) not exist|doesn't exist|don't exist|not existing|no such)\b",
    re.IGNORECASE,
)
"""Words for an EVSE that Hubject does not have. `EvseNotFound` itself, one word, is a status and says nothing."""
_BETWEEN_IDS = re.compile(r"[^A-Za-z0-9*+]+")


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """The members of an OICP answer, of whatever type they came in, made harmless."""

    json: bool = False
    """The body was a JSON object at all."""
    result: bool | None = None
    code: str = ""
    text: str = ""
    info: str = ""
    references: tuple[str, ...] | None = None


def interpret(
    http_status: int, body: bytes, *, headers: Mapping[str, str], now: float, records: int
) -> Answer:
    """What Hubject's answer to a push of that many `records` means. `now`: epoch seconds, for Retry-After
    dates."""
    text = _decoded(body)
    said = _said(text)
    answer = _judged(http_status, said, records=records)
    lowered = {name.lower(): value for name, value in headers.items()}
    wait = _retry_after(lowered.get("retry-after"), now)
    if wait is None and answer.reaction is Reaction.THROTTLED:
        wait = RETRY_AFTER_DEFAULT
    quoted = said.text if said.json else _without_tags(text)
    spoken_of = answer.reaction is Reaction.REFUSED
    return msgspec.structs.replace(
        answer,
        code=said.code,
        text=one_line(
            f"{answer.text} (HTTP {http_status}{' ' + said.code if said.code else ''}): {quoted}"
        ).removesuffix(":"),
        http_status=http_status,
        process_id=one_line(lowered.get("process-id", "")) or None,
        retry_after=wait,
        not_there=spoken_of and (said.code == NO_EVSE_DATA or bool(_NOT_THERE.search(said.text))),
    )


def _judged(http_status: int, said: _Said, *, records: int) -> Answer:
    """The reaction, by what the body says first, by the HTTP status last."""
    known = CODES.get(said.code)
    if said.code == SUCCESS or (said.result is True and known is None):
        if http_status == 200 and said.result is True and said.code == SUCCESS:
            return Answer(reaction=Reaction.APPLIED, text="applied")
        return Answer(reaction=Reaction.IN_DOUBT, text="the answer contradicts itself")
    if http_status in (413, 429):
        return _answer(by_status(http_status))
    if said.code:
        return _by_code(said, known)
    if said.references is not None:
        return _by_reference(said.references, records=records)
    if said.json and (http_status == 400 or (said.result is False and http_status < 500)):
        return Answer(reaction=Reaction.REFUSED, text="refused without a code")
    return _answer(by_status(http_status))


def _by_code(said: _Said, known: Meaning | None) -> Answer:
    if known is None:
        known = Meaning(Reaction.REFUSED, "refused with a code that is not documented")
        return _answer(known, code_known=False, named_ids=_named_ids(said))
    if WRONG_PATH_MARK in said.text.lower():
        return _answer(WRONG_PATH)
    return _answer(known, named_ids=_named_ids(said) if known.reaction is Reaction.REFUSED else ())


def _by_reference(references: Iterable[str], *, records: int) -> Answer:
    """`validationErrors`: records named by index are refused; what lies outside them is the operator's fault.

    If both occur the records come first: once they are out of the way the next answer shows what is left.
    """
    matches = [(_INDEX.search(reference), reference) for reference in references]
    indexes = {int(match[1]) for match, _ in matches if match}
    inside = tuple(sorted(index for index in indexes if index < records))
    outside = any(reference for _, reference in matches)
    if inside or not outside:
        return Answer(reaction=Reaction.REFUSED, text="invalid records", indexes=inside)
    return Answer(
        reaction=Reaction.STOPPED,
        text="the request is invalid outside its records",
        hint="check the operator's id and name in the configuration against the named field",
    )


def _answer(meaning: Meaning, *, code_known: bool = True, named_ids: tuple[str, ...] = ()) -> Answer:
    return Answer(
        reaction=meaning.reaction,
        text=meaning.text,
        hint=meaning.hint,
        code_known=code_known,
        named_ids=named_ids,
    )


def _decoded(body: bytes) -> str:
    """UTF-8 if it is that, else ISO-8859-1: the charset Hubject declares varies and is not always true."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("iso-8859-1")


def _said(text: str) -> _Said:
    try:
        content: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _Said()
    if not isinstance(content, dict):
        return _Said()
    result = content.get("Result")
    status = content.get("StatusCode")
    status = status if isinstance(status, dict) else {}
    errors = content.get("validationErrors")
    info = _string(status.get("AdditionalInfo"))
    spoken = (_string(status.get("Description")), info, _string(content.get("message")), *_errors(errors))
    return _Said(
        json=True,
        result=result if isinstance(result, bool) else None,
        code=_code(status.get("Code")),
        text="; ".join(part for part in spoken if part),
        info=info,
        references=tuple(_references(errors)) if isinstance(errors, list) else None,
    )


def _code(value: object) -> str:
    """Hubject sends "000"; a bare 0 means the same."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:03d}"[:20]
    return one_line(_string(value))[:20]


def _references(errors: list[object]) -> Iterable[str]:
    for error in errors:
        yield _string(error.get("fieldReference")) if isinstance(error, dict) else ""


def _errors(errors: object) -> Iterable[str]:
    """The first few, for people."""
    for error in errors[:5] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield f"{_string(error.get('fieldReference'))} {_string(error.get('errorMessage'))}".strip()


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _named_ids(said: _Said) -> tuple[str, ...]:
    """What looks like an EvseID after the colon, in order, once each: Hubject writes them in upper case.

    Lower case is not taken: "deleted" and "updated" would pass for ISO ids.
    """
    before, colon, after = said.info.partition(":")
    words = _BETWEEN_IDS.split(after if colon else before)
    return tuple(dict.fromkeys(word for word in words if _ID_LIKE.fullmatch(word)))


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from either form of Retry-After (RFC 9110, 10.2.3). Nonsense means the default."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch("[0-9]{1,18}", value):
        return min(float(value), RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return RETRY_AFTER_DEFAULT
    return min(seconds, RETRY_AFTER_MAX) if seconds > 0 else RETRY_AFTER_DEFAULT


def _without_tags(text: str) -> str:
    """The words of an HTML page."""
    return re.sub(r"<[^<>]*>", " ", text[:4000])
