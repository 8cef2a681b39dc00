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

from oicp_adapter.core.columns import COLUMNS, with_role
from oicp_adapter.core.model import Role
from oicp_adapter.core.words import folded
from oicp_adapter.errors import ConfigurationError

WORD_COLUMNS = tuple(name for name in with_role(Role.STATE) if name != "status")
"""The columns beside the status whose words have meanings."""
OTHER_STATES = tuple(name for name in reversed(WORD_COLUMNS) if name != "connection")
"""Those that may decide the status, in the order in which they are asked where a vocabulary has no order of its own:
what is not in the field is not out of service."""


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


class Meaning(StrEnum):
    """What a word of another column may mean, beside a target."""

    ONLINE = "online"
    OFFLINE = "offline"
    NOTHING = "says nothing"
    """No objection: the other columns and the status decide."""


def meaning_of(text: str) -> Target | Meaning:
    """A target or meaning by its name. Raises ValueError."""
    return Meaning(text) if text in set(Meaning) else Target(text)


def meanings_of(column: str) -> tuple[Target | Meaning, ...]:
    """What the operator may say that a word of this column means.

    Never Available: of a whole station it says nothing about its EVSEs, and before a status it would free busy ones.
    """
    if column == "connection":
        return (Meaning.ONLINE, Meaning.OFFLINE)
    return (Meaning.NOTHING, *(target for target in Target if target is not Target.AVAILABLE))


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
    """What words of another column than the status mean; compared without case. Columns are asked in file order."""

    column: str
    """Another state column of a record (`oicp_adapter.core.columns`)."""
    values: tuple[str, ...]
    target: Target | None = None
    means: Meaning | None = None
    """Instead of a target. Of the column `connection` always: online or offline."""
    place: Literal["before value", "after value", ""] = ""
    """Before the value counts, or where the value says nothing. Default: a flag such as `charging` after it."""
    why: str
    source: str = ""

    @property
    def meaning(self) -> Target | Meaning:
        """What it says; exactly one of both is given."""
        return self.target or self.means or Meaning.NOTHING

    @property
    def later(self) -> bool:
        """Asked only where the value says nothing."""
        return (self.place or usual_place(self.column)) == "after value"


def usual_place(column: str) -> str:
    """When a word of this column is asked for, where nobody says it."""
    return "after value" if COLUMNS[column].flag else "before value"


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
    restricted_parking: tuple[str, ...] = ()
    """What `parking_restrictions` says of an EVSE that is not for the public."""
    whole_station: str = ""
    """The number of an EVSE or connector that means the whole station (OCPP's 0); "": none does."""
    called: tuple[str, ...] = ()
    """Other names of it, as backends write them into a column: without case, blanks, `_`, `-` and dots."""
    headings: dict[str, str] = {}
    """How its exports name our fields: their column → our field."""
    likely: int = 100
    """A small number for one that many fleets speak: where a word could be of several, it is named first."""

    def words_of(self, column: str) -> dict[str, ColumnRule]:
        """The words that are known in a column beside the status: its own, then those of every vocabulary."""
        found: dict[str, tuple[str, ColumnRule]] = {}
        for rule in (*self.columns, *common_words()):
            if rule.column == column:
                for value in rule.values:
                    found.setdefault(value.casefold(), (value, rule))
        return dict(found.values())


@cache
def common_words() -> tuple[ColumnRule, ...]:
    """The words that flags have in every vocabulary."""
    text = (resources.files("oicp_adapter.core") / "words.toml").read_text(encoding="utf-8")
    rules = msgspec.convert(tomllib.loads(text)["columns"], tuple[ColumnRule, ...])
    for rule in rules:
        _require_meaning(rule)
    return rules


def vocabulary_names() -> list[str]:
    """The vocabularies delivered with the program, sorted."""
    return sorted(
        file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml")
    )


def by_likelihood() -> list[Vocabulary]:
    """All of them, those that most fleets speak first."""
    return sorted(map(load_vocabulary, vocabulary_names()), key=lambda one: (one.likely, one.name))


def vocabulary_called(name: str) -> str | None:
    """The vocabulary that a record means by this name, such as "OCPP1.6J"; None if there is none."""
    return _names().get(_loosely(name))


@cache
def _names() -> dict[str, str]:
    return {
        _loosely(called): vocabulary.name
        for vocabulary in map(load_vocabulary, vocabulary_names())
        for called in (vocabulary.name, *vocabulary.called)
    }


def _loosely(name: str) -> str:
    return folded(name).replace(".", "")


@cache
def load_vocabulary(name: str) -> Vocabulary:
    """A delivered vocabulary by name. Raises ConfigurationError with the names that exist."""
    names = vocabulary_names()
    if name not in names:
        near = next(iter(get_close_matches(name.lower(), names, n=1)), None)
        near = vocabulary_called(name) or near
        meant = f"did you mean {near!r}? " if near else ""
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
            _require_meaning(rule)
        for ours in vocabulary.headings.values():
            if ours not in COLUMNS:
                raise msgspec.ValidationError(f"headings: {ours!r} is no field of ours")
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise ConfigurationError(
            f"{where} cannot be used: {problem}", hint=f"a target is one of {_TARGETS}"
        ) from problem
    if not vocabulary.like:
        return vocabulary
    return msgspec.structs.replace(
        vocabulary, values=load_vocabulary(vocabulary.like).values | vocabulary.values
    )


def _require_meaning(rule: ColumnRule) -> None:
    if rule.column not in WORD_COLUMNS:
        raise msgspec.ValidationError(f"{rule.column!r} is none of {', '.join(WORD_COLUMNS)}")
    if (rule.target is None) == (rule.means is None) or rule.meaning not in meanings_of(rule.column):
        known = ", ".join(meanings_of(rule.column))
        raise msgspec.ValidationError(f"{rule.column} {', '.join(rule.values)}: say one of {known}")


_TARGETS = ", ".join(Target)


def _folder() -> resources.abc.Traversable:
    return resources.files("oicp_adapter.core") / "vocabularies"
