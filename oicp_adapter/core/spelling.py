"""EvseIDs as backends and people write them: with hyphens, dots, blanks. Pure.

The danger: a guess that turns one charger's id into another's. So nothing is replaced unless a setting says so; what
could be meant is only suggested, and only a person who asks gets an answer to another spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from oicp_adapter.core.ids import EvseId, InvalidId, Prefix, parse_evse_id

_USUAL = re.compile(r"[-._/:|, ]")
"""Separators that are seen in the place of `*`."""


_NEAR = 2
"""Letters by which two ids may differ in length and still be nearly alike."""


class Suggestion(msgspec.Struct, frozen=True):
    """How an id that is none would become one."""

    replace: dict[str, str]
    wire: str


def replacing(table: Mapping[str, str]) -> Callable[[str], str]:
    """Replace every key by its value, all at once: the longest first, and no result is replaced again."""
    if not table:
        return lambda text: text
    keys = sorted(table, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, keys)))
    return lambda text: pattern.sub(lambda found: table[found.group()], text)


def suggested(text: str, prefixes: Sequence[Prefix]) -> Suggestion | None:
    """The usual separators in the place of `*`, or in no place, if that makes an EvseID of the operator's.

    "charger 7" is not meant to be one of CH*ARG.
    """
    text = text.strip()
    found = sorted(set(_USUAL.findall(text)))
    for blank, other in (("*", "*"), ("", "*"), ("", "")):
        table = {one: blank if one == " " else other for one in found}
        evse = _parsed(replacing(table)(text))
        if evse and table and any(prefix.covers(evse) for prefix in prefixes):
            return Suggestion(table, evse.wire)
    return None


def setting(suggestions: Iterable[Suggestion | None]) -> str:
    """The setting that makes EvseIDs of all of them; "" if there is nothing to make."""
    table = {key: value for one in suggestions if one for key, value in one.replace.items()}
    pairs = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in sorted(table.items()))
    return f"source.evse_id_replace = {{ {pairs} }}" if table else ""


def understood(text: str, prefixes: Sequence[Prefix]) -> EvseId | None:
    """The EVSE a person means: an EvseID, or one of the operator's with other separators."""
    evse = _parsed(text)
    if evse is None and (meant := suggested(text, prefixes)):
        evse = _parsed(meant.wire)
    return evse


def near(text: str, known: Iterable[str]) -> list[str]:
    """The known ids that are written nearly like this, nearest first; separators and case do not count."""
    wanted = _bare(text)
    bare = {_bare(one): one for one in known}
    alike = [one for one in bare if abs(len(one) - len(wanted)) <= _NEAR and one[:2] == wanted[:2]]
    return [bare[one] for one in get_close_matches(wanted, alike, n=3, cutoff=0.75)]


def _bare(text: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", text.upper())


def _parsed(text: str) -> EvseId | None:
    try:
        return parse_evse_id(text)
    except InvalidId:
        return None
