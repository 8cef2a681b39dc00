"""What no plan may do by accident: withdraw many EVSEs, or begin without knowing what it deletes (P4). Pure.

The danger: an export that lost a region, a ledger that was lost. Each guard looks at the finished plan and answers with
a `Refusal`: the text and the override an operator needs at 03:00. What it withholds stays at Hubject as last
acknowledged; everything else flows. The mass guard has a module of its own, `oicp_adapter.core.mass`.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from enum import StrEnum

import msgspec

from oicp_adapter.core.high_water import day_of, measure, risen
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import MASS_GUARD, STANDING_GUARD, FullLoadPlan, Plan
from oicp_adapter.core.records import DISTRUSTED, LOST, UNMEASURED, WEEK, EvseRow, OperatorState, Presence

SHOWN_KEYS = 5
"""How many EvseIDs a refusal names; the rest are listed by `status`."""
HALF = 0.5
"""No more than this share of the published set ever leaves without a person, whatever the settings say."""
ON_PURPOSE = (
    "look at the source first: an export that lost its records looks like this. If they are really to leave, "
    'docs/operations.md, "Emptying the map on purpose", says how'
)
"""What a refusal says instead of a command, where that command would empty the map."""
_DELETES = "Hubject will delete everything else it holds for this operator"
BY_HAND = {
    "": "",
    LOST: " (the mark beside the ledger tells of pushes that this ledger has never seen: it was lost)",
    UNMEASURED: " (and the mark beside the ledger does not say how large the fleet was)",
    DISTRUSTED: " (the ledger is distrusted: it may not know all that was published)",
}
"""Why a person is asked, where the first full load may be automatic."""


class Guard(StrEnum):
    """The guards, by the name that `status` and the logs use."""

    WITHDRAWAL = "withdrawal"
    MASS_UNKNOWN = MASS_GUARD
    MASS_AVAILABLE = STANDING_GUARD
    BASELINE = "baseline"
    EMPTINESS = "emptiness"
    ADOPT_COUNT = "adopt_count"
    FIRST_RUN = "first_run"
    UNUSABLE = "unusable_records"


class GuardPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits. Shares are fractions of the published set."""

    withdrawal_share: float = 0.10
    withdrawal_count: int = 5
    mass_share: float = 0.50
    mass_count: int = 5
    mass_stale_after: float = 900.0
    """Seconds after which silence is believed, however many are silent."""
    unmapped_believed_after: float | None = 43_200.0
    """Seconds after which what nobody could read is Unknown, however many they are. None: never."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a person allowed, for this run only."""

    withdrawals: int | None = None
    unknowns: int | None = None
    """EVSEs that may take a step which staleness or something unmapped gives."""
    adopt: int | None = None
    empties_the_map: bool = False
    """Said beside one of the two where more than half would leave, or nothing would remain."""

    @property
    def only_changes(self) -> bool:
        """A full load is not what the person was after."""
        return self.withdrawals is not None or self.unknowns is not None

    def without(self, *, withdrawals: int, unknowns: int) -> Allowance:
        """What is left of it when so many have gone: what was allowed is allowed once."""
        return msgspec.structs.replace(
            self,
            withdrawals=None if self.withdrawals is None else max(0, self.withdrawals - withdrawals),
            unknowns=None if self.unknowns is None else max(0, self.unknowns - unknowns),
        )


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A guard's no, as a value."""

    guard: Guard
    text: str
    hint: str
    keys: tuple[str, ...] = ()
    """What is withheld because of it."""
    kind: str = ""
    """Told anew only when this changes or the withheld EVSEs have doubled; "": whenever they change."""


def published(rows: Iterable[EvseRow]) -> int:
    """How many EVSEs Hubject is believed to show to drivers."""
    return sum(1 for row in rows if row.held)


def accepted(rows: Iterable[EvseRow]) -> int:
    """How many of them it has ever acknowledged: the measure of later withdrawals. What was only sent may come back as
    refused, and would then be a fleet that never was."""
    return sum(1 for row in rows if _accepted(row))


def _accepted(row: EvseRow) -> bool:
    return row.held and row.status is not None


def grown(state: OperatorState, count: int, *, now: float) -> OperatorState:
    """Keep today's largest published set, for 7 days and for 90."""
    state = risen(state, count, now=now)
    today, oldest = day_of(now), day_of(now - WEEK)
    largest = {day: size for day, size in state.largest.items() if oldest <= day}
    largest[today] = max(largest.get(today, 0), count)
    return state if largest == state.largest else msgspec.structs.replace(state, largest=largest)


