"""A source's records → what Hubject should hold, each status with the rule that made it.

The danger is the whole product's: a wrong cell sends drivers to dead chargers. Pure, total, independent of
the order of the records; one bad record never stops another (DESIGN section 4, P5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from oicp_adapter.core.aggregate import at_station
from oicp_adapter.core.claims import Claim, Claims
from oicp_adapter.core.duplicates import settle
from oicp_adapter.core.life_report import LifeReport
from oicp_adapter.core.model import ConnectorState, Desired, EvseStatus, MappedFleet, SourceRecord
from oicp_adapter.core.rules import MappingRules, Rule
from oicp_adapter.core.signs_of_life import SignsOfLife, together
from oicp_adapter.core.vocabulary import Target

__all__ = ["Explanation", "MappingRules", "explain_fleet", "map_fleet"]


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """The sentence behind a rule, for people."""

    why: str
    source: str
    """The document it comes from, "" where it is our own."""
    rule: Rule


def map_fleet(
    records: Iterable[SourceRecord],
    rules: MappingRules,
    *,
    now: float,
    previous: Mapping[str, tuple[ConnectorState, ...]] | None = None,
) -> MappedFleet:
    """Map one read. `previous` are the connector states remembered from earlier reads, by EVSE key.

    Raises ConfigurationError if `rules.vocabulary` does not exist; never for what a record contains.
    """
    return _mapped(records, rules, now=now, previous=previous or {}, explained=None)


def explain_fleet(
    records: Iterable[SourceRecord], rules: MappingRules, *, now: float
) -> tuple[MappedFleet, dict[str, Explanation]]:
    """As `map_fleet`, and why each EVSE (by key) came out so: for a person who tries something."""
    explained: dict[str, Explanation] = {}
    return _mapped(records, rules, now=now, previous={}, explained=explained), explained


def _mapped(
    records: Iterable[SourceRecord],
    rules: MappingRules,
    *,
    now: float,
    previous: Mapping[str, tuple[ConnectorState, ...]],
    explained: dict[str, Explanation] | None,
) -> MappedFleet:
    life = SignsOfLife(rules, now=now)
    claims = Claims(rules, life=life, previous=previous)
    for record in records:
        claims.add(record)
    published = _published_as(rules.reserved)
    desired: dict[str, Desired] = {}
    told = LifeReport(life)
    duplicates = 0
    for key, of_evse in claims.by_evse.items():
        if len(of_evse) == 1 and of_evse[0].station not in claims.of_stations and not of_evse[0].whole:
            claim = _plain(of_evse[0], claims, life)
        else:
            claim, settled = _contested(of_evse, claims, life)
            duplicates += settled
        verdict = claim.verdict
        told.add(claim)
        desired[key] = Desired(
            key=key,
            wire_id=claim.wire,
            status=published[verdict.target],
            rule=verdict.rule.text,
            value=verdict.value,
            source_time=claim.time,
            cause=verdict.cause,
            fallback=None if verdict.readable is None else published[verdict.readable],
            connectors=claim.states,
        )
        if explained is not None:
            explained[key] = Explanation(verdict.why, verdict.source, verdict.rule)
    return MappedFleet(
        desired=desired,
        rejected=tuple(sorted(claims.rejected, key=lambda one: (one.evse_id, one.reason, one.origin))),
        unmapped=(*claims.book.unmapped(), *told.unmapped()),
        duplicates=duplicates,
        remarks=told.remarks(),
    )


def _plain(claim: Claim, claims: Claims, life: SignsOfLife) -> Claim:
    """The usual case, kept fast: one record, none for its station. Same rules as `at_station`."""
    verdict = claim.verdict
    if verdict.holds_offline:
        return claim
    pulse = claims.pulses.get(claim.station, claim.pulse)
    offline = life.verdict(
        pulse=pulse,
        connection=claim.connection,
        online=claim.online,
        update=claim.update,
        reported=verdict,
    )
    if offline or pulse is not claim.pulse:
        return msgspec.structs.replace(claim, verdict=offline or verdict, pulse=pulse)
    return claim


def _contested(of_evse: Sequence[Claim], claims: Claims, life: SignsOfLife) -> tuple[Claim, bool]:
    """One EVSE of several records: settled per station, then between them. True if there were duplicates."""
    by_station: dict[str, list[Claim]] = {}
    for claim in of_evse:
        by_station.setdefault(claim.station, []).append(claim)
    results = []
    settled = len(by_station) > 1
    for station, group in by_station.items():
        whole = claims.of_stations.get(station) or [claim for claim in group if claim.whole]
        result, had_duplicates = at_station(
            group,
            whole=settle(whole) if whole else None,
            alone=not station or claims.evses_per_station[station] == 1,
            pulse=claims.pulses.get(station) or together(claim.pulse for claim in group),
            life=life,
        )
        results.append(result)
        settled = settled or had_duplicates
    return settle(results), settled


def _published_as(reserved: EvseStatus) -> dict[Target, EvseStatus | None]:
    table = {target: None if target is Target.SKIP else EvseStatus(target) for target in Target}
    return table | {Target.RESERVED: reserved}
