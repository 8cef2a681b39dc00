"""EVSEs that share one charger: while one of them is in use, the free ones are taken. Pure.

The danger: a driver is sent to the second plug of a charger that serves one car at a time. It only ever makes an EVSE
less available, and only what is reported as in use counts: neither silence nor another one's being taken.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from oicp_adapter.core.claims import Claim
from oicp_adapter.core.model import Cause, Desired, EvseStatus, Remark
from oicp_adapter.core.rules import MappingRules, Rule, RuleKind
from oicp_adapter.core.vocabulary import Target

WHY = "It shares its charger with an EVSE that is in use: nobody can charge here now."


class SharedChargers:
    """The groups of one run. `add` is called once per EVSE, `taken` for each of them afterwards."""

    def __init__(self, rules: MappingRules) -> None:
        self._patterns = () if isinstance(rules.shared, str) else rules.shared
        self._by_station = rules.shared == "station"
        self.on = self._by_station or bool(self._patterns)
        self._groups: dict[str, tuple[str, ...]] = {}
        self._in_use: dict[str, str] = {}
        """Group → the first EVSE of it that is in use."""

    def add(self, key: str, claim: Claim, of_evse: Iterable[Claim]) -> None:
        """Take in what became of one EVSE, and what its records say of where it stands."""
        if self._by_station:
            groups = tuple({one.station for one in of_evse if one.station})
        else:
            groups = tuple(pattern.text for pattern in self._patterns if pattern.covers(key))
        self._groups[key] = groups
        # Private, but in use: its neighbour is taken all the same.
        kept = claim.verdict.rule.kind is RuleKind.ACCESS
        if (claim.verdict.readable if kept else claim.verdict.target) is Target.OCCUPIED:
            for group in groups:
                self._in_use[group] = min(claim.wire, self._in_use.get(group, claim.wire))

    def taken(self, desired: Desired) -> Rule | None:
        """Why an EVSE that is free, or would be if all could be read, is taken; None: no other one is in use."""
        if EvseStatus.AVAILABLE not in (desired.status, desired.fallback):
            return None
        in_use = [self._in_use[group] for group in self._groups.get(desired.key, ()) if group in self._in_use]
        if not in_use:
            return None
        text = f"shares its charger with {min(in_use)}, which is in use"
        return Rule(kind=RuleKind.SHARED, text=text, value=desired.value, setting="mapping.shared")

    def remarks(self) -> Iterable[Remark]:
        """A setting that is about no two EVSEs does nothing, which nobody would notice."""
        members = [group for groups in self._groups.values() for group in groups]
        if not self.on or not self._groups or len(members) > len(set(members)):
            return
        yield Remark(
            text="mapping.shared joins no two EVSEs",
            fix="name the column of the station (source.fields.station_id), or use EvseID patterns"
            if self._by_station
            else "correct the patterns: each has to cover the EVSEs of one charger",
            amiss=True,
        )


def occupied(desired: Desired, rule: Rule) -> Desired:
    """The EVSE as it is while another one of its charger is in use. What staleness or something unmapped gives stays;
    beside it the words no longer say Available."""
    if desired.status is not EvseStatus.AVAILABLE:
        return msgspec.structs.replace(desired, fallback=EvseStatus.OCCUPIED)
    return msgspec.structs.replace(
        desired, status=EvseStatus.OCCUPIED, rule=rule.text, cause=Cause.REPORTED, fallback=None
    )
