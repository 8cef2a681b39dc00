"""The columns that a source may give, read from `SourceRecord`: nowhere else is there a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_type_hints

from oicp_adapter.core.model import Column, Role, SourceRecord

COLUMNS: Mapping[str, Column] = {
    name: column
    for name, hint in get_type_hints(SourceRecord, include_extras=True).items()
    for column in getattr(hint, "__metadata__", ())
    if isinstance(column, Column)
}
"""Name → what it is, in the order of `SourceRecord`."""


INVERTED = "!"
"""Before a flag's column in the settings, and before its words in a record: it stands there the other way round."""

EMPTY_VALUES = ("NULL", r"\N", "(null)", "None", "nan", "n/a", "-")
"""How database clients and spreadsheets write "no value", in any column."""


def with_role(role: Role) -> tuple[str, ...]:
    """The names of the columns with this role."""
    return tuple(name for name, column in COLUMNS.items() if column.role is role)
