"""What a read tells about signs of life as a whole: for `check`, `map`, `plan` and, once, the log. Pure.

The danger: a fleet of which no charger can ever be offline, or whose clocks are two hours wrong, looks healthy.
"""

from __future__ import annotations

from collections import Counter

from oicp_adapter.core.claims import Claim
from oicp_adapter.core.model import Cause, Remark, UnmappedValue
from oicp_adapter.core.rules import Rule, RuleKind
from oicp_adapter.core.signs_of_life import Pulse, SignsOfLife


class LifeReport:
    """Counts while a fleet is mapped. `add` is called once per EVSE."""

    def __init__(self, life: SignsOfLife) -> None:
        self._life = life
        self._evses = self._silent = self._amiss = 0
        self._pulses: list[Pulse] = []
        self._unusable: Counter[tuple[str, str, str]] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, claim: Claim) -> None:
        """Take in what became of one EVSE."""
        verdict, pulse = claim.verdict, claim.pulse
        if verdict.holds_offline:
            return
        self._evses += 1
        if pulse is not None and pulse.given:
            self._pulses.append(pulse)
        elif not claim.online and claim.connection is None:
            self._silent += 1
        if verdict.rule.kind is RuleKind.OFFLINE:
            self._amiss += 1
            if verdict.cause is Cause.UNMAPPED:
                self._count(verdict.rule, pulse)

    def _count(self, rule: Rule, pulse: Pulse | None) -> None:
        self._unusable[rule.text, rule.column, rule.setting] += 1
        if pulse is not None and pulse.written:
            self._examples.setdefault(pulse.column, pulse.written)

    def unmapped(self) -> tuple[UnmappedValue, ...]:
        """Times that made EVSEs Unknown because they could not be used, with the setting that mends them."""
        return tuple(
            UnmappedValue(vocabulary="", value=text, count=count, hint=self._hint(column, setting))
            for (text, column, setting), count in sorted(self._unusable.items())
        )

    def _hint(self, column: str, setting: str) -> str:
        if setting != "source.time_format":
            apart = self._life.zone_error(self._pulses)
            return _zone(apart) if apart else "look at the clock of what writes the source"
        example = self._examples.get(column, "")
        return f'say how {column} is written ({example}), like {setting} = "%d.%m.%Y %H:%M:%S"'

    def remarks(self) -> tuple[Remark, ...]:
        """Sentences about the fleet as a whole."""
        found = []
        if self._silent:
            text = f"{self._silent} EVSEs give no sign of life and are never offline"
            fix = "name the field that tells when a charger was last heard from, such as source.fields.last_heartbeat"
            fix += '; or set mapping.no_sign_of_life = "offline"'
            found.append(Remark(text=text, fix=fix, amiss=bool(self._pulses)))
        if self._amiss * 2 > self._evses and (apart := self._life.zone_error(self._pulses)):
            text = f"most signs of life lie about {abs(apart):g} h {'ahead' if apart > 0 else 'in the past'}"
            found.append(Remark(text=text, fix=_zone(apart), amiss=True))
        return tuple(found)


def _zone(apart: float) -> str:
    return (
        f"most times are wrong by about {apart:+g} h: if they are local times, name their zone, "
        'like source.time_zone = "Europe/Berlin"'
    )
