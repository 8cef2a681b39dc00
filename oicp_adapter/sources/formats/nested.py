"""Records that lie deeper in a JSON document: a station with an array of outlets, an array under another name.

`records` is a JMESPath expression, such as `stations[].outlets[]`. A field is a dotted name in the record; `^.name` is
one of what the record lies in, `^^.name` of what that lies in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.lexer import Lexer

from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.collected import LOOSE_FIELDS, Collected, require_useful
from oicp_adapter.sources.formats.envelope import Outcome, require_success
from oicp_adapter.sources.formats.headings import Recognise, renamed
from oicp_adapter.sources.formats.json_records import decode_json

_Found: TypeAlias = tuple[tuple[Any, ...], str]
"""A record and, before it, what it lies in, outermost first; and its place in words."""
_OPENING = {"lbracket", "lparen", "lbrace", "filter"}
_CLOSING = {"rbracket", "rparen", "rbrace"}
UP = "^"


class Nested:
    """Finds records by an expression. Raises ConfigurationError if it cannot be used."""

    def __init__(self, expression: str) -> None:
        self._steps = [(text, _compiled(text)) for text in _steps(expression)]
        self._expression = expression

    def find(self, document: Any) -> list[_Found]:
        """The records of a document, in order. Raises SourceError if the expression leads to none of its arrays."""
        found: list[_Found] = [((document,), "")]
        for number, (text, step) in enumerate(self._steps):
            found, arrays = self._inside(found, step)
            if not arrays:
                where = f"{self._expression!r} finds no array: nothing under {text!r}"
                raise SourceError(
                    f"source.records: {where}; there is {_members(document) if not number else 'no such member'}",
                    hint="correct source.records; outlets inside of stations are stations[].outlets[]",
                )
        return found

    @staticmethod
    def _inside(found: list[_Found], step: Any) -> tuple[list[_Found], int]:
        inner: list[_Found] = []
        arrays = 0
        for chain, place in found:
            items = step.search(chain[-1])
            if not isinstance(items, list):
                continue
            arrays += 1
            inner += [
                ((*chain, item), f"{place}.{at}" if place else str(at)) for at, item in enumerate(items, 1)
            ]
        return inner, arrays


class NestedRows:
    """Reads records that lie deeper. `names`: ours → a dotted name in the record, with ^ for what it lies in."""

    def __init__(self, names: Mapping[str, str], *, records: str, recognise: Recognise | None = None) -> None:
        self._recognise = recognise
        self._given = dict(names)
        self._nested = Nested(records)
        self._names = tuple(names)
        self._paths = [_path(name) for name in names.values()]

    def read_json(self, data: bytes, into: Collected) -> None:
        """Collect the records of a document. Raises SourceError if it is not a whole one, or reports a failure."""
        found = self._nested.find(decode_json(data, Any))
        if data.lstrip()[:1] == b"{":
            require_success(decode_json(data, Outcome), into, empty=not found)
        if self._recognise is not None:
            rows = [chain[-1] for chain, _ in found if isinstance(chain[-1], dict)]
            into.columns = self._recognise(dict.fromkeys(str(name) for row in rows for name in row))
            names = renamed(self._given, into.columns)
            self._names, self._paths = tuple(names), [_path(name) for name in names.values()]
        self._collect(found, "record", into)

    def read_ndjson(self, data: bytes, into: Collected) -> None:
        """Collect the records of every line."""
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                try:
                    document = decode_json(line, Any)
                    self._collect(self._nested.find(document), f"line {number}, record", into)
                except SourceError as error:
                    into.undecodable(f"line {number}", error.message)

    def _collect(self, found: Sequence[_Found], what: str, into: Collected) -> None:
        for chain, place in found:
            if not isinstance(chain[-1], dict):
                into.undecodable(f"{what} {place}", f"it is no object but {_kind(chain[-1])}")
                continue
            values = [_value(chain, up, members) for up, members in self._paths]
            strict = (
                value for ours, value in zip(self._names, values, strict=True) if ours not in LOOSE_FIELDS
            )
            if bad := next((value for value in strict if isinstance(value, (list, dict))), None):
                into.undecodable(f"{what} {place}", f"a field names {_kind(bad)}, not a value")
                continue
            into.add(self._names, values, f"{what} {place}")
        first = found[0][0][-1] if found else None
        require_useful(into, found=lambda: list(first) if isinstance(first, dict) else [])


def _steps(expression: str) -> Iterator[str]:
    """The expression in parts that each end with an array: stations[].outlets[] is stations[] and outlets[]."""
    try:
        tokens = list(Lexer().tokenize(expression))
    except JMESPathError as error:
        raise _unusable(expression, error) from None
    opened: list[bool] = []  # brackets that are open: does this one give an array?
    begin, ends = 0, False
    for token, after in pairwise(tokens):
        if token["type"] in _OPENING:
            opened.append(token["type"] == "filter" or after["type"] in ("star", "colon"))
        ends = token["type"] == "flatten" or (token["type"] in _CLOSING and bool(opened) and opened.pop())
        if ends and not opened and after["type"] == "dot":
            yield expression[begin : after["start"]]
            begin = after["start"] + 1
    yield expression[begin:]


def _compiled(text: str) -> Any:
    try:
        return jmespath.compile(text)
    except JMESPathError as error:
        raise _unusable(text, error) from None


def _unusable(expression: str, error: JMESPathError) -> ConfigurationError:
    return ConfigurationError(
        f"source.records: {expression!r} is no JMESPath expression: {str(error).splitlines()[0]}",
        hint="write it like data.stations[].outlets[]",
    )


def _path(name: str) -> tuple[int, list[str]]:
    """How many levels up, and the members from there."""
    up = len(name) - len(name.lstrip(UP))
    members = name[up:].removeprefix(".").split(".") if up else name.split(".")
    return up, members


def _value(chain: tuple[Any, ...], up: int, members: list[str]) -> Any:
    value: Any = chain[-1 - up] if up < len(chain) else None
    for member in members:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _members(document: object) -> str:
    if not isinstance(document, dict):
        return (
            f"{_kind(document)} at the top: begin with []" if isinstance(document, list) else _kind(document)
        )
    shown = ", ".join(list(document)[:10])
    return f"{shown} …" if len(document) > 10 else shown or "an empty object"


def likely(document: Any) -> str:
    """An expression that may be meant: the first array of objects, and the first one inside of these; "" if none."""
    path, value = "", document
    while True:
        if isinstance(value, list):
            value = next((one for one in value if isinstance(one, dict)), None)
        if not isinstance(value, dict):
            return path
        inner = ((name, one) for name, one in value.items() if isinstance(one, list) and _objects(one))
        name, value = next(inner, ("", None))
        if not name:
            return path
        bare = name if name.isidentifier() and name.isascii() else f'"{name}"'
        path += f"{'.' if path else ''}{bare}[]"


def _objects(array: list[Any]) -> bool:
    return any(isinstance(one, dict) for one in array)


def with_records(data: bytes, expression: Nested) -> bytes:
    """The array that an expression finds, as JSON again: for readers of one format's own objects."""
    return msgspec.json.encode([chain[-1] for chain, _ in expression.find(decode_json(data, Any))])
