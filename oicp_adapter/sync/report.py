"""What a cycle came to: counters for the summary line, refusals for people, an exit code for scripts."""

from __future__ import annotations

from dataclasses import dataclass, field

from oicp_adapter.core.guards import Refusal
from oicp_adapter.errors import worst_exit_code


@dataclass(kw_only=True)
class CycleReport:
    """The outcome of one cycle of one operator."""

    job: str
    cycle_id: str = ""
    read: int = 0
    complete: bool = True
    changed: int = 0
    requests: int = 0
    pushed: int = 0
    acked: int = 0
    unchanged: int = 0
    quarantined: int = 0
    rejected: int = 0
    withheld: int = 0
    in_doubt: int = 0
    missing: int = 0
    withdrawn: int = 0
    """EVSEs that entered the guard's account in this cycle."""
    let_turn: int = 0
    """EVSEs that a person's leave let turn to Unknown in this cycle."""
    accepted: int = 0
    """Quarantined EVSEs that a person wanted tried, and that are in quarantine no more."""
    refused_again: int = 0
    """And those that Hubject refused again."""
    backlog: int = 0
    """EVSEs that wait for Hubject and could go."""
    bundle: int = 0
    duration: float = 0.0
    slowest: float = 0.0
    """Seconds from a change being seen to its acknowledgement: the longest of those acknowledged in this cycle."""
    lag: float = 0.0
    """Age in seconds of the oldest change that is not at Hubject, whatever it waits for."""
    waits: str | None = None
    """What it waits for, in words; None: nothing waits."""
    paused: str = ""
    """Who paused the operator, until when and why; "" if nobody."""
    observed: bool = False
    """Mode "observe": nothing was sent."""
    rests_until: float | None = None
    """Nothing was sent: Hubject is given a rest until then, after it refused us as a whole."""
    can_be_forced: bool = False
    """It is a rest of our own choice: a person may try at once. What Hubject has asked for holds for everybody."""
    found: dict[str, int] = field(default_factory=dict)
    healed: dict[str, int] = field(default_factory=dict)
    full_load: str = ""
    """What came of the full load: "" not asked for, applied, postponed, refused, rolling or failed."""
    full_records: int = 0
    why: str = ""
    """What a postponed full load waits for, or why a rolling resync replaces it."""
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    """(what was found in the source, fix); nothing that fails the cycle."""
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    """(exit code, what happened, fix)."""

    def refuse(self, refusal: Refusal) -> None:
        """A guard said no; the same no from the delta and from the full load counts once."""
        if all(one.guard is not refusal.guard for one in self.refusals):
            self.refusals.append(refusal)

    @property
    def nothing_sent(self) -> str:
        """Which choice of a person kept everything from being sent; "" if none did."""
        return 'mode = "observe"' if self.observed else self.paused

    @property
    def chosen_stop(self) -> str | None:
        """The same in the words of `status` and `explain`."""
        return 'mode is "observe"' if self.observed else self.paused or None

    @property
    def exit_code(self) -> int:
        """0 done, 3 refused by a guard, 4 Hubject, 5 source: the worst of what happened."""
        codes = [code for code, _, _ in self.failures]
        if self.refusals:
            codes.append(3)
        if self.in_doubt:
            codes.append(4)
        return worst_exit_code(codes)

    def summary(self) -> dict[str, int | float | str | None]:
        """The fields of the summary line."""
        return {
            "read": self.read,
            "changed": self.changed,
            "requests": self.requests,
            "pushed": self.pushed,
            "acked": self.acked,
            "quarantined": self.quarantined,
            "withheld": self.withheld,
            "in_doubt": self.in_doubt,
            "backlog": self.backlog,
            "bundle": self.bundle,
            "duration": round(self.duration, 3),
            "slowest": round(self.slowest, 3),
            "lag": round(self.lag, 3),
            "waits": self.waits,
        }
