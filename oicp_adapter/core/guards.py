"""What no plan may do by accident: withdraw many EVSEs, or begin without knowing what it deletes (P4). Pure.

The danger: an export that lost a region, a ledger that was lost. Each guard looks at the finished plan and answers with
a `Refusal`: the text and the override an operator needs at 03:00. What it withholds stays at Hubject as last
acknowledged; everything else flows. The mass guard has a module of its own, `oicp_adapter.core.mass`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import MASS_GUARD, FullLoadPlan
from oicp_adapter.core.records import WEEK, EvseRow, OperatorState, Presence

SHOWN_KEYS = 5
"""How many EvseIDs a refusal names; the rest are listed by `status`."""


class Guard(StrEnum):
    """The guards, by the name that `status` and the logs use."""

    WITHDRAWAL = "withdrawal"
    MASS_UNKNOWN = MASS_GUARD
    BASELINE = "baseline"
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
    alike: str = ""
    """What it is about: the log tells it anew when this changes. "": when the withheld EVSEs do."""


def published(rows: Iterable[EvseRow]) -> int:
    """How many EVSEs Hubject is believed to show to drivers."""
    return sum(1 for row in rows if row.held)


def day_of(now: float) -> str:
    """The UTC day an account entry belongs to."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def grown(state: OperatorState, count: int, *, now: float) -> OperatorState:
    """Keep today's largest published set, and only the last 7 days."""
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
    allowed: int | None,
    operator: str,
) -> Refusal | None:
    """P4: the withdrawals of the last 7 days and the planned ones, against the largest set of those days.

    What is in the account has passed already: it may be planned again after a lost answer. Not so once it was
    acknowledged: it can only be planned again because a request in doubt may have brought it back.
    """
    in_account = [row for row in rows if row.withdrawn_at is not None and now - row.withdrawn_at < WEEK]
    account = {row.key for row in in_account}
    passed = {row.key for row in in_account if row.status not in (None, EvseStatus.EVSE_NOT_FOUND)}
    fresh = set(planned) - passed
    if not fresh or (allowed is not None and len(fresh) <= allowed):
        return None
    earlier = len(account - fresh)
    total = earlier + len(fresh)
    # Before the first acknowledgement the fleet to compare with is what the source has, for all we know at Hubject.
    perhaps = sum(1 for row in rows if row.may_be_shown and not row.held)
    base = max(grown(state, published(rows) + perhaps, now=now).largest.values())
    if total <= policy.withdrawal_count or total <= policy.withdrawal_share * base:
        return None
    names = [row.wire_id for row in rows if row.key in fresh]
    return Refusal(
        guard=Guard.WITHDRAWAL,
        text=(
            f"{len(fresh)} EVSEs would leave the drivers' maps"
            + (f" ({earlier} more did within 7 days)" if earlier else "")
            + f": {total} of {base} is more than {policy.withdrawal_share:.0%}. Withheld: {some(names)}"
        ),
        hint=(
            "if the source is wrong, repair it; if they are really gone: "
            f"oicp-adapter resync {operator} --allow-withdrawal {len(fresh)}"
        ),
        keys=tuple(sorted(fresh)),
    )


def first_run_guard(rows: Collection[EvseRow]) -> Refusal | None:
    """A first run with more than half of its values unmapped publishes nothing (P4).

    It is one as long as most of the fleet was never pushed; then nothing new is published.
    """
    wanted = [
        row
        for row in rows
        if row.desired is not None and row.first_missing is None and row.quarantine is None
    ]
    new = [row for row in wanted if row.status is None and row.in_doubt_since is None]
    unmapped = [row for row in new if row.cause is Cause.UNMAPPED]
    if len(unmapped) * 2 <= len(wanted):
        return None
    values = sorted({row.value for row in unmapped})
    return Refusal(
        guard=Guard.FIRST_RUN,
        text=(
            ("nothing is published" if len(new) == len(wanted) else "nothing new is published")
            + f": this would be the first load, and {len(unmapped)} of {len(wanted)} EVSEs "
            f"report values no table knows: {some(values)}"
        ),
        hint="check `vocabulary`, or map the values under `mapping.overrides`",
        keys=tuple(row.key for row in new),
    )


def baseline_guard(
    full: FullLoadPlan, state: OperatorState, *, adopt: int | None, operator: str
) -> Refusal | None:
    """No fullLoad while unknown what Hubject held before us; `--adopt N` only with exactly N records."""
    count = len(full.records)
    deletes = "Hubject will delete everything else it holds for this operator"
    if adopt is not None and adopt != count:
        return Refusal(
            guard=Guard.ADOPT_COUNT,
            text=f"--adopt {adopt}, but the full load would hold {count} records; {deletes}",
            hint=f"check the number; if {count} is right: oicp-adapter resync {operator} --adopt {count}",
        )
    if state.baseline or adopt is not None:
        return None
    return Refusal(
        guard=Guard.BASELINE,
        text=(
            "no full load is sent: what Hubject held before our first full load is unknown. "
            f"It would hold {count} records, and {deletes}"
        ),
        hint=_adopt_hint(count, operator),
    )


def _adopt_hint(count: int, operator: str) -> str:
    if count == 0:
        return "nothing would remain: check `evse_id_prefixes` and `oicp-adapter quarantine list` first"
    return f'oicp-adapter resync {operator} --adopt {count}, or first_full_load = "automatic"'


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
