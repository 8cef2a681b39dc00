"""The few ways in which what we know may change. Pure.

The danger: believing Hubject holds something it does not. So a status becomes known only through `acknowledged`,
and whatever was sent without a readable answer goes through `doubted`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from oicp_adapter.core.model import ActionType, Cause, Desired, EvseStatus, Flaw
from oicp_adapter.core.records import (
    DISTRUSTED,
    UNCOUNTED,
    EvseRow,
    OperatorState,
    Picture,
    Presence,
    Quarantine,
)

_BETWEEN = "; "
"""Stands between those who asked for a full load."""
REASSERT_AFTER = 10
"""A record that was in doubt is pushed once more after this many times `settle` (docs/guarantees.md)."""


def acknowledged(
    row: EvseRow, status: EvseStatus | None, *, now: float, push_id: int, wire_id: str, settle: float
) -> EvseRow:
    """Hubject confirmed `status` (None: confirmed the deletion). The only way a status becomes known."""
    gone = status is None
    shown = not gone and status is not EvseStatus.EVSE_NOT_FOUND
    return replace(
        row,
        wire_id=wire_id,
        presence=Presence.ABSENT if gone else Presence.PRESENT,
        status=status,
        status_at=now,
        push_id=push_id,
        in_doubt_since=None,
        doubted_at=None,
        reassert_at=_reassert_at(row, now=now, settle=settle),
        quarantine=None,
        withdrawn_at=None if shown else row.withdrawn_at,
        turned_at=row.turned_at
        if row.turned_at != UNCOUNTED and status is row.desired and (row.unread or row.cause is Cause.STOOD)
        else None,
        changed_at=None if status == row.desired or row.first_missing is not None else row.changed_at,
        said_at=None if status == row.desired or row.first_missing is not None else row.said_at,
    )


def _reassert_at(row: EvseRow, *, now: float, settle: float) -> float | None:
    """When a record whose push was just answered is pushed once more, because an earlier one was not."""
    at = row.reassert_at
    if row.in_doubt_since is not None:
        at = max(at or 0.0, row.in_doubt_since + REASSERT_AFTER * settle)
    return None if at is None or now >= at else at


def first_doubt(row: EvseRow, *, now: float) -> float:
    """Since when it is in doubt, for people: kept while the wait begins anew, from `now` if it was not."""
    return now if row.doubtful_since is None else row.doubtful_since


def doubted(row: EvseRow, action: ActionType, *, now: float, push_id: int | None) -> EvseRow:
    """A request with this record was closed without a readable answer at `now`.

    An update changes no presence; anything else may or may not have happened. But no request shows an EVSE that was not
    shown and that the source does not want shown: it stays off the drivers' maps, whatever came of it. And a full load
    says nothing of one that it does not hold and Hubject does not have.
    """
    not_in_it = row.presence is Presence.ABSENT and row.in_doubt_since is None and not row.wanted
    if action is ActionType.FULL_LOAD and not_in_it:
        return row
    presence = Presence.UNKNOWN
    if not row.may_be_shown and not row.wanted:
        presence = Presence.ABSENT
    elif action is ActionType.UPDATE and row.presence is Presence.PRESENT:
        presence = Presence.PRESENT
    return replace(
        row,
        presence=presence,
        in_doubt_since=now,
        push_id=push_id if push_id is not None else row.push_id,
        doubted_at=first_doubt(row, now=now),
    )


def full_asked(state: OperatorState, by: str) -> OperatorState:
    """A full load is wanted by one more: the night, or a person."""
    asked = _askers(state)
    return state if by in asked else replace(state, full_wanted=_BETWEEN.join([*asked, by]))


def full_cancelled(state: OperatorState, by: str) -> OperatorState:
    """Who asked wants it no more; what others asked for stays due."""
    return replace(state, full_wanted=_BETWEEN.join(one for one in _askers(state) if one != by))


def _askers(state: OperatorState) -> list[str]:
    return state.full_wanted.split(_BETWEEN) if state.full_wanted else []


def full_load_applied(state: OperatorState, *, how: str, now: float) -> OperatorState:
    """A fullLoad was acknowledged: from now on the baseline is known. `how`: "adopted" or "automatic".

    What replaced one that could not be sent is not needed any more.
    """
    return replace(
        state,
        baseline=state.baseline or how,
        baseline_at=state.baseline_at or now,
        by_hand="",
        last_full_at=now,
        full_wanted="",
        full_without_refused=False,
        too_large="",
        full_doubts=0,
        rolling_since=None,
    )


def full_load_doubted(state: OperatorState, *, now: float) -> OperatorState:
    """A fullLoad got no readable answer: it is not sent again now, and not at all after two in a row."""
    return replace(state, full_wanted="", full_doubts=state.full_doubts + 1, full_doubt_since=now)


def absent(row: EvseRow, *, now: float, push_id: int | None, settle: float) -> EvseRow:
    """Hubject is known not to have it: left out of an applied fullLoad, or it answered so.

    What the source still wants shown keeps its quarantine: it was left out because of it.
    """
    waits = row.wanted and not row.flaw.never_inserted
    return replace(
        row,
        presence=Presence.ABSENT,
        status=None,
        status_at=now,
        push_id=push_id if push_id is not None else row.push_id,
        in_doubt_since=None,
        doubted_at=None,
        reassert_at=_reassert_at(row, now=now, settle=settle),
        turned_at=None,
        quarantine=row.quarantine if row.wanted else None,
        changed_at=row.changed_at if waits else None,
        said_at=row.said_at if waits else None,
    )


def quarantined(
    row: EvseRow,
    status: EvseStatus | None,
    *,
    code: str,
    text: str,
    process_id: str | None,
    now: float,
    first_retry: float,
    longest_retry: float,
    settle: float,
) -> EvseRow:
    """Hubject refused this record; it is tried again alone, at growing intervals."""
    before = row.quarantine
    attempts = before.attempts + 1 if before else 1
    entry = Quarantine(
        code=code,
        text=text,
        process_id=process_id,
        since=before.since if before else now,
        retry_at=now + retry_wait(attempts, first_retry=first_retry, longest_retry=longest_retry),
        attempts=attempts,
        status=status,
    )
    doubted_before = row.in_doubt_since is not None
    return replace(
        row,
        quarantine=entry,
        in_doubt_since=None,
        doubted_at=None,
        # A refusal asserts nothing: what was in doubt is still to be pushed once more.
        reassert_at=_reassert_at(row, now=now, settle=settle) if doubted_before else row.reassert_at,
    )


def retry_wait(attempts: int, *, first_retry: float, longest_retry: float) -> float:
    """Seconds until an EVSE that was refused so many times is tried again."""
    return min(first_retry * 2.0 ** min(max(attempts - 1, 0), 16), longest_retry)


def recovered(picture: Picture, *, now: float, restarted: bool) -> list[EvseRow]:
    """What was in flight when its outcome could not be recorded is in doubt.

    `restarted`: another process may have been the one; every settle is waited for anew, in full.
    """
    in_flight: dict[str, ActionType] = {}
    for push in picture.open_pushes:
        keys: Iterable[str] = picture.rows if push.action is ActionType.FULL_LOAD else push.keys
        for key in keys:
            if in_flight.get(key) is not ActionType.FULL_LOAD:
                in_flight[key] = push.action
    changed = []
    for key, row in picture.rows.items():
        if key in in_flight:
            changed.append(doubted(row, in_flight[key], now=now, push_id=None))
        elif restarted and row.in_doubt_since is not None:
            changed.append(replace(row, in_doubt_since=now, doubted_at=first_doubt(row, now=now)))
    return changed


def distrusted(row: EvseRow, *, now: float) -> EvseRow:
    """The ledger may have gone back in time: what it says of Hubject may be old. Pushed again after settle.

    What was not shown and is not wanted is removed once more, and is no withdrawal.
    """
    stays_off = not row.may_be_shown and not row.wanted
    presence = Presence.ABSENT if stays_off else Presence.UNKNOWN
    return replace(row, presence=presence, in_doubt_since=now, doubted_at=first_doubt(row, now=now))


def distrusted_state(state: OperatorState) -> OperatorState:
    """As `distrusted`, for the operator: the baseline is unknown again, and what the ledger has never heard of would be
    deleted by a full load, so a person ends it."""
    return replace(
        state,
        baseline="",
        baseline_at=None,
        by_hand=state.by_hand or DISTRUSTED,
        full_wanted="",
        full_doubts=0,
        trouble=None,
    )


def _says_the_same(row: EvseRow, desired: Desired) -> bool:
    """The usual case, kept fast: a wanted EVSE, plainly reported, as before."""
    return (
        row.value == desired.value
        and row.rule == desired.rule
        and row.source_id == desired.wire_id
        and row.desired is desired.status
        and row.wanted
        and row.cause is desired.cause is Cause.REPORTED
        and row.unread_since is None
        and row.turned_at is None
        and row.fallback is desired.fallback
        and row.flaw is desired.flaw is Flaw.NONE
        and row.connectors == desired.connectors
    )


def observed(
    row: EvseRow | None,
    desired: Desired,
    *,
    now: float,
    absent: bool,
    full_doubt_since: float | None = None,
    settle: float = 0.0,
) -> EvseRow | None:
    """The source's word about one EVSE it has. Returns the same object when nothing changed.

    `absent`: an EVSE never seen before is known not to be at Hubject (the baseline is known).
    `full_doubt_since`: an unanswered full load may still be applied, and delete what was not in it and turns up now.
    """
    if row is not None and _says_the_same(row, desired):
        return row
    shows = desired.status not in (None, EvseStatus.EVSE_NOT_FOUND)
    turns_up = shows and not (row is not None and row.wanted)
    if row is None:
        if desired.status is None or (desired.flaw.never_inserted and absent):
            return None
        row = EvseRow(
            key=desired.key,
            wire_id=desired.wire_id,
            source_id=desired.wire_id,
            presence=Presence.ABSENT if absent else Presence.UNKNOWN,
        )
    not_in_it = turns_up and row.status is None and row.in_doubt_since is None
    if not_in_it and full_doubt_since is not None and now - full_doubt_since < REASSERT_AFTER * settle:
        doubted_since = full_doubt_since if now - full_doubt_since < settle else None
        row = replace(
            row,
            in_doubt_since=doubted_since,
            doubted_at=doubted_since,
            reassert_at=full_doubt_since + REASSERT_AFTER * settle,
        )
    never_there = row.presence is Presence.ABSENT and row.reassert_at is None
    if desired.status is EvseStatus.EVSE_NOT_FOUND and never_there and row.quarantine is not None:
        row = replace(row, quarantine=None, changed_at=None, said_at=None)  # refused while it was wanted
    unread_since = _unread_since(row, desired, now)
    returned = desired.cause is Cause.REPORTED and desired.status is row.status and row.acknowledged
    # The two accounts are of different steps.
    other_account = (row.cause is Cause.STOOD) is not (desired.cause is Cause.STOOD)
    turned_at = None if returned or other_account else row.turned_at
    # Which of two claimants' spellings it is does not matter, and Hubject need not hear of another one.
    spelled = row.source_id if desired.flaw is Flaw.AMBIGUOUS else desired.wire_id
    same = (
        row.desired is desired.status
        and row.flaw is desired.flaw
        and row.value == desired.value
        and row.rule == desired.rule
        and row.connectors == desired.connectors
        and row.source_id == spelled
        and row.cause is desired.cause
        and row.fallback is desired.fallback
        and row.unread_since == unread_since
        and row.turned_at == turned_at
    )
    if same and (row.first_missing is None or desired.status is None):
        return row
    holds = desired.status is row.status and row.acknowledged
    gone = desired.status is EvseStatus.EVSE_NOT_FOUND and not row.believed_shown
    nothing_to_do = gone or (desired.flaw.never_inserted and not row.may_be_shown)
    waits = desired.status is not None and not (holds or nothing_to_do)
    repeated = desired.status is row.desired and row.changed_at is not None
    return replace(
        row,
        wire_id=row.wire_id if row.status is not None else spelled,
        source_id=spelled,
        desired=desired.status,
        cause=desired.cause,
        fallback=desired.fallback,
        unread_since=unread_since,
        turned_at=turned_at,
        value=desired.value,
        rule=desired.rule,
        source_time=desired.source_time,
        connectors=desired.connectors,
        flaw=desired.flaw,
        changed_at=(now if row.changed_at is None else row.changed_at) if waits else None,
        said_at=(row.said_at if repeated else now) if waits else None,
        first_missing=row.first_missing if desired.status is None else None,
        last_seen=row.last_seen if desired.status is None else None,
    )


def _unread_since(row: EvseRow, desired: Desired, now: float) -> float | None:
    """For each cause anew: a fleet that nobody could read for hours is not believed silent at once."""
    if desired.cause in (Cause.REPORTED, Cause.STOOD):
        return None
    begun = row.unread_since if row.cause is desired.cause else None
    return now if begun is None else begun


def written(state: OperatorState, writing: str, *, now: float) -> OperatorState:
    """A complete read at `now` was of this writing of the source; "": a fresh one each time."""
    if writing and writing == state.writing and state.writing_since is not None:
        return state
    return replace(state, writing=writing, writing_since=now)


def missed(row: EvseRow, *, now: float, last_seen: float | None, unusable: bool = False) -> EvseRow:
    """A complete read does not have it, or says not to publish it.

    `unusable`: it is in the read, in a record that cannot be published. When that ends it is missing from then on.
    """
    flaw = Flaw.UNUSABLE if unusable else Flaw.NONE
    if row.first_missing is not None and (row.flaw is flaw or unusable):
        return row if row.flaw is flaw else replace(row, flaw=flaw)
    return replace(row, first_missing=now, last_seen=last_seen, flaw=flaw)
