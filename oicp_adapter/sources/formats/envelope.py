"""What an envelope around the records says of itself.

The danger: a server that fails answers `{"status_code": 3001, "data": []}`, which is written to the file like any other
answer. An empty list in an envelope that reports a failure is no empty fleet, whatever format the file is said to have.
"""

from __future__ import annotations

import re

import msgspec

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected

_SHOWN, _LONGEST = 200, 1000
_HINT = "the server that wrote it reports a failure: see its log; this answer names no EVSEs"
_NOTHING = ("null", "false", "0", "", "[]", "{}")
"""An error that is none."""

Said = msgspec.Raw | msgspec.UnsetType


class Outcome(msgspec.Struct):
    """The members by which servers report failures. OCPI: status_code, status_message."""

    status: Said = msgspec.UNSET
    status_code: Said = msgspec.UNSET
    status_message: Said = msgspec.UNSET
    success: Said = msgspec.UNSET
    error: Said = msgspec.UNSET
    errors: Said = msgspec.UNSET


def require_ocpi_success(said: Outcome) -> None:
    """Raises SourceError unless the status code is one of OCPI's successes."""
    if not re.fullmatch("1[0-9]{3}", _text(said.status_code)):
        raise _ocpi_failure(said)


def require_success(said: Outcome, into: Collected, *, empty: bool) -> None:
    """The same for an envelope of any kind, which may have no status code, or that of HTTP.

    Raises SourceError. An error beside records may concern some of them only: the read is incomplete.
    """
    if said.status_code is not msgspec.UNSET and not re.fullmatch(
        "1[0-9]{3}|2[0-9]{2}|null", _text(said.status_code)
    ):
        raise _ocpi_failure(said)
    found = (
        ("status", said.status, _text(said.status) in ("error", "fail", "failed")),
        ("success", said.success, _text(said.success) in ("false", "0")),
        ("error", said.error, _text(said.error) not in _NOTHING),
        ("errors", said.errors, _text(said.errors) not in _NOTHING),
    )
    failed = [f"{name} {_text(value)[:_SHOWN]}" for name, value, is_failure in found if is_failure]
    if failed and empty:
        raise SourceError(f"the envelope reports a failure: {', '.join(failed)}", hint=_HINT)
    if failed:
        into.incomplete(f"the envelope reports a failure: {', '.join(failed)}")


def _ocpi_failure(said: Outcome) -> SourceError:
    code, message = _text(said.status_code) or "nothing", _text(said.status_message)[:_SHOWN]
    return SourceError(f"the OCPI envelope says status_code {code}, not 1xxx: {message}", hint=_HINT)


def _text(said: Said) -> str:
    """As it stands there; text without its quotes."""
    if not isinstance(said, msgspec.Raw):
        return ""
    found = bytes(memoryview(said)[:_LONGEST]).decode("utf-8", errors="replace")
    return found.removeprefix('"').removesuffix('"')
