"""EvseID and OperatorID: what is valid, what is equal, what belongs to whom.

The danger: two spellings of one EVSE taken for two EVSEs, or two EVSEs taken for one, send a status to the
wrong charger. Source: OICP 2.3 data types EvseIDType and OperatorIDType; identity as in docs/oicp-notes.md:
ISO ids ignore `*` and case, DIN ids ignore only a leading `+` (their separators count).
"""

from __future__ import annotations

import re

import msgspec

_ISO_EVSE = re.compile(r"([A-Za-z]{2})\*?([A-Za-z0-9]{3})\*?[Ee]([A-Za-z0-9*]{1,30})\Z", re.ASCII)
_DIN_EVSE = re.compile(r"\+?([0-9]{1,3})\*([0-9]{3})\*([0-9*]{1,32})\Z", re.ASCII)
_ISO_PREFIX = re.compile(r"([A-Za-z]{2})\*?([A-Za-z0-9]{3})(?:\*?[Ee]([A-Za-z0-9*]*))?\Z", re.ASCII)
_DIN_PREFIX = re.compile(r"\+?([0-9]{1,3})\*([0-9]{3})(?:\*([0-9*]*))?\Z", re.ASCII)


class InvalidId(ValueError):
    """The text is not an id of this kind."""


class _Parts(msgspec.Struct, frozen=True, gc=False):
    country: str
    operator: str
    rest: str
    """ISO: without `*`, upper case. DIN: as written."""


class EvseId(msgspec.Struct, frozen=True, gc=False):
    """A valid EvseID: `wire` is what is sent, `key` is its identity."""

    wire: str
    key: str
    parts: _Parts


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """An EvseID prefix (an OperatorID, optionally with the beginning of the rest), compared by parts."""

    text: str
    parts: _Parts

    def covers(self, evse_id: EvseId) -> bool:
        """True if the EVSE belongs to this prefix: same country, same operator, rest begins alike."""
        mine, theirs = self.parts, evse_id.parts
        return (
            mine.country == theirs.country
            and mine.operator == theirs.operator
            and theirs.rest.startswith(mine.rest)
        )

    def overlaps(self, other: Prefix) -> bool:
        """True if there can be an EVSE that belongs to both."""
        mine, theirs = self.parts, other.parts
        return (
            mine.country == theirs.country
            and mine.operator == theirs.operator
            and (theirs.rest.startswith(mine.rest) or mine.rest.startswith(theirs.rest))
        )


class OperatorId(msgspec.Struct, frozen=True, gc=False):
    """A valid OperatorID: `wire` as sent, `key` its identity (ISO: without `*`; DIN: without `+`)."""

    wire: str
    key: str


def parse_evse_id(text: str) -> EvseId:
    """Read an EvseID. Raises InvalidId with a sentence for the operator."""
    text = text.strip()
    if match := _ISO_EVSE.match(text):
        country, operator, rest = (part.upper() for part in match.groups())
        parts = _Parts(country, operator, rest.replace("*", ""))
        return EvseId(text.upper(), f"{country}{operator}E{parts.rest}", parts)
    if match := _DIN_EVSE.match(text):
        parts = _Parts(*match.groups())
        return EvseId(text, f"{parts.country}*{parts.operator}*{parts.rest}", parts)
    raise InvalidId(
        f"not an EvseID: {text!r} matches neither ISO (like DE*ABC*E123*4) nor DIN (like +49*123*456*7)"
    )


def parse_prefix(text: str) -> Prefix:
    """Read an EvseID prefix such as `DE*ABC`, `DEABC*E12` or `+49*123`. Raises InvalidId."""
    text = text.strip()
    if match := _ISO_PREFIX.match(text):
        country, operator, rest = match.groups()
        parts = _Parts(country.upper(), operator.upper(), (rest or "").upper().replace("*", ""))
        return Prefix(text, parts)
    if match := _DIN_PREFIX.match(text):
        country, operator, rest = match.groups()
        return Prefix(text, _Parts(country, operator, rest or ""))
    raise InvalidId(f"not an EvseID prefix: {text!r} (expected like DE*ABC or +49*123)")


def parse_operator_id(text: str) -> OperatorId:
    """Read an OperatorID such as `DE*ABC`, `DEABC` or `+49*123`. Raises InvalidId."""
    text = text.strip()
    for pattern in (_ISO_PREFIX, _DIN_PREFIX):
        match = pattern.match(text)
        if match and match.group(3) is None:
            country, operator, _ = match.groups()
            if pattern is _ISO_PREFIX:
                return OperatorId(text.upper(), f"{country}{operator}".upper())
            return OperatorId(text, f"{country}*{operator}")
    raise InvalidId(f"not an OperatorID: {text!r} (expected like DE*ABC or +49*123)")


def stripped(text: str) -> str:
    """An id as Hubject writes it in AdditionalInfo: no separators, upper case. Ambiguous for DIN ids."""
    return text.replace("*", "").removeprefix("+").upper()
