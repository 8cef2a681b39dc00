"""Is the charger still there? Decided from signs of life only, never from the time of the last change.

The danger: the last state of a dead charger kept for days (drivers stand before it), or a healthy fleet
taken for dead because of a wrong clock. Therefore a time more than five minutes ahead counts as no time.
"""

from __future__ import annotations

from oicp_adapter.core.model import Cause, SourceRecord
from oicp_adapter.core.rules import MappingRules, Rule, RuleKind
from oicp_adapter.core.verdicts import Verdict
from oicp_adapter.core.vocabulary import Target

FUTURE_TOLERANCE = 300.0
"""Seconds a source's clock may be ahead of ours."""

_WHY = "The charger is not heard from any more: its last state may have changed since."
_ONLINE = {"online", "true", "1", "yes"}


class SignsOfLife:
    """The limits of one run, as points in time."""

    def __init__(self, rules: MappingRules, *, now: float) -> None:
        self._future = now + FUTURE_TOLERANCE
        silence = rules.heartbeat_interval * rules.missed_heartbeats
        self._dead_before = now - silence
        self._dead = _rule(
            f"offline: last sign of life older than {_duration(silence)}",
            "mapping.heartbeat_interval, mapping.missed_heartbeats",
        )
        self._out_before, self._out = None, self._dead
        if (out := rules.offline_out_of_service_after) is not None:
            self._out_before = now - max(out, silence)
            text = f"offline: last sign of life older than {_duration(max(out, silence))}"
            self._out = _rule(text, "mapping.offline_out_of_service_after")
        self._stale_before, self._stale = None, self._dead
        if (stale := rules.stale_after) is not None:
            self._stale_before = now - stale
            self._stale = _rule(f"stale: last update older than {_duration(stale)}", "mapping.stale_after")

    def valid(self, time: float | None) -> float | None:
        """The time, or None if it lies in the future (or is no number)."""
        return time if time is not None and time <= self._future else None

    def newest_sign(self, record: SourceRecord) -> float | None:
        """The record's newest sign of life."""
        if record.last_heartbeat is None and record.last_seen is None:
            return None
        return newest(self.valid(record.last_heartbeat), self.valid(record.last_seen))

    def broken_connection(self, connection: str | None) -> str | None:
        """What the connection column says, if it says anything but "online"."""
        if connection is None:
            return None
        said = connection.strip()
        return said if said and said.casefold() not in _ONLINE else None

    def verdict(
        self, *, alive: float | None, connection: str | None, updated: float | None, reported: Verdict
    ) -> Verdict | None:
        """Unknown (or OutOfService) for a charger that is offline or whose state is stale; None otherwise.

        It replaces what is `reported`, which stays what can be read. Neither a connection nor a sign of life known: no
        rule.
        """
        if alive is not None and self._out_before is not None and alive < self._out_before:
            return _verdict(Target.OUT_OF_SERVICE, self._out, reported)
        if connection is not None:
            rule = _rule(f"offline: connection is {connection}", column="connection", value=connection)
            return _verdict(Target.UNKNOWN, rule, reported)
        if alive is not None and alive < self._dead_before:
            return _verdict(Target.UNKNOWN, self._dead, reported)
        if updated is not None and self._stale_before is not None and updated < self._stale_before:
            return _verdict(Target.UNKNOWN, self._stale, reported)
        return None


def newest(*times: float | None) -> float | None:
    """The newest of the known times."""
    return max((time for time in times if time is not None), default=None)


def _rule(text: str, setting: str = "", *, column: str = "", value: str = "") -> Rule:
    return Rule(kind=RuleKind.OFFLINE, text=text, setting=setting, column=column, value=value)


def _verdict(target: Target, rule: Rule, reported: Verdict) -> Verdict:
    return Verdict(
        target=target, rule=rule, value=reported.value, cause=Cause.STALE, readable=reported.said, why=_WHY
    )


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
