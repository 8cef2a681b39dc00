"""What is wrong with a configuration, in words: where, what, how to fix it.

The danger: pydantic's own messages repeat values, and a value may be a secret. So every text is made here from the
kind of error and the limits of the field, and an unforeseen kind gets a general text. No value is ever shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from oicp_adapter.errors import ConfigurationError
from oicp_adapter.settings.tree import Location, below, dotted, fields_of, is_table, meant, variants


class Problem(NamedTuple):
    """One thing to correct."""

    path: str
    """Where: a dotted key, or the name of an environment variable."""
    text: str
    """What is wrong; how to fix it."""


class InvalidSettings(ConfigurationError):
    """All problems of a configuration."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{problem.path}: {problem.text}" for problem in problems))
        self.problems = tuple(problems)


_TEXTS = {
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not a usable name; write lower-case letters and digits, with single - or _ between",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a number",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}
_NUMBERS = {"int": "must be a whole number", "float": "must be a number"}


def explained(error: ValidationError, root: Any) -> list[Problem]:
    """All problems pydantic found, in our words."""
    found = error.errors(include_url=False, include_input=False)
    return list(
        dict.fromkeys(_problem(each["loc"], each["type"], each.get("ctx", {}), root) for each in found)
    )


def _problem(location: Location, kind: str, limits: dict[str, Any], root: Any) -> Problem:
    if location[-1:] == ("[key]",):
        location = location[:-1]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        # A table whose `type` says which one it is.
        known = variants(_table_at(root, location)[0])
        return Problem(dotted((*location, "type")), f"must be one of {', '.join(map(repr, known))}")
    table, location = _table_at(root, location[:-1], last=location[-1:])
    field = (fields_of(table) or {}).get(str(location[-1]))
    return Problem(dotted(location), _text(kind, limits, str(location[-1]), field, table))


def _table_at(root: Any, upper: Location, *, last: Location = ()) -> tuple[Any, Location]:
    """The table at a place, and the place as people write it: without the `type` that pydantic adds to it."""
    table, place = root, []
    for part in upper:
        if (chosen := variants(table).get(str(part))) is not None:
            table = chosen
            continue
        table = below(table, part)
        place.append(part)
    return table, (*place, *last)


def _text(kind: str, limits: dict[str, Any], key: str, field: FieldInfo | None, table: Any) -> str:
    if kind == "value_error":
        return str(limits["error"])  # raised by our own validators, which repeat no value
    if kind == "missing" and field:
        return f"is missing; {_how_to_add(key, field)}"
    if kind == "extra_forbidden":
        return unknown_key(key, fields_of(table) or {})
    if kind in ("literal_error", "enum"):
        why = " ".join((field.description or "").split()) if field else ""
        return f"must be {limits['expected']}. {why}".rstrip()
    if kind == "too_short":
        return "is empty; name at least one"
    if text := _TEXTS.get(kind):
        return text.format(**limits)
    return _NUMBERS.get(kind.split("_")[0], "cannot be used here; see docs/configuration.md")


def unknown_key(key: str, known: Mapping[str, object], *, shown: Callable[[str], str] = str) -> str:
    """For a key nobody reads. `shown`: how a known one is written where this one stands."""
    if near := meant(key, known):
        return f"is not a setting; did you mean {shown(near)}?"
    return f"is not a setting; known here: {', '.join(map(shown, known))}"


def _how_to_add(key: str, field: FieldInfo) -> str:
    if field.examples:
        return f'add {key} = "{field.examples[0]}"'
    kind = field.annotation
    if fields_of(kind):
        return f"add the table {key}, see config/adapter.example.toml"
    return f"add a table [{key}.KEY], KEY being a name of your choice" if is_table(kind) else f"add {key}"


def rendered(problems: Iterable[Problem], origins: dict[str, str]) -> str:
    """One line per problem; `origins` names the environment variable a value came from."""
    return "\n".join(
        f"  {path}{f' (from {origins[path]})' if path in origins else ''}: {text}" for path, text in problems
    )
