"""A vocabulary: which value of a backend becomes which status. Data, one TOML file per vocabulary.

The danger: a wrong row sends every driver of that vocabulary to dead chargers, so each row carries the
sentence that justifies it and its source, and a target outside the list is refused when the file is read.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from oicp_adapter.core.columns import with_role
from oicp_adapter.core.model import Role
from oicp_adapter.errors import ConfigurationError

OTHER_STATES = tuple(name for name in with_role(Role.STATE) if name not in ("status", "connection"))
"""The columns that a vocabulary may have rules for; `connection` means the same in all of them."""


class Target(StrEnum):
    """What a value may be mapped to."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    OUT_OF_SERVICE = "OutOfService"
    EVSE_NOT_FOUND = "EvseNotFound"
    UNKNOWN = "Unknown"
    RESERVED = "Reserved"
    """Kept for a driver; published as the setting `mapping.reserved` says."""
    SKIP = "skip"
    """Not published."""


class Stance(StrEnum):
    """What a value settles when it is said of the whole station (connector 0, or a station vocabulary)."""

    VETO = "veto"
    """Every EVSE of the station, whatever its connectors say."""
    EVERY = "every"
    """Every EVSE of which no connector is known."""
    SINGLE = "single"
    """The EVSE of a station that has only one; nothing about one of several."""
    NONE = "none"
    """Nothing."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value of a vocabulary."""

    target: Target
    why: str
    """One sentence that justifies the target."""
    source: str
    """Document and table or section."""
    charging: bool = False
    """The value means a charging session, or the end of one."""
    after_charging: Target | None = None
    """The target when the value follows a charging value of the same connector, even if overridden."""
    whole_station: Stance | None = None
    """Default: an OutOfService of the whole station is a veto, anything else says nothing."""
    says_nothing: bool = False
    """Ask the columns placed "after value" first; the target holds when none of them answers."""


class ColumnRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule on another column than the status; compared without case. Rules are tried in file order."""

    column: str
    """Another state column of a record (`oicp_adapter.core.columns`)."""
    values: tuple[str, ...]
    place: Literal["before value", "after value"]
    """Before the value counts, or where the value says nothing."""
    target: Target
    why: str
    source: str


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All values of one vocabulary."""

    name: str
    title: str
    level: Literal["connector", "evse", "station"]
    """Whose status a value is. "station": each record speaks for its whole station."""
    values: dict[str, Row]
    """The value "" stands for a record without one."""
    columns: tuple[ColumnRule, ...] = ()
    like: str = ""
    """The vocabulary whose values this one has too."""
    whole_station: str = ""
    """The number of an EVSE or connector that means the whole station (OCPP's 0); "": none does."""


def vocabulary_names() -> list[str]:
    """The vocabularies delivered with the program, sorted."""
    return sorted(
        file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml")
    )


@cache
def load_vocabulary(name: str) -> Vocabulary:
    """A delivered vocabulary by name. Raises ConfigurationError with the names that exist."""
    names = vocabulary_names()
    if name not in names:
        near = get_close_matches(name.lower(), names, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigurationError(
            f"there is no vocabulary {name!r}", hint=f"{meant}known vocabularies: {', '.join(names)}"
        )
    return read_vocabulary(name, (_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def read_vocabulary(name: str, text: str) -> Vocabulary:
    """A vocabulary from the text of its file. Raises ConfigurationError that names the row at fault."""
    where = f"vocabulary {name!r}"
    try:
        table = tomllib.loads(text)
        for value, row in table.get("values", {}).items():
            where = f"vocabulary {name!r}, value {value!r}"
            msgspec.convert(row, Row)
        where = f"vocabulary {name!r}"
        vocabulary = msgspec.convert(table | {"name": name}, Vocabulary)
        for rule in vocabulary.columns:
            if rule.column not in OTHER_STATES:
                raise msgspec.ValidationError(f"{rule.column!r} is none of {', '.join(OTHER_STATES)}")
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise ConfigurationError(
            f"{where} cannot be used: {problem}", hint=f"a target is one of {_TARGETS}"
        ) from problem
    if not vocabulary.like:
        return vocabulary
    return msgspec.structs.replace(
        vocabulary, values=load_vocabulary(vocabulary.like).values | vocabulary.values
    )


_TARGETS = ", ".join(Target)


def _folder() -> resources.abc.Traversable:
    return resources.files("oicp_adapter.core") / "vocabularies"
