"""One request at a time, each made durable before its first byte and settled by its answer.

The danger: recording an acknowledgement that did not arrive, or forgetting a request that may still be applied.
So every push goes through `_push`: intent → send → exactly one of acknowledged, refused, in doubt, not applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from oicp_adapter.core import transitions
from oicp_adapter.core.mass import entered, is_step
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Change, FullLoadPlan, Kind
from oicp_adapter.core.records import EvseRow, IntentRecord, PushIntent, PushRow
from oicp_adapter.core.standing import is_turn
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest, body
from oicp_adapter.ports import Clock, Hub, Ledger
from oicp_adapter.sync.isolation import Bundle
from oicp_adapter.sync.work import DeliveryPolicy, Work
from oicp_adapter.telemetry import events


class Sent(Protocol):
    """What a finished push does to the rows it concerns."""

    def __call__(self, push_id: int, now: float) -> Iterable[EvseRow]: ...


class Pusher:
    """Sends requests for one operator and keeps the books. Not thread-safe: one push at a time is the point (P2)."""

    def __init__(self, *, hub: Hub, ledger: Ledger, clock: Clock, policy: DeliveryPolicy) -> None:
        self._hub = hub
        self._ledger = ledger
        self._clock = clock
        self._policy = policy
        self.round_trip = 0.0
        """Smoothed, seconds; 0 before the first answer."""
        self.doubts = 0
        """Requests in a row without a readable answer."""

    def full_load(self, full: FullLoadPlan, work: Work, *, how: str) -> Answer:
        """Send one fullLoad that the guards let pass. `how`: what makes the baseline known, if it is not yet.

        The caller reacts to the answer.
        """
        leaves = frozenset(full.withdraws)
        steps = [key for key, _, status in full.records if _enters(work.rows[key], status)]
        before = {key: work.rows[key] for key in (*full.withdraws, *steps)}
        now = self._clock.now()
        changed = [
            IntentRecord(key, status, "full load")
            for key, _, status in full.records
            if work.rows[key].status is not status
        ]
        changed += [IntentRecord(key, None, "left out of the full load") for key in full.withdraws]
        request = self._full_request(full)

        def applied(push_id: int, now: float) -> Iterable[EvseRow]:
            work.state = transitions.full_load_applied(work.state, how=how, now=now)
            for key, wire_id, status in full.records:
                row = work.rows[key]
                if row.acknowledged and row.status is status and row.wire_id == wire_id:
                    continue  # nothing new about it: no write
                after = self._acknowledge(row, status, wire_id=wire_id, now=now, push_id=push_id)
                if row.quarantine is not None and row.quarantine.status is not status:
                    after = replace(after, quarantine=row.quarantine)  # only its older status was accepted
                yield after
            for key in full.leaves_out:
                yield transitions.absent(work.rows[key], now=now, push_id=push_id, settle=self._policy.settle)

        def doubted(push_id: int, now: float) -> Iterable[EvseRow]:
            work.state = transitions.full_load_doubted(work.state, now=now)
            for row in work.rows.values():
                yield transitions.doubted(row, ActionType.FULL_LOAD, now=now, push_id=push_id)

        return self._push(
            request,
            work,
            records_=tuple(changed),
            intent_rows=tuple(
                _accounted(row, work, now, leaves=key in leaves) for key, row in before.items()
            ),
            applied=applied,
            doubted=doubted,
            undone=lambda push_id, now: before.values(),
        )

    def full_size(self, full: FullLoadPlan) -> int:
        """Bytes of the fullLoad's body."""
        return body(self._full_request(full)).length

    def _full_request(self, full: FullLoadPlan) -> PushRequest:
        return PushRequest(
            action=ActionType.FULL_LOAD,
            operator_id=self._policy.operator_id,
            operator_name=self._policy.operator_name,
            records=[(wire_id, status) for _, wire_id, status in full.records],
        )

    def send(self, bundle: Bundle, work: Work) -> Answer:
        """Send one bundle. The caller reacts to anything but an acknowledgement or doubt."""
        action, changes = bundle.action, bundle.changes
        leaves = {change.key for change in changes if change.withdraws}
        before = {
            change.key: work.rows[change.key]
            for change in changes
            if change.withdraws or _enters(work.rows[change.key], change.status)
        }
        now = self._clock.now()
        request = PushRequest(
            action=action,
            operator_id=self._policy.operator_id,
            operator_name=self._policy.operator_name,
            # A delete names a status too: the message has no other form.
            records=[(change.wire_id, change.status or EvseStatus.EVSE_NOT_FOUND) for change in changes],
        )
        answer = self._push(
            request,
            work,
            records_=tuple(IntentRecord(change.key, change.status, change.reason) for change in changes),
            intent_rows=tuple(
                _accounted(row, work, now, leaves=key in leaves) for key, row in before.items()
            ),
            applied=lambda push_id, now: [
                self._acknowledge(
                    work.rows[change.key], change.status, wire_id=change.wire_id, now=now, push_id=push_id
                )
                for change in changes
            ],
            doubted=lambda push_id, now: [
                transitions.doubted(work.rows[change.key], action, now=now, push_id=push_id)
                for change in changes
            ],
            undone=lambda push_id, now: before.values(),
        )
        work.largest_bundle = max(work.largest_bundle, len(changes))
        if answer.reaction is Reaction.APPLIED:
            self._count(changes, work)
        return answer

    def _push(
        self,
        request: PushRequest,
        work: Work,
        *,
        records_: tuple[IntentRecord, ...],
        intent_rows: tuple[EvseRow, ...],
        applied: Sent,
        doubted: Sent,
        undone: Sent,
    ) -> Answer:
        """The one place where knowledge about Hubject advances."""
        intent = PushIntent(
            action=request.action,
            cycle_id=work.cycle_id,
            started_at=self._clock.now(),
            count=len(request.records),
            records=records_,
            rows=intent_rows,
        )
        push_id = self._ledger.begin(intent)
        work.rows.update((row.key, row) for row in intent_rows)
        with work.log.bind(push_id=push_id, action=request.action.value).current():
            answer = self._hub.push(request)
        now = self._clock.now()
        effect = {Reaction.APPLIED: applied, Reaction.IN_DOUBT: doubted}.get(answer.reaction, undone)
        rows = list(effect(push_id, now))
        if effect is not undone:
            work.let_turn.update(row.key for row in intent_rows if row.key in work.steps.by_leave)
        self._ledger.finish(_push_row(push_id, answer, now), rows, work.state)
        work.rows.update((row.key, row) for row in rows)
        self._tally(request, answer, push_id=push_id, work=work)
        return answer

    def _tally(self, request: PushRequest, answer: Answer, *, push_id: int, work: Work) -> None:
        count = len(request.records)
        work.requests += 1
        work.pushed += count if answer.reaction is not Reaction.UNREACHABLE else 0
        if answer.reaction is Reaction.IN_DOUBT:
            self.doubts += 1
            work.in_doubt += count
        else:
            self.doubts = 0
            work.answered |= answer.reaction is not Reaction.UNREACHABLE
        if answer.reaction in (Reaction.APPLIED, Reaction.REFUSED):
            weight = 0.2 if self.round_trip else 1.0
            self.round_trip += weight * (answer.duration - self.round_trip)
        log = work.log.bind(push_id=push_id, action=request.action.value, records=count)
        log.emit(
            _PUSH_EVENTS[answer.reaction],
            code=answer.code or None,
            process_id=answer.process_id,
            http_status=answer.http_status,
            duration=round(answer.duration, 3),
            text=None if answer.reaction is Reaction.APPLIED else answer.text,
        )
        if not answer.code_known:
            log.emit(events.HUB_CODE_UNKNOWN, code=answer.code, process_id=answer.process_id)

    def quarantine(
        self, refused: Iterable[tuple[str, EvseStatus | None]], answers: Sequence[Answer], work: Work
    ) -> None:
        """Note as refused, each with the status that was sent; they are tried again alone."""
        now, last = self._clock.now(), answers[-1]
        text = "; then ".join(one.text for one in answers)
        rows = []
        for key, status in refused:
            row = work.rows[key]
            work.newly_quarantined += 1
            work.refused.add(key)
            work.log.emit(
                events.EVSE_QUARANTINED,
                evse_id=row.wire_id,
                code=last.code or None,
                text=text,
                process_id=last.process_id,
            )
            after = transitions.quarantined(
                row,
                status,
                code=last.code or str(last.http_status or ""),
                text=text,
                process_id=last.process_id,
                now=now,
                first_retry=self._policy.quarantine_first_retry,
                longest_retry=self._policy.quarantine_longest_retry,
                settle=self._policy.settle,
            )
            rows.append(after)
        self._save(rows, work)

    def already_gone(self, changes: Iterable[Change], work: Work) -> None:
        """Removals refused because the EVSE is not there: done."""
        now = self._clock.now()
        settle = self._policy.settle
        gone = (work.rows[change.key] for change in changes)
        self._save([transitions.absent(row, now=now, push_id=None, settle=settle) for row in gone], work)

    def _save(self, rows: list[EvseRow], work: Work) -> None:
        if rows:
            self._ledger.save(rows, work.state)
            work.rows.update((row.key, row) for row in rows)

    def _acknowledge(
        self, row: EvseRow, status: EvseStatus | None, *, wire_id: str, now: float, push_id: int
    ) -> EvseRow:
        return transitions.acknowledged(
            row, status, now=now, push_id=push_id, wire_id=wire_id, settle=self._policy.settle
        )

    def _count(self, changes: tuple[Change, ...], work: Work) -> None:
        now = self._clock.now()
        work.acked += len(changes)
        for change in changes:
            work.kinds[change.kind.value] = work.kinds.get(change.kind.value, 0) + 1
            if change.since is not None:
                work.slowest = max(work.slowest, now - change.since)
            if change.kind is not Kind.NEW and change.status is not change.previous:
                work.log.emit(
                    events.EVSE_CHANGED,
                    evse_id=change.wire_id,
                    before=change.previous.value if change.previous else None,
                    after=change.status.value if change.status else "deleted",
                    reason=change.reason,
                )


