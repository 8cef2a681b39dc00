"""Texts for people and machines: times in one form, and what strangers wrote made harmless. Pure.

The danger: a terminal does what an escape sequence in a status value says, and 200 MB in one value go into the ledger
and every log line. So each text from outside passes one of these where it comes in, and nowhere else.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime

LINE = 500
"""Characters of a text about what happened, such as an answer of Hubject."""
VALUE = 200
"""Characters of a value of the source: ten times what any id, status or error code has."""
_REPLACED = "\ufffd"


def one_line(text: str, *, limit: int = LINE) -> str:
    """One printable line of bounded length, for what is only ever read: what cannot be printed is a blank."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return shown if len(shown) <= limit else shown[:limit] + "…"


def harmless(text: str) -> str:
    """A value of the source that rules look at: without what a terminal obeys, bounded, and different values stay so.

    Nothing is left out, or an id that is none could become one: control and format characters become U+FFFD, and a
    value too long ends with a fingerprint of the whole.
    """
    if text.isprintable() and len(text) <= VALUE:
        return text
    bounded = text
    if len(text) > VALUE:
        whole = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        bounded = f"{text[:VALUE]}…{whole}"
    return "".join(map(_harmless, bounded))


def _harmless(character: str) -> str:
    blank = character == "\t" or unicodedata.category(character) == "Zs"
    return character if character.isprintable() or blank else _REPLACED


def time_text(seconds: float | None) -> str | None:
    """A time for people and machines: RFC 3339, UTC, whole seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