def withdrawal_guard(
    planned: Collection[str],
    rows: Collection[EvseRow],
    state: OperatorState,
    policy: GuardPolicy,
    *,
    now: float,
    remain: int,
    allowance: Allowance,
    operator: str,
) -> Refusal | None:
    """P4: the withdrawals of the last 7 days and the planned ones, against the largest set of those days.

    `remain`: how many EVSEs drivers see when all of it is done. What is in the account has passed already: it may be
    planned again after a lost answer. Not so once it was acknowledged: it can only be planned again because a request
    in doubt may have brought it back.
    """
    if not planned:
        return None
    in_account = [row for row in rows if row.withdrawn_at is not None and now - row.withdrawn_at < WEEK]
    account = {row.key for row in in_account}
    passed = {row.key for row in in_account if row.status not in (None, EvseStatus.EVSE_NOT_FOUND)}
    fresh = set(planned) - passed
    if not fresh:
        return None
    earlier = len(account - fresh)
    total = earlier + len(fresh)
    # Before the first acknowledgement the fleet to compare with is what the source has, for all we know at Hubject.
    # After it, what Hubject has not taken is none of it, unless it is to leave.
    known = accepted(rows)
    perhaps = sum(
        1
        for row in rows
        if row.may_be_shown
        and not (_accepted(row) or _only_called_gone(row))
        and (not known or row.key in fresh)
    )
    base = max(grown(state, known + perhaps, now=now).largest.values())
    nothing_left = remain == 0 and (published(rows) > 0 or bool(state.by_hand))
    empties = nothing_left or (total > 1 and total > HALF * base)
    if remain == 0 and allowance.adopt == 0 and allowance.empties_the_map:
        return None
    if allowance.withdrawals is not None and len(fresh) <= allowance.withdrawals:
        if allowance.empties_the_map or not empties:
            return None
    elif not empties and (total <= policy.withdrawal_count or total <= policy.withdrawal_share * base):
        return None
    limit = "half" if empties else f"{policy.withdrawal_share:.0%}"
    too_many = (
        f"{total} of {base}, and none would remain"
        if nothing_left
        else f"{total} of {base} is more than {limit}"
    )
    names = [row.wire_id for row in rows if row.key in fresh]
    return Refusal(
        guard=Guard.WITHDRAWAL,
        text=(
            f"{len(fresh)} EVSEs would leave the drivers' maps"
            + (f" ({earlier} more did within 7 days)" if earlier else "")
            + f": {too_many}. Withheld: {some(names)}"
        ),
        hint=leave(len(fresh), empties=empties, operator=operator),
        keys=tuple(sorted(fresh)),
    )


def remaining(rows: Collection[EvseRow], planned: Container[str]) -> int:
    """How many EVSEs Hubject is known to show once the planned withdrawals are done.

    What was only sent may be refused: it counts where nothing was ever acknowledged.
    """
    sent = not any(map(_accepted, rows))
    return sum(1 for row in rows if (_accepted(row) or (sent and row.held)) and row.key not in planned)


def leave(count: int, *, empties: bool, operator: str) -> str:
    """What to do about withheld withdrawals. No ready command where it would empty the map (P4 "Emptiness")."""
    if empties:
        return ON_PURPOSE
    command = f"oicp-adapter resync {operator} --allow-withdrawal {count}"
    return f"if the source is wrong, repair it; if they are really gone: {command}"


def first_run_guard(rows: Collection[EvseRow], *, rejected: int = 0) -> Refusal | None:
    """A first run with more than half of its records unmapped or `rejected` publishes nothing (P4).

    `rejected`: EVSEs of which the source has no record that can be used, and that were never pushed. It is a first run
    as long as most of the fleet was never pushed; then nothing new is published.
    """
    here = [row for row in rows if row.desired is not None and row.first_missing is None]
    published = [row for row in here if row.quarantine is None]
    wanted = [row for row in published if row.wanted]
    new = [row for row in published if row.status is None and row.in_doubt_since is None]
    first = len(new) * 2 > len(published) or not (here or any(row.status_at is not None for row in rows))
    unmapped = [row for row in new if row.cause is Cause.UNMAPPED]
    readable = len(
        wanted if unmapped else published
    )  # a word that says gone was read, but says nothing for the others
    if not first or (len(unmapped) + rejected) * 2 <= readable + rejected:
        return None
    why, hints = [], []
    if unmapped:
        values = sorted({row.value for row in unmapped})
        why.append(f"{len(unmapped)} of {len(wanted)} EVSEs report values no table knows: {some(values)}")
        hints.append(
            "check `vocabulary`; `oicp-adapter plan` names each value with the setting that mends it"
        )
    if rejected:
        why.append(f"{rejected} of {readable + rejected} cannot be published")
        hints.append("check `evse_id_prefixes` and the ids: oicp-adapter quarantine list")
    return Refusal(
        guard=Guard.FIRST_RUN,
        text=(
            ("nothing is published" if len(new) == len(published) else "nothing new is published")
            + f": this would be the first load, and {'; '.join(why)}"
        ),
        hint="; ".join(hints),
        keys=tuple(row.key for row in new),
    )


