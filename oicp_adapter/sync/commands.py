"""Manual commands by name, for whoever holds the operator's lock: the daemon's worker, or the verb by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from oicp_adapter.core.guards import Allowance
from oicp_adapter.ports import CommandState
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.resync import Ended, Resync, kept_back

RESYNC, RETRY, DISTRUST = "resync", "retry", "distrust"

Arguments = Mapping[str, int | str | None]


class Task(Protocol):
    """A command in progress."""

    progress: str
    """What it waits for, in words."""

    def step(self, now: float) -> Ended | None:
        """Go on; `now` is monotonic. None: it has to wait; call again after a delta interval."""


def task(verb: str, arguments: Arguments, sync: OperatorSync, *, now: float, asked: str) -> Task:
    """The command by name; `now` is monotonic. Raises ValueError for one that a newer version asked for."""
    if verb == RESYNC:
        allowance = Allowance(
            withdrawals=_number(arguments, "allow_withdrawal"),
            unknowns=_number(arguments, "allow_unknown"),
            adopt=_number(arguments, "adopt"),
            empties_the_map=bool(_number(arguments, "empties_the_map")),
        )
        return Resync(sync, allowance, now=now, asked=asked)
    if verb == RETRY:
        key = arguments.get("evse")
        return Retry(sync, key if isinstance(key, str) else None)
    if verb == DISTRUST:
        return Distrust(sync)
    raise ValueError(f"unknown command {verb!r}: was it asked by a newer version?")


def _number(arguments: Arguments, name: str) -> int | None:
    value = arguments.get(name)
    return value if isinstance(value, int) else None


class Retry:
    """Try quarantined EVSEs again now, instead of at their time."""

    def __init__(self, sync: OperatorSync, key: str | None) -> None:
        self._sync = sync
        self._key = key
        self.progress = ""

    def step(self, now: float) -> Ended | None:
        """Runs one reconciliation with their time brought forward."""
        due = self._sync.hasten(self._key)
        if not due:
            what = "nothing is quarantined" if self._key is None else "this EVSE is not quarantined"
            text = f"{what} by Hubject; what validation refused, the source must correct"
            return Ended(state=CommandState.DONE, exit_code=0, text=text)
        report = self._sync.retry(due)
        if report.nothing_sent:
            return kept_back(report, self._sync.operator)
        said = [f"{report.accepted} of {len(due)} accepted"]
        said += [f"{report.refused_again} refused again"] if report.refused_again else []
        unsent = len(due) - report.accepted - report.refused_again
        said += [f"{unsent} not settled"] if unsent else []
        ended = _ended(report, f"{', '.join(said)}; {report.quarantined} EVSEs are quarantined now")
        if report.accepted or ended.exit_code:
            return ended
        return Ended(state=CommandState.FAILED, exit_code=4, text=ended.text)


class Distrust:
    """Forget what the ledger believes about Hubject, and push everything again."""

    def __init__(self, sync: OperatorSync) -> None:
        self._sync = sync
        self.progress = ""

    def step(self, now: float) -> Ended | None:
        """Marks every EVSE as in doubt with unknown presence; the cycles after settle push them anew."""
        count = self._sync.distrust("asked by a person")
        text = f"{count} EVSEs are in doubt and are pushed again after settle; the baseline is unknown again"
        return Ended(state=CommandState.DONE, exit_code=0, text=text)


def _ended(report: CycleReport, text: str) -> Ended:
    lines = [text] + [what for _, what, _ in report.failures]
    state = CommandState.DONE if report.exit_code in (0, 3) else CommandState.FAILED
    return Ended(state=state, exit_code=report.exit_code, text="\n".join(lines))
