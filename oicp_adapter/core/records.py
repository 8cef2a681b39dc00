"""What we know, per EVSE and per operator: the ledger's rows as values.

Only the functions of `oicp_adapter.core.transitions` make new ones; the ledger stores what they return.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from oicp_adapter.core.model import ActionType, Cause, ConnectorState, EvseStatus, Flaw

DAY = 86_400.0
WEEK = 7 * DAY
"""The guard's account looks back this many seconds (P4)."""
UNCOUNTED = 0.0
"""Entered in the mass guard's account as of no day."""
LOST, UNMEASURED, DISTRUSTED = "lost", "unmeasured", "distrusted"
"""Why only a person ends an unknown baseline: the ledger was lost, its mark does not say how large the fleet was, or it
may be an old copy, which does not know what was published since."""


class Presence(StrEnum):
    """Whether Hubject has a status record for the EVSE: it decides between insert and update.

    Absent and in doubt: there as EvseNotFound at most.
    """

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why Hubject refused this EVSE, and when it is tried again."""

    code: str
    text: str
    process_id: str | None
    since: float
    retry_at: float
    attempts: int
    status: EvseStatus | None
    """The status that was refused: another one is tried at once. None: a deletion."""


class EvseRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One EVSE in the ledger. The first half is Hubject's side, the second the source's."""

    key: str
    wire_id: str
    """The spelling Hubject acknowledged, or the one that will be sent first."""
    presence: Presence
    status: EvseStatus | None = None
    """Last acknowledged status; None: never acknowledged, or deleted."""
    status_at: float | None = None
    push_id: int | None = None
    in_doubt_since: float | None = None
    reassert_at: float | None = None
    quarantine: Quarantine | None = None
    withdrawn_at: float | None = None
    """When it was withdrawn: its share in the guard's account for 7 days."""

    source_id: str
    """The EvseID as the source spells it now."""
    desired: EvseStatus | None = None
    """The mapped source's last word; None: the source says not to publish it."""
    cause: Cause = Cause.REPORTED
    value: str = ""
    rule: str = ""
    source_time: float | None = None
    connectors: tuple[ConnectorState, ...] = ()
    changed_at: float | None = None
    """Since when Hubject is behind the source's word, however often that has changed meanwhile; None: it is not."""
    first_missing: float | None = None
    """First complete read without it (or with it unpublished)."""
    last_seen: float | None = None
    """The last read that had it, written when it goes missing."""
    withheld: str = ""
    """Which guard withholds its change, "" for none."""
    doubted_at: float | None = None
    """Since when a request about it is unanswered: kept while `in_doubt_since` begins anew."""
    turned_at: float | None = None
    """When it took a step that staleness or something unmapped gave: its share in the mass guard's account for a day.
    Or a rule on how long a value has stood: in the account of `oicp_adapter.core.standing`, for an hour.
    UNCOUNTED: the step passed by time or by a person's leave, and is not acknowledged yet."""
    fallback: EvseStatus | None = None
    """What the source's words say without what could not be read; None: nothing, or all could be read."""
    unread_since: float | None = None
    """Since when `desired` comes from its `cause`, staleness or something unmapped; None: from the source's words."""
    said_at: float | None = None
    """Since when the source has said `desired`, as long as it waits; None: as `changed_at`."""
    flaw: Flaw = Flaw.NONE
    """What is wrong with its records in the source."""

    @property
    def doubtful_since(self) -> float | None:
        """Since when nobody knows what Hubject holds of it; None: known. Rows of older versions have no first time."""
        return None if self.in_doubt_since is None else self.doubted_at or self.in_doubt_since

    @property
    def held(self) -> bool:
        """Hubject is believed to show it to drivers (P4 "withdrawal"): not absent, not EvseNotFound."""
        if self.presence is Presence.ABSENT or self.status is EvseStatus.EVSE_NOT_FOUND:
            return False
        return self.status is not None or self.in_doubt_since is not None

    @property
    def may_be_shown(self) -> bool:
        """Drivers may see it, for all we know: what Hubject held before us counts, and what is in doubt."""
        if self.presence is Presence.ABSENT:
            return False
        return self.status is not EvseStatus.EVSE_NOT_FOUND or self.in_doubt_since is not None

    @property
    def unread(self) -> bool:
        """The status comes from staleness or something unmapped: what can be read says otherwise, or nothing."""
        return self.cause in (Cause.STALE, Cause.UNMAPPED) and self.desired is not self.fallback

    @property
    def believed_shown(self) -> bool:
        """Drivers see it by what we know, or may since a request of ours that is unanswered. What Hubject may hold from
        before us, and we never had an answer about, is not believed."""
        never_answered = self.status is None and self.in_doubt_since is None
        return self.may_be_shown and not never_answered

    @property
    def called_gone(self) -> bool:
        """The source has it and says that it is gone (REMOVED, Stock, Deprecated), often for ever: never inserted."""
        return self.first_missing is None and self.desired is EvseStatus.EVSE_NOT_FOUND

    @property
    def wanted(self) -> bool:
        """The source has it and wants drivers to see it."""
        return self.first_missing is None and self.desired not in (None, EvseStatus.EVSE_NOT_FOUND)

    @property
    def acknowledged(self) -> bool:
        """Hubject is known to hold exactly `status`."""
        return self.presence is Presence.PRESENT and self.in_doubt_since is None and self.quarantine is None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A standing refusal: logged when it begins or changes, then reminded of hourly."""

    signature: str
    since: float
    logged_at: float
    text: str = ""
    fix: str = ""
    """What `status` says about it meanwhile; "" for what it shows in another way."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Hubject as a whole does not take our pushes: when to try again, and why."""

    permanent: bool
    """True: retrying does not cure it (certificate, contract, allow-list); a person must act."""
    code: str
    text: str
    hint: str
    since: float
    failures: int
    next_try: float
    tried_at: float = 0.0
    not_before: float = 0.0
    """Hubject asked to wait until then (Retry-After): nobody sends earlier, neither a person nor a new process."""


