"""Flat records in JSON and NDJSON: which members become which of our fields.

JSON is an array of objects, or an object with exactly one such array under `evses`, `data` or `records`.
Members may lie deeper: `fields = { evse_id = "evse.id" }`. Other members are skipped without building them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any

import msgspec

from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.collected import LOOSE_FIELDS, Collected, require_useful
from oicp_adapter.sources.formats.envelope import Outcome, require_success
from oicp_adapter.sources.formats.headings import Recognise, renamed
from oicp_adapter.sources.formats.json_records import UNDECODABLE, RecordDecoder, decode_json
from oicp_adapter.sources.formats.nested import likely
from oicp_adapter.sources.formats.values import Scalar

_Tree = dict[str, Any]  # member name → subtree; an empty one is a value
_DEEPEST = 50
ARRAYS = ("evses", "data", "records")
"""Members of an object under which an array of records is looked for."""
_SHOWN = 10
"""Members named in an error; an object keyed by EvseID has thousands."""


class _Envelope(Outcome):
    evses: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class JsonRows:
    """Reads flat JSON records. `names`: ours → the source's. Raises ConfigurationError if they contradict."""

    def __init__(self, names: Mapping[str, str], *, recognise: Recognise | None = None) -> None:
        self._recognise = recognise
        self._given = dict(names)
        self._others: dict[tuple[str, ...], JsonRows] = {}
        self._names = tuple(names)
        paths = [name.split(".") for name in names.values()]
        if any(len(path) > _DEEPEST for path in paths):
            raise ConfigurationError(
                f"source.fields: a name has more than {_DEEPEST} levels", hint="correct the dots in it"
            )
        tree = _tree_of(paths)
        loose = {names[ours] for ours in LOOSE_FIELDS & names.keys()}
        loose -= {theirs for ours, theirs in names.items() if ours not in LOOSE_FIELDS}
        self._decoder = RecordDecoder(_type_of(tree, loose))
        self._paths = [_attributes(tree, path) for path in paths]
        self._values = attrgetter(*(".".join(path) for path in self._paths))

    def read_json(self, data: bytes, into: Collected) -> None:
        """Collect the records of a JSON document. Raises SourceError if it is not a whole one."""
        array = _array_in(data, into) if data.lstrip()[:1] == b"{" else data
        reader = self._for(array, into, lines=False)
        reader._collect(reader._decoder.array(array, into, what="record"), "record", into)
        require_useful(into, found=lambda: _members_of_first(decode_json(array, list[msgspec.Raw])))

    def read_ndjson(self, data: bytes, into: Collected) -> None:
        """Collect one record per line."""
        reader = self._for(data, into, lines=True)
        reader._collect(reader._decoder.lines(data, into), "line", into)
        require_useful(into, found=lambda: _members_of_first(data.split(b"\n")))

    def _for(self, data: bytes | msgspec.Raw, into: Collected, *, lines: bool) -> JsonRows:
        """The reader for the members that these records have, which may be called nearly as our fields are."""
        if self._recognise is None:
            return self
        records = _members(data, lines=lines)
        first = list(records[0]) if records else []
        members = first + sorted(set[str]().union(*records) - set(first))
        columns = self._recognise(members)
        given = set(self._given.values())
        # An object that is merely called as a field of ours would cost every record.
        deep = {theirs for theirs, _ in columns.read if theirs not in given and _is_deep(theirs, records)}
        if deep:
            columns = self._recognise([name for name in members if name not in deep])
            columns = msgspec.structs.replace(columns, ignored=(*columns.ignored, *sorted(deep)))
        into.columns = columns
        names = renamed(self._given, columns)
        if names == self._given:
            return self
        key = tuple(names.values())
        if key not in self._others:
            self._others = {key: JsonRows(names)}
        return self._others[key]

    def _collect(self, rows: Iterable[tuple[int, object]], what: str, into: Collected) -> None:
        for number, row in rows:
            try:
                values = self._values(row)
            except AttributeError:  # null where an object was expected
                values = tuple(_reach(row, path) for path in self._paths)
            into.add(self._names, values, f"{what} {number}")


_RECORDS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _members(data: bytes | msgspec.Raw, *, lines: bool) -> list[dict[str, msgspec.Raw]]:
    """The members of every record that can be read, their values as they stand there."""
    try:
        return _RECORD.decode_lines(data) if lines else _RECORDS.decode(data)
    except UNDECODABLE:
        raws = bytes(data).split(b"\n") if lines else decode_json(data, list[msgspec.Raw])
        return list(_readable(raws))


def _is_deep(name: str, records: Iterable[dict[str, msgspec.Raw]]) -> bool:
    return any(bytes(memoryview(record[name])[:1]) in (b"{", b"[") for record in records if name in record)


def _readable(raws: Iterable[msgspec.Raw | bytes]) -> Iterable[dict[str, msgspec.Raw]]:
    for raw in raws:
        with suppress(*UNDECODABLE):
            yield _RECORD.decode(raw)


def _members_of_first(raws: Iterable[msgspec.Raw | bytes]) -> list[str]:
    for raw in raws:
        try:
            return list(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
        except UNDECODABLE:
            continue
    return []


def _array_in(data: bytes, into: Collected) -> msgspec.Raw:
    envelope = decode_json(data, _Envelope)
    members = [getattr(envelope, name) for name in ARRAYS]
    arrays = [member for member in members if isinstance(member, msgspec.Raw)]
    if not arrays:
        require_success(envelope, into, empty=True)
    if len(arrays) != 1 or memoryview(arrays[0])[0] != ord("["):
        found = _members_of_first([data])
        shown = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
        where = likely(decode_json(data, Any)) or "result.stations[]"
        raise SourceError(
            f"the JSON object has not one array under evses, data and records; found: {shown or 'nothing'}",
            hint=f"say where they are, like source.records = '{where}'; the shapes of OCPI and OICP have "
            "formats of their own: ocpi-locations, oicp",
        )
    begins = bytes(memoryview(arrays[0])[1:4096]).lstrip()[:1]
    require_success(envelope, into, empty=begins in (b"", b"]"))
    return arrays[0]


def _tree_of(paths: Iterable[list[str]]) -> _Tree:
    tree: _Tree = {}
    for path in paths:
        node = tree
        for member in path:
            node = node.setdefault(member, {})
    for path in paths:
        node = tree
        for member in path:
            node = node[member]
        if node:
            raise ConfigurationError(
                f"source.fields: {'.'.join(path)!r} is used both as a value and as an object",
                hint=f'if one of our fields is called like the object, leave it unread: {path[-1]} = ""',
            )
    return tree


def _type_of(tree: _Tree, loose: Collection[str], at: str = "") -> type[msgspec.Struct]:
    """`loose`: dotted names that may hold anything."""
    fields: list[tuple[str, Any, Any]] = []
    for number, (member, subtree) in enumerate(tree.items()):
        if subtree:
            inner = _type_of(subtree, loose, f"{at}{member}.")
            fields.append((f"m{number}", inner | None, msgspec.field(default_factory=inner)))
        else:
            fields.append((f"m{number}", Any if f"{at}{member}" in loose else Scalar, None))
    renamed = {f"m{number}": member for number, member in enumerate(tree)}
    return msgspec.defstruct("Row", fields, rename=renamed, gc=False)


def _attributes(tree: _Tree, path: list[str]) -> list[str]:
    attributes = []
    for member in path:
        attributes.append(f"m{list(tree).index(member)}")
        tree = tree[member]
    return attributes


def _reach(row: object, attributes: list[str]) -> Any:
    for name in attributes:
        row = getattr(row, name, None)
    return row
