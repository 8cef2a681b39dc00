"""Texts for people and machines: times in one form. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(seconds: float | None) -> str | None:
    """A time for people and machines: RFC 3339, UTC, whole seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
