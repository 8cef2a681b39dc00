"""Is the charger still there? Decided from signs of life only, never from the time of the last change.

The danger: the last state of a dead charger kept for days (drivers stand before it), or a healthy fleet taken for dead
because of a wrong clock. So one fresh time proves life, whatever else is said; a time that nobody can read, or that
lies ahead, proves nothing and is told; and nothing that is merely written in another way keeps a charger alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from statistics import median

import msgspec

from oicp_adapter.core.model import NEVER, Cause, SourceRecord
from oicp_adapter.core.rules import MappingRules, Rule, RuleKind
from oicp_adapter.core.verdicts import Verdict, unmapped
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.core.words import Link

FUTURE_TOLERANCE = 300.0
"""Seconds a source's clock may be ahead of ours."""
HALF_HOUR = 1800.0
"""Time zones differ by multiples of this, but for a few villages."""

_WHY = "The charger is not heard from any more: its last state may have changed since."
_WHY_UNREADABLE = "Nobody can tell whether the charger is still there: its sign of life cannot be read."
_WHY_AHEAD = "Nobody can tell whether the charger is still there: its sign of life lies in the future."
_WHY_SILENT = "The charger gives no sign of life, and the settings take that for offline."
_WHY_LINK = "Nobody can tell whether the charger is still there: no table knows what its connection says."


class Pulse(msgspec.Struct, frozen=True, gc=False):
    """What the times of a charger say. Together they are alternatives: one fresh time is enough."""

    newest: float | None = None
    """The newest that is not ahead; NEVER if all of them say so; None if there is none."""
    ahead: float | None = None
    """The nearest of those that lie too far ahead."""
    column: str = ""
    """A column with a time that cannot be read, or lies ahead; "" if there is none."""
    written: str = ""
    """What stands there; "" of one that lies ahead."""
    given: bool = True
    """The source gives such a time; else we only saw a word change."""

    def since(self, limit: float) -> bool:
        """One of the times is not older than `limit`."""
        return self.newest is not None and self.newest >= limit

    def with_(self, other: Pulse) -> Pulse:
        """Both together, whichever comes first."""
        if not self.column and not other.column and self.given is other.given:  # the usual case, kept fast
            return self if other.newest is None or (self.newest or NEVER) >= other.newest else other
        first = min((self, other), key=lambda one: (not one.column, not one.written, one.column, one.written))
        return Pulse(
            newest=newest(self.newest, other.newest),
            ahead=min((one.ahead for one in (self, other) if one.ahead is not None), default=None),
            column=first.column,
            written=first.written,
            given=self.given or other.given,
        )