def all_called_gone(rows: Collection[EvseRow]) -> Refusal | None:
    """It is unknown what Hubject holds, and the source has nothing to show but calls all that it has gone."""
    gone = [row for row in rows if _only_called_gone(row) and row.presence is Presence.UNKNOWN]
    if len(gone) < 2 or any(row.wanted for row in rows):
        return None
    return Refusal(
        guard=Guard.FIRST_RUN,
        text=f"nothing is removed: the source calls all of its {len(gone)} EVSEs gone, and Hubject may show them",
        hint="check the export, and `vocabulary`",
        keys=tuple(row.key for row in gone),
    )


def _only_called_gone(row: EvseRow) -> bool:
    """The source calls it gone, and no answer of Hubject ever said that it is there."""
    return row.called_gone and not row.believed_shown


def untried(
    plan: Plan, rows: dict[str, EvseRow], state: OperatorState, policy: GuardPolicy
) -> tuple[str, ...]:
    """Removals of what Hubject may hold from before us, when they are more than all that the source has to show.

    After a lost or old ledger, when they are more than the withdrawal guard would let go: we may have published them.

    They are no withdrawals, so no other guard counts them: an export that calls everything gone on the first day would
    empty the map. The first full load, which needs a person or a setting, leaves them out.
    """
    removals = (change for change in plan.changes if change.takes_off and not change.withdraws)
    tries = tuple(change.key for change in removals if change.presence is Presence.UNKNOWN)
    shown = sum(1 for row in rows.values() if row.wanted)
    limit = max(1.0, shown)
    if state.by_hand:
        limit = min(shown, max(policy.withdrawal_count, policy.withdrawal_share * (shown + len(tries))))
    return tries if len(tries) > limit else ()


def baseline_guard(
    full: FullLoadPlan, state: OperatorState, *, allowance: Allowance, automatic: bool, operator: str
) -> Refusal | None:
    """No fullLoad while unknown what Hubject held before us; `--adopt N` only with exactly N records.

    `automatic`: the first full load needs nobody's yes, unless the ledger was lost or is distrusted.
    """
    adopt, count = allowance.adopt, len(full.records)
    if adopt is not None:
        if adopt == count:
            return None
        few = _few(full, state) or count < HALF * adopt
        return Refusal(
            guard=Guard.ADOPT_COUNT,
            text=f"--adopt {adopt}, but the full load would hold {count} records; {_DELETES}",
            hint=ON_PURPOSE
            if few
            else f"check the number; if {count} is right: oicp-adapter resync {operator} --adopt {count}",
        )
    if state.baseline or (automatic and not state.by_hand):
        return None
    return Refusal(
        guard=Guard.BASELINE,
        text=(
            "no full load is sent: what Hubject held before our first full load is unknown"
            f"{BY_HAND[state.by_hand]}. It would hold {count} records, and {_DELETES}"
        ),
        hint=_adopting(full, state, operator, automatic=automatic),
    )


def _adopting(full: FullLoadPlan, state: OperatorState, operator: str, *, automatic: bool) -> str:
    if state.too_large:
        return f"nothing: {state.too_large}; a rolling resync runs instead, and what others left at Hubject stays"
    if _few(full, state):
        return ON_PURPOSE
    if state.by_hand == UNMEASURED:
        return 'docs/operations.md, "Adopting the baseline", says how to find the right number'
    command = f"oicp-adapter resync {operator} --adopt {len(full.records)}"
    # Where only a person ends it, the setting would change nothing.
    return command if automatic or state.by_hand else f'{command}, or first_full_load = "automatic"'


def emptiness_guard(full: FullLoadPlan, state: OperatorState, allowance: Allowance) -> Refusal | None:
    """P4: a fullLoad of nothing, or of fewer than half of what was published within 90 days, is never automatic."""
    adopted = allowance.adopt is not None and full.shown > 0
    if adopted or allowance.empties_the_map or not _few(full, state):
        return None
    most = measure(state)
    than = f", fewer than half of the {most} that were published within 90 days" if most else ""
    return Refusal(
        guard=Guard.EMPTINESS,
        text=f"the full load would leave {full.shown} EVSEs on the drivers' maps{than}; {_DELETES}",
        hint=ON_PURPOSE,
    )


def _few(full: FullLoadPlan, state: OperatorState) -> bool:
    return full.shown == 0 or full.shown < HALF * measure(state)


def forgettable(row: EvseRow, *, now: float) -> bool:
    """Nothing of it matters any more: not at Hubject, not in the source, its share in the account expired."""
    return (
        row.presence is Presence.ABSENT
        and row.first_missing is not None
        and row.in_doubt_since is None
        and row.reassert_at is None
        and (row.withdrawn_at is None or now - row.withdrawn_at >= WEEK)
    )


def some(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(names[:SHOWN_KEYS])
    more = len(names) - SHOWN_KEYS
    return f"{shown} and {more} more" if more > 0 else shown
