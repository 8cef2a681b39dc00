"""Reads single values as backends really write them: numbers for ids, booleans for flags. Times: `times`.

The danger: a character that no request can hold, or a lost quote that swallowed rows, taken for a value.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from oicp_adapter.core.text import harmless

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | list[Any] | dict[str, Any]
"""What a column that may hold several values can hold."""

# A line break in a CSV value is a lost quote that swallowed rows; NUL and lone surrogates (bytes that are not
# UTF-8, see rows_csv) fit into no database or request.
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_FORBIDDEN = re.compile("[\0\r\n\ud800-\udfff]")


class BadValue(ValueError):
    """The value cannot be used; the text says why."""


def to_text(value: Value) -> str | None:
    """A value as text without surrounding blanks; None if nothing is left. True is "true", 1.0 is "1", a list is
    its parts.

    Raises BadValue for characters that no status or id can have.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text.isprintable() and _FORBIDDEN.search(text):
            if not is_utf8(text):
                raise BadValue(f"{shown(readable(text))} is not UTF-8: save the export as UTF-8")
            raise BadValue(f"{shown(text)} contains a line break or NUL")
        return harmless(text) or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return _listed(value)
    return harmless(str(value))


def cleaned(text: str) -> str | None:
    """A text of which nothing depends on its line breaks: each of them, and what no request can hold, is a blank."""
    return harmless(" ".join(_FORBIDDEN.sub(" ", text).split())) or None


def _listed(value: list[Any] | dict[str, Any]) -> str | None:
    """Several values in one, "EV_ONLY, CUSTOMERS"; objects as JSON. None if nothing is in it."""
    parts = [value] if isinstance(value, dict) else value
    simple = [part for part in parts if isinstance(part, str | int | float | bool)]
    objects = [msgspec.json.encode(part).decode() for part in parts if isinstance(part, list | dict) and part]
    texts = [text for part in simple if (text := to_text(part))]
    return harmless(", ".join([*texts, *objects])) or None


def is_utf8(text: str) -> bool:
    """False if the text had bytes that are not UTF-8, such as an umlaut in ISO-8859-1."""
    return _NOT_UTF8.search(text) is None


def readable(text: str) -> str:
    """The text for a person: what is not UTF-8 in it is U+FFFD."""
    return _NOT_UTF8.sub("\ufffd", text)


def shown(text: str) -> str:
    """A value as a message quotes it."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
