"""The formats a fleet file may have, each with the suffixes it is known by: the one list of them."""

from __future__ import annotations

from enum import StrEnum


class FileFormat(StrEnum):
    """A format by name; `suffixes` are those that `auto` goes by, each also with .gz."""

    suffixes: tuple[str, ...]

    def __new__(cls, name: str, *suffixes: str) -> FileFormat:
        """A member is its name; what follows are suffixes."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.suffixes = suffixes
        return made

    AUTO = "auto"
    JSON = "json", ".json"
    NDJSON = "ndjson", ".ndjson", ".jsonl"
    CSV = "csv", ".csv"
    OCPI_LOCATIONS = "ocpi-locations"
    OICP = "oicp"

    @classmethod
    def of_suffix(cls, suffix: str) -> FileFormat | None:
        """The format that a file's suffix tells, such as ".csv"; None if it tells none."""
        return next((one for one in cls if suffix in one.suffixes), None)
