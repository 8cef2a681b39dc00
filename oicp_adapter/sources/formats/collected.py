"""Gathers the records of one read and everything that speaks against calling it complete.

The danger: a row that silently disappears looks like an EVSE that is gone and, a minute later, is withdrawn
from Hubject. So whatever cannot be decoded is counted here, and one such row makes the read incomplete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from oicp_adapter.core.columns import COLUMNS, EMPTY_VALUES, INVERTED, with_role
from oicp_adapter.core.model import Columns, Role, SourceRead, SourceRecord
from oicp_adapter.core.text import VALUE, harmless, one_line
from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.times import TimeForms
from oicp_adapter.sources.formats.values import BadValue, Value, cleaned, shown, to_text

TIME_FIELDS = frozenset(with_role(Role.TIME))
LOOSE_FIELDS = frozenset(name for name, column in COLUMNS.items() if column.loose)
ID_FIELDS = with_role(Role.IDENTITY)
STATE_FIELDS = with_role(Role.STATE)

_SHOWN = 20
_REMEMBERED = 1000
"""Texts of a column; ids have more, and are all different."""


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of one source are written."""

    times: TimeForms = TimeForms()
    empty: tuple[str, ...] = EMPTY_VALUES
    """Words that are no value, in any case."""
    knows: Callable[[str, str], bool] | None = None
    """(column, word) → it is known there. None: nobody can tell."""
    inverted: frozenset[str] = frozenset()
    """Columns that stand there the other way round: their words get a mark."""
    words: Mapping[str, Collection[str]] = {}
    """Column → words that the operator has given a meaning: these are values, even if they look like none."""

    def empty_words(self, column: str) -> frozenset[str]:
        """The words that are no value in this column, folded."""
        meant = {word.strip().casefold() for word in self.words.get(column, ())}
        return frozenset(word.strip().casefold() for word in self.empty) - meant


class Collected:
    """What one read has yielded so far. `add` is called once per row of the source."""

    def __init__(self, cells: Cells = Cells()) -> None:
        self.records: list[SourceRecord] = []
        self.columns: Columns | None = None
        self._knows = cells.knows
        self._incomplete: list[str] = []
        self._undecodable: list[str] = []
        self._undecodable_more = 0
        self._bad_times: dict[str, tuple[int, str]] = {}
        self._time = cells.times.reader()
        self._inverted = cells.inverted
        self._empty = {column: cells.empty_words(column) for column in COLUMNS}
        self._longest_empty = max((len(word) for words in self._empty.values() for word in words), default=0)
        self._known: dict[str, dict[str, str | None]] = {column: {} for column in COLUMNS}
        """Column → text as it stands there → as it is read: most columns say the same few words again and again."""

    def add(self, names: Iterable[str], values: Iterable[Any], origin: str) -> None:
        """Keep one row, given as its values in the order of our field `names`.

        An unreadable time is noted in the record and mentioned; any other unusable value spoils the row.
        """
        members: dict[str, Any] = {"origin": harmless(origin)}
        for name, value in zip(names, values, strict=True):
            if value is None:
                continue
            try:
                members[name] = self._time(value) if name in TIME_FIELDS else self._text(name, value)
            except BadValue as error:
                if name in LOOSE_FIELDS:
                    members[name] = cleaned(str(value))
                    continue
                if name not in TIME_FIELDS:
                    self.undecodable(origin, f"{name}: {error}")
                    return
                if not (isinstance(value, str) and self._says_nothing(name, value)):
                    self._bad_time(name, f"{error} ({origin})")
                    members["unread"] = (*members.get("unread", ()), (name, shown(str(value))))
        for name in self._inverted and self._inverted & members.keys():
            members[name] = f"{INVERTED}{members[name]}" if members[name] else None
        self.records.append(SourceRecord(**members))

    def _text(self, name: str, value: Value) -> str | None:
        if not isinstance(value, str):
            return to_text(value)
        bare = value.strip()
        if self._longest_empty < len(bare) <= VALUE and bare.isprintable():
            return bare  # the usual id, kept fast
        known = self._known[name]
        text = known.get(value, "")  # "" is no text that is ever read
        if text == "":
            text = None if self._says_nothing(name, value) else to_text(value)
            if len(known) < _REMEMBERED:
                known[value] = text
        return text

    def _says_nothing(self, name: str, value: str) -> bool:
        """NULL and the like: no value, as if the cell were empty."""
        text = value.strip()
        return len(text) <= self._longest_empty and text.casefold() in self._empty[name]

    def undecodable(self, origin: str, reason: object) -> None:
        """Note a row that cannot be used. The others still count, but the read is incomplete."""
        if len(self._undecodable) < _SHOWN:
            self._undecodable.append(one_line(f"{origin} cannot be decoded: {reason}"))
        else:
            self._undecodable_more += 1

    def incomplete(self, reason: str) -> None:
        """Note that rows may be missing."""
        self._incomplete.append(reason)

    def _bad_time(self, name: str, what: str) -> None:
        count, first = self._bad_times.get(name, (0, what))
        self._bad_times[name] = (count + 1, one_line(first))

    def result(self, *, as_of: float | None = None, writing: str = "") -> SourceRead:
        """The finished read. Raises SourceError if there were rows but not one could be decoded."""
        if self._undecodable and not self.records:
            count = len(self._undecodable) + self._undecodable_more
            raise SourceError(
                f"none of the {count} records can be decoded; {self._undecodable[0]}",
                hint='check `format` and `fields` of the source; fields = { vendor = "" } leaves vendor unread',
            )
        self._leave_strangers()
        return SourceRead(
            records=self.records,
            columns=self.columns,
            complete=not self._incomplete and not self._undecodable,
            problems=tuple(self._problems()),
            as_of=as_of,
            writing=writing,
        )

    def _leave_strangers(self) -> None:
        """Leave out a column whose name fits nearly, and whose words are mostly others."""
        columns, knows = self.columns, self._knows
        if columns is None or knows is None or any(record.vocabulary for record in self.records):
            return
        strangers = [(theirs, ours) for theirs, ours in columns.near if ours in STATE_FIELDS]
        for theirs, ours in strangers:
            said = [word for record in self.records if (word := getattr(record, ours)) is not None]
            if sum(knows(ours, word) for word in said) * 2 >= len(said):
                continue
            self.records = [msgspec.structs.replace(record, **{ours: None}) for record in self.records]
            left = (theirs, ours)
            columns = msgspec.structs.replace(
                columns,
                read=tuple(one for one in columns.read if one != left),
                near=tuple(one for one in columns.near if one != left),
                doubtful=(*columns.doubtful, (ours, (theirs,))),
            )
        self.columns = columns
        if strangers and not any(
            getattr(record, name) is not None for record in self.records for name in STATE_FIELDS
        ):
            raise SourceError(
                f"nothing tells a state: {'; '.join(doubt(ours, fits) for ours, fits in columns.doubtful)}",
                hint="if these are the states, name the column under `fields` of the source, and say what they mean",
            )

    def _problems(self) -> Iterable[str]:
        yield from self._incomplete
        yield from self._undecodable
        if self._undecodable_more:
            yield f"and {self._undecodable_more} more records that cannot be decoded"
        for ours, fits in self.columns.doubtful if self.columns else ():
            yield doubt(ours, fits)
        for name, (count, first) in self._bad_times.items():
            yield (
                f"{name} is unreadable in {count} record(s); first: {first}; "
                "if times are written so, say it with source.time_format"
            )