class SignsOfLife:
    """The limits of one run, as points in time."""

    def __init__(self, rules: MappingRules, *, now: float) -> None:
        self._columns = rules.signs_of_life
        self._silent_is_offline = rules.no_sign_of_life == "offline"
        self.now = now
        self._future = now + FUTURE_TOLERANCE
        self._silence = rules.heartbeat_interval * rules.missed_heartbeats
        self._interval = rules.heartbeat_interval
        self._dead_before = now - self._silence
        self._dead = _rule(
            f"offline: last sign of life older than {_duration(self._silence)}",
            "mapping.heartbeat_interval, mapping.missed_heartbeats",
        )
        self._out_before, self._out = None, self._dead
        if (out := rules.offline_out_of_service_after) is not None:
            self._out_before = now - max(out, self._silence)
            text = f"offline: last sign of life older than {_duration(max(out, self._silence))}"
            self._out = _rule(text, "mapping.offline_out_of_service_after")
        self._stale_before, self._stale = None, self._dead
        if (stale := rules.stale_after) is not None:
            self._stale_before = now - stale
            self._stale = _rule(f"stale: last update older than {_duration(stale)}", "mapping.stale_after")

    def valid(self, time: float | None) -> float | None:
        """A time that orders reports: None if it lies in the future, or is none, or never was."""
        return time if time is not None and NEVER < time <= self._future else None

    def pulse(self, record: SourceRecord) -> Pulse | None:
        """What the record's own times say; None if all of them are empty."""
        return self._of(record, self._columns)

    def _of(self, record: SourceRecord, columns: tuple[str, ...]) -> Pulse | None:
        found: Pulse | None = None
        for column in columns:
            time: float | None = getattr(record, column)
            if time is None:
                continue
            one = Pulse(newest=time) if time <= self._future else Pulse(ahead=time, column=column)
            found = found.with_(one) if found else one
        for column, written in record.unread:
            if column in columns:
                one = Pulse(column=column, written=written)
                found = found.with_(one) if found else one
        return found

    def update(self, record: SourceRecord) -> Pulse | None:
        """What `updated_at` says, where it makes a state stale; else None."""
        return None if self._stale_before is None else self._of(record, ("updated_at",))

    def verdict(
        self,
        *,
        pulse: Pulse | None,
        connection: Link | None,
        online: bool,
        update: Pulse | None,
        reported: Verdict,
    ) -> Verdict | None:
        """Unknown (or OutOfService) for a charger that is offline, or whose state is stale; None otherwise.

        It replaces what is `reported`, which stays what can be read.
        `connection` is what the source says of it where that is not online; `online`: it says so. Online has no age:
        it counts only where no time is given at all.
        """
        if connection is not None:
            if connection.unmapped:
                return _unread_link(connection, reported)
            if pulse is not None and not pulse.column and self._is_out(pulse):
                return _verdict(Target.OUT_OF_SERVICE, self._out, reported)
            word = connection.word
            rule = _rule(f"offline: connection is {word}", column="connection", value=word)
            return _verdict(Target.UNKNOWN, rule, reported)
        if pulse is None:
            if self._silent_is_offline and not online:
                rule = _rule("offline: no sign of life", "mapping.no_sign_of_life")
                return _verdict(Target.UNKNOWN, rule, reported, why=_WHY_SILENT)
        elif not pulse.since(self._dead_before):
            if pulse.column:
                return _unusable(pulse, reported)
            if self._is_out(pulse):
                return _verdict(Target.OUT_OF_SERVICE, self._out, reported)
            return _verdict(Target.UNKNOWN, self._dead, reported)
        if self._stale_before is None or update is None or update.since(self._stale_before):
            return None
        return (
            _unusable(update, reported) if update.column else _verdict(Target.UNKNOWN, self._stale, reported)
        )

    def _is_out(self, pulse: Pulse) -> bool:
        """Silent for so long that it counts as out of service. Of "never" nobody knows how long that is."""
        if self._out_before is None or pulse.newest is None:
            return False
        return NEVER < pulse.newest < self._out_before

    def zone_error(self, pulses: Collection[Pulse]) -> float | None:
        """By how many hours the times of most chargers are wrong alike (positive: ahead); None if they are not."""
        times = [pulse.ahead if pulse.ahead is not None else pulse.newest for pulse in pulses]
        apart = [time - self.now for time in times if time is not None and time > NEVER]
        if len(apart) * 2 <= len(pulses):
            return None
        hours = round((median(apart) + self._interval / 2) / HALF_HOUR) * HALF_HOUR
        near = sum(
            1 for one in apart if hours - self._interval - FUTURE_TOLERANCE <= one <= hours + FUTURE_TOLERANCE
        )
        return hours / 3600 if hours and near * 2 > len(pulses) else None


def together(pulses: Iterable[Pulse | None]) -> Pulse | None:
    """What several records say of one charger."""
    found: Pulse | None = None
    for pulse in pulses:
        if pulse is not None:
            found = found.with_(pulse) if found else pulse
    return found


def newest(*times: float | None) -> float | None:
    """The newest of the known times."""
    return max((time for time in times if time is not None), default=None)


def _rule(text: str, setting: str = "", *, column: str = "", value: str = "") -> Rule:
    return Rule(kind=RuleKind.OFFLINE, text=text, setting=setting, column=column, value=value)


def _verdict(target: Target, rule: Rule, reported: Verdict, *, why: str = _WHY) -> Verdict:
    return Verdict(
        target=target, rule=rule, value=reported.value, cause=Cause.STALE, readable=reported.said, why=why
    )


def _unread_link(connection: Link, reported: Verdict) -> Verdict:
    """Unknown: online or offline, nobody knows."""
    verdict = unmapped(connection.word, "connection")
    return msgspec.structs.replace(verdict, readable=reported.said, why=_WHY_LINK)


def _unusable(pulse: Pulse, reported: Verdict) -> Verdict:
    """Unknown, because the times that count cannot be read or lie ahead."""
    # The words are the same in every cycle, whatever the times: a rule that changes is stored anew.
    what, setting, why = ("cannot be read", "source.time_format", _WHY_UNREADABLE)
    if not pulse.written:
        what, setting, why = ("lies more than 5 min ahead", "source.time_zone", _WHY_AHEAD)
    text = f"{pulse.column} {what}"
    rule = _rule(text, setting, column=pulse.column)
    return Verdict(
        target=Target.UNKNOWN, rule=rule, value=text, cause=Cause.UNMAPPED, readable=reported.said, why=why
    )


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
