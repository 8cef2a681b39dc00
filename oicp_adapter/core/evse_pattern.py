"""Which EVSEs an operator's rule is about: an EvseID in which `%` stands for any characters, also none.

The danger: in an EvseID `*` is a separator and not a wildcard. Who ends a pattern in `*` means "and so on", and would
get a rule that matches next to nothing; that is refused. Patterns compare identities, so in ISO ids neither
`*` nor case counts (`DE*ABC*E1%` is also about deabce17); in DIN ids the separators do (docs/oicp-notes.md).
"""

from __future__ import annotations

import re

import msgspec

from oicp_adapter.core.ids import InvalidId, Prefix, parse_evse_id, parse_prefix


class EvsePattern(msgspec.Struct, frozen=True):
    """A pattern that can be used."""

    text: str
    """As the operator wrote it."""
    begins: str
    """What the EVSE's key begins with: settles most of a fleet at once."""
    compiled: re.Pattern[str]
    """Over the whole key."""

    def covers(self, key: str) -> bool:
        """Whether the EVSE with this key (`EvseId.key`) is meant."""
        return key.startswith(self.begins) and self.compiled.fullmatch(key) is not None


def parse_evse_pattern(text: str) -> EvsePattern:
    """Read a pattern such as `DE*ABC*E12%` or `+49*123*4%*2`. Raises InvalidId; the operator must be spelled out."""
    text = text.strip()
    if text.endswith("*"):
        raise InvalidId(f"{text!r} ends in the separator `*`; write % for any characters")
    head, *others = text.split("%")
    if not others:
        key = parse_evse_id(text).key
        return EvsePattern(text, key, re.compile(re.escape(key)))
    prefix = _prefix(head)
    parts = prefix.parts
    iso = parts.country.isalpha()
    if not all(re.fullmatch("[A-Za-z0-9*]*" if iso else "[0-9*]*", other, re.ASCII) for other in others):
        raise InvalidId(f"{text!r} has characters that no EvseID has")
    if iso:
        begins = f"{parts.country}{parts.operator}E{parts.rest}"
        others = [other.upper().replace("*", "") for other in others]
    else:
        begins = f"{parts.country}*{parts.operator}*{parts.rest}"
    return EvsePattern(text, begins, re.compile(".*".join(map(re.escape, [begins, *others]))))


def _prefix(head: str) -> Prefix:
    try:
        return parse_prefix(head)
    except InvalidId:
        return parse_prefix(head.removesuffix("*"))  # DE*ABC*%