def doubt(ours: str, fits: Sequence[str]) -> str:
    """A column of which nobody but a person knows whether it is one of ours, with what to set."""
    names = " and ".join(map(repr, fits))
    why = "fit alike" if len(fits) > 1 else "fits, but most of its words are not known there"
    return f'{ours} is not read: {names} {why}; set source.fields.{ours} to the right one, or to "" for none'


def source_names(fields: Mapping[str, str]) -> dict[str, str]:
    """Our field names → the names the source uses: our own where `fields` is silent, none where it says "".

    Raises ConfigurationError for a field we do not have.
    """
    for ours in fields:
        if ours not in COLUMNS:
            raise ConfigurationError(
                f"source.fields: {ours!r} is not a field of ours",
                hint=f'write our_field = "their name"; ours are {", ".join(COLUMNS)}',
            )
    names = {ours: fields.get(ours, ours) for ours in COLUMNS}
    return {ours: theirs for ours, theirs in names.items() if theirs}


def require_useful(into: Collected, *, found: Callable[[], Iterable[str]]) -> None:
    """Raise SourceError if there are records and none has a value that names an EVSE, or a state. `found`: what there
    is instead."""
    for group in (ID_FIELDS, STATE_FIELDS):
        said = any(getattr(record, name) is not None for record in into.records for name in group)
        if into.records and not said:
            raise useless(group, what="no record has a value", found=found())


def turned(fields: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """The fields without their marks, and those that stand there the other way round: `connection = "!inactive"`.

    Raises ConfigurationError for one that is no flag.
    """
    inverted = frozenset(ours for ours, theirs in fields.items() if theirs.startswith(INVERTED))
    flags = [name for name, column in COLUMNS.items() if column.flag]
    for ours in inverted - set(flags):
        raise ConfigurationError(
            f"source.fields: {ours} is no flag that could be turned round with {INVERTED}",
            hint=f"flags are {', '.join(flags)}",
        )
    return {ours: theirs.removeprefix(INVERTED) for ours, theirs in fields.items()}, inverted


def useless(group: Sequence[str], *, what: str, found: Iterable[str]) -> SourceError:
    """The failure for a source that has none of the fields `group` (ours): it names no EVSE, or no state.

    Otherwise one misspelt or missing column would turn a whole fleet into Unknown, or into nobody.
    """
    found = list(found)
    hint = f'say which it is under `fields` of the source, like fields = {{ {group[0]} = "their name" }}'
    if "evses" in found:
        hint = 'this looks like OCPI Locations: set format = "ocpi-locations"'
    return SourceError(
        f"{what} for any of {', '.join(group)}; found: {', '.join(found) or 'nothing'}", hint=hint
    )
