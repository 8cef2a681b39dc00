"""What Hubject's answers mean, once: an `Answer` with the reaction it asks for."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Reaction(StrEnum):
    """What a push came to. The only thing the publisher decides by."""

    APPLIED = "applied"
    """Acknowledged: Result true, code 000."""
    REFUSED = "refused"
    """Nothing applied; some or all records are at fault (603, 018, 022, 400 by index, unknown codes)."""
    TRANSIENT = "transient"
    """Nothing applied, Hubject's own trouble, said in a readable answer: worth retrying."""
    THROTTLED = "throttled"
    """429: nothing applied, wait `retry_after`."""
    TOO_LARGE = "too_large"
    """413: nothing applied, split."""
    STOPPED = "stopped"
    """Not curable by retrying (017, 210, 300, 403, TLS, wrong path): stop, report, probe slowly."""
    UNREACHABLE = "unreachable"
    """Nothing was sent (DNS, connect, TLS to a dead host): safe to retry."""
    IN_DOUBT = "in_doubt"
    """Sent, and no readable answer: Hubject may or may not have applied it, now or later."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One push, answered (or not). Never carries a secret."""

    reaction: Reaction
    code: str = ""
    """OICP StatusCode.Code, "" when the answer had none."""
    code_known: bool = True
    """False when Hubject sent a code that no table knows: to be logged as `hub.code_unknown`."""
    text: str = ""
    """What happened, for logs and people: description and additional info, or the transport's failure."""
    hint: str = ""
    """How to fix it, where a person must act."""
    http_status: int | None = None
    process_id: str | None = None
    """Hubject's Process-ID header: its support asks for it."""
    retry_after: float | None = None
    """Seconds to wait, from Retry-After in either form."""
    named_ids: tuple[str, ...] = ()
    """EvseIDs named in AdditionalInfo, as written there (often without separators)."""
    not_there: bool = False
    """A refusal that says, by its code or in words, that Hubject does not have the EVSE."""
    indexes: tuple[int, ...] = ()
    """Record positions named by `validationErrors[].fieldReference`."""
    duration: float = 0.0
    """Seconds from the first byte sent to the answer read, of the last attempt."""
    attempts: int = 1
