"""The settings as a tree of tables and keys, read from the models: for messages, overrides and documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeAlias, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Location: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def dotted(location: Location) -> str:
    """A place in the file as people write it: operators.slb.mapping.overrides."Out of Order"."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{shown}" if text else shown
    return text


def variants(kind: Any) -> Mapping[str, type[BaseModel]]:
    """The tables that a key may hold by their `type`; none if it holds one kind of table, or no table."""
    members = get_args(get_args(kind)[0]) if get_origin(kind) is Annotated else get_args(kind)
    if get_origin(kind) is dict or not members or not all(_is_model(member) for member in members):
        return {}
    return {tag: member for member in members for tag in get_args(member.model_fields["type"].annotation)}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def fields_of(kind: Any) -> Mapping[str, FieldInfo] | None:
    """The keys of a table, of all its variants together; None if `kind` is not one with fixed keys."""
    if _is_model(kind):
        return {field.alias or name: field for name, field in kind.model_fields.items()}
    together: dict[str, FieldInfo] = {}
    for variant in variants(kind).values():
        together = {**variant.model_fields, **together}
    return together or None


def is_table(kind: Any) -> bool:
    """True for a table of fixed or free keys."""
    return fields_of(kind) is not None or get_origin(kind) is dict


def is_list(kind: Any) -> bool:
    """True for a setting that may hold several values."""
    return get_origin(kind) is tuple or any(is_list(part) for part in get_args(kind))


def below(kind: Any, key: str | int) -> Any:
    """What the key of a table holds; None if there is no such key."""
    if (fields := fields_of(kind)) is not None:
        return fields[str(key)].annotation if key in fields else None
    if get_origin(kind) is dict:
        value = get_args(kind)[1]
        return get_args(value)[0] if get_origin(value) is Annotated else value
    return None


def leaves(kind: Any, at: Location = ()) -> Iterator[tuple[Location, FieldInfo]]:
    """Every key that holds a value, with its place; "KEY" stands for a free name of a table."""
    for name, field in (fields_of(kind) or {}).items():
        inner = field.annotation
        deeper = (*at, name)
        if get_origin(inner) is dict and fields_of(below(inner, "KEY")):
            yield from leaves(below(inner, "KEY"), (*deeper, "KEY"))
        elif fields_of(inner):
            yield from leaves(inner, deeper)
        else:
            yield deeper, field


def meant(key: str, known: Mapping[str, object]) -> str:
    """The known key that was probably meant, or ""."""
    return next(iter(get_close_matches(key.lower().replace("-", "_"), list(known), n=1)), "")