class OperatorState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered per operator beside its EVSEs."""

    baseline: str = ""
    """How the baseline became known ("adopted", "automatic"); "" while it is unknown (P4)."""
    baseline_at: float | None = None
    full_wanted: str = ""
    """A full load is due and waits (for records in doubt, or for Hubject); by whom it was asked for."""
    last_full_at: float | None = None
    full_doubts: int = 0
    """Full loads in a row that ended in doubt; two suspend them."""
    full_doubt_since: float | None = None
    """When the last unanswered full load was given up: until settle is over it may still delete what is new."""
    full_limit: int | None = None
    """Bytes that were too many for Hubject (413); a smaller full load is tried again."""
    full_without_refused: bool = False
    """The last full load was refused and nobody named: the next one leaves out what is quarantined."""
    too_large: str = ""
    """Why no full load goes out at all: the fleet is too large for one. "" while nobody knows of it."""
    rolling_since: float | None = None
    """A rolling resync replaces a full load: what was acknowledged before this time is pushed again."""
    last_read_at: float | None = None
    last_complete_at: float | None = None
    writing: str = ""
    """Which writing of the source the last complete read was of; "" where every read is fresh."""
    writing_since: float | None = None
    """When that was first read."""
    source_failing_since: float | None = None
    unusable: int = 0
    """Records without a readable EvseID that are taken for nobody's: as many as when no EVSE went missing."""
    unusable_since: float | None = None
    """Since when there are more of them, and EVSEs are missing that they may be (`oicp_adapter.core.unusable`)."""
    largest: dict[str, int] = {}
    """Largest published set per UTC day ("2026-11-20"), of the last 7 days."""
    peak: dict[str, int] = {}
    """The same of 90 days, without days that a later one has reached; the mark beside the ledger has it, too."""
    by_hand: str = ""
    """LOST, UNMEASURED or DISTRUSTED: only a person ends the unknown baseline, whatever the settings say; ""
    otherwise."""
    notices: dict[str, Notice] = {}
    trouble: Trouble | None = None


class OpenPush(msgspec.Struct, frozen=True, kw_only=True):
    """A push whose outcome was never recorded: the process died while it was in flight."""

    push_id: int
    action: ActionType
    keys: tuple[str, ...]
    """The EVSEs it held; empty for a fullLoad, which concerns all."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All a cycle knows when it begins."""

    rows: dict[str, EvseRow]
    state: OperatorState
    open_pushes: tuple[OpenPush, ...] = ()
    gone_back: bool = False
    """The ledger is older than the last push it once had: a copy was restored."""
    lost: bool = False
    """The ledger knows of no push, and the mark beside it of some: the one they were in is gone."""
    peak: dict[str, int] | None = {}
    """As in `OperatorState`, by the mark; empty: there is no mark; None: there is one that does not say."""


class IntentRecord(msgspec.Struct, frozen=True, gc=False):
    """One EVSE inside an intent."""

    key: str
    status: EvseStatus | None
    reason: str


class PushIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to be sent; durable before the first byte."""

    action: ActionType
    cycle_id: str
    started_at: float
    count: int
    """Records in the request. A fullLoad's `records` name only the EVSEs it changes."""
    records: tuple[IntentRecord, ...]
    rows: tuple[EvseRow, ...] = ()
    """Rows that change with the intent itself: withdrawals enter the guard's account here."""


class PushRow(msgspec.Struct, frozen=True, kw_only=True):
    """A finished push, as Hubject's own Process Monitor lists it."""

    push_id: int
    finished_at: float
    outcome: str
    """A Reaction value, or "interrupted" for a push found open after a crash."""
    code: str = ""
    text: str = ""
    process_id: str | None = None
    http_status: int | None = None
    duration: float = 0.0
    attempts: int = 1