def _accounted(row: EvseRow, work: Work, now: float, *, leaves: bool) -> EvseRow:
    """The row with its share in the guards' accounts: taken with the intent, because the answer may be lost."""
    if leaves:
        return replace(row, withdrawn_at=now)
    return entered(row, now=now, uncounted=row.key in work.steps.uncounted)


_PUSH_EVENTS = {
    Reaction.APPLIED: events.PUSH_APPLIED,
    Reaction.REFUSED: events.PUSH_REFUSED,
    Reaction.TOO_LARGE: events.PUSH_REFUSED,
    Reaction.IN_DOUBT: events.PUSH_IN_DOUBT,
    Reaction.TRANSIENT: events.PUSH_FAILED,
    Reaction.THROTTLED: events.PUSH_FAILED,
    Reaction.UNREACHABLE: events.PUSH_FAILED,
    Reaction.STOPPED: events.PUSH_FAILED,
}


def _push_row(push_id: int, answer: Answer, now: float) -> PushRow:
    return PushRow(
        push_id=push_id,
        finished_at=now,
        outcome=answer.reaction.value,
        code=answer.code,
        text=answer.text,
        process_id=answer.process_id,
        http_status=answer.http_status,
        duration=answer.duration,
        attempts=answer.attempts,
    )


def _enters(row: EvseRow, status: EvseStatus | None) -> bool:
    """The step enters one of the accounts that keep a mass back."""
    return is_step(row, status) or is_turn(row, status)
