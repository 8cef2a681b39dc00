"""A source's records → what Hubject should hold, each status with the rule that made it.

The danger is the whole product's: a wrong cell sends drivers to dead chargers. Pure, total, independent of
the order of the records; one bad record never stops another (docs/mapping.md, P5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from oicp_adapter.core.access import perhaps_private
from oicp_adapter.core.aggregate import across_stations, at_station
from oicp_adapter.core.claims import Claim, Claims, Scope
from oicp_adapter.core.duplicates import LOSERS, settle
from oicp_adapter.core.heard import Heard
from oicp_adapter.core.identity import ambiguity, claimants
from oicp_adapter.core.life_report import LifeReport
from oicp_adapter.core.model import (
    Ambiguity,
    Cause,
    ConnectorState,
    Desired,
    EvseStatus,
    Flaw,
    MappedFleet,
    Rejected,
    SourceRecord,
)
from oicp_adapter.core.rules import MappingRules, Rule, RuleKind
from oicp_adapter.core.shared import WHY, SharedChargers, occupied
from oicp_adapter.core.signs_of_life import SignsOfLife, newest, together
from oicp_adapter.core.verdicts import Verdict
from oicp_adapter.core.vocabulary import Stance, Target

NOT_PUBLISHED = "not published"

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
    heard: Heard | None = None,
) -> MappedFleet:
    """Map one read. `previous` are the connector states remembered from earlier reads, by EVSE key; `heard` is what
    this process has seen change between them, and takes this read in.

    Raises ConfigurationError if `rules.vocabulary` does not exist; never for what a record contains.
    """
    return _mapped(records, rules, now=now, previous=previous or {}, heard=heard, explained=None)


def explain_fleet(
    records: Iterable[SourceRecord], rules: MappingRules, *, now: float
) -> tuple[MappedFleet, dict[str, Explanation]]:
    """As `map_fleet`, and why each EVSE (by key) came out so: for a person who tries something."""
    explained: dict[str, Explanation] = {}
    return _mapped(records, rules, now=now, previous={}, heard=None, explained=explained), explained


def _mapped(
    records: Iterable[SourceRecord],
    rules: MappingRules,
    *,
    now: float,
    previous: Mapping[str, tuple[ConnectorState, ...]],
    heard: Heard | None,
    explained: dict[str, Explanation] | None,
) -> MappedFleet:
    timeless = tuple(rule for rule in rules.rules if rule.lasting is None)
    if len(timeless) < len(rules.rules):
        records = list(records)  # they may be needed twice
    life = SignsOfLife(rules, now=now)
    claims = Claims(rules, life=life, previous=previous)
    for record in records:
        claims.add(record)
    if heard is not None:
        claims.hear(heard.times(claims.by_evse, now=now))
    published = _published_as(rules.reserved)
    desired: dict[str, Desired] = {}
    told = LifeReport(life)
    shared = SharedChargers(rules)
    ambiguities: list[Ambiguity] = []
    duplicates = 0
    unread: set[tuple[str, str]] = set()
    for key, of_evse in claims.by_evse.items():
        flaw = Flaw.NONE
        first = of_evse[0]
        if len(of_evse) > 1:
            claim, settled, doubtful = _shared(key, of_evse, claims, life, rules)
            duplicates += settled
            if doubtful:
                ambiguities.append(doubtful)
                flaw = Flaw.NONE if doubtful.agree else Flaw.AMBIGUOUS
        elif first.station not in claims.of_stations and first.scope is Scope.CONNECTOR:
            claim = _plain(first, claims, life)
        else:
            claim, _ = _contested(of_evse, claims, life)
        if claims.doubts and (doubt := claims.doubt(key, of_evse)):
            claim = msgspec.structs.replace(claim, verdict=perhaps_private(claim.verdict, doubt))
            if flaw is Flaw.NONE and claim.verdict.rule is doubt:
                flaw = Flaw.UNSURE
        verdict = claim.verdict
        if verdict.target is Target.SKIP and verdict.rule.kind is RuleKind.ACCESS:
            claims.access.kept(verdict.rule)
        told.add(claim)
        if verdict.cause is Cause.UNMAPPED:
            unread.add((verdict.rule.column, verdict.value))
        desired[key] = Desired(
            key=key,
            wire_id=claim.wire,
            status=published[verdict.target],
            rule=verdict.rule.text,
            value=verdict.value,
            source_time=claim.time,
            cause=verdict.cause,
            fallback=None if verdict.readable is None else _fallback(verdict, published),
            connectors=claim.states,
            flaw=flaw,
        )
        if explained is not None:
            explained[key] = Explanation(verdict.why, verdict.source, verdict.rule)
        if shared.on:
            shared.add(key, claim, of_evse)
    if shared.on:
        for key, one in desired.items():
            if (rule := shared.taken(one)) is not None:
                desired[key] = occupied(one, rule)
                if explained is not None and one.status is EvseStatus.AVAILABLE:
                    explained[key] = Explanation(WHY, "", rule)
    if claims.stood:
        without = msgspec.structs.replace(rules, rules=timeless)
        _mark_stood(
            desired,
            _mapped(records, without, now=now, previous=previous, heard=heard, explained=None).desired,
        )
    rejected = [*claims.rejected, *claims.unclaimed(), *map(_set_aside, ambiguities)]
    return MappedFleet(
        desired=desired,
        rejected=tuple(
            sorted(filter(None, rejected), key=lambda one: (one.evse_id, one.reason, one.origin, one.address))
        ),
        unmapped=(*claims.book.unmapped(unread), *claims.access.unmapped(), *told.unmapped()),
        duplicates=duplicates,
        ambiguous=tuple(sorted(ambiguities, key=lambda one: one.evse_id)),
        remarks=(
            *told.remarks(),
            *claims.book.remarks(),
            *claims.access.remarks(),
            *shared.remarks(),
            # A daemon that waits is doing what it is for; a person who tries something may wonder.
            *(claims.waits() if explained is not None else ()),
        ),
    )


def _mark_stood(desired: dict[str, Desired], without: Mapping[str, Desired]) -> None:
    """Name what is Available only by a rule on how long a value has stood. `without`: the same without such rules."""
    for key, one in desired.items():
        other = without[key]
        if one.status is not EvseStatus.AVAILABLE or other.status is EvseStatus.AVAILABLE:
            continue
        fallback = other.status if other.cause is Cause.REPORTED else other.fallback
        desired[key] = msgspec.structs.replace(one, cause=Cause.STOOD, fallback=fallback)


def _fallback(verdict: Verdict, published: Mapping[Target, EvseStatus | None]) -> EvseStatus | None:
    if verdict.cause is Cause.REPORTED or verdict.readable is None:
        return None  # what is kept from the public has been read
    return published[verdict.readable]


def _set_aside(one: Ambiguity) -> Rejected | None:
    """An identity whose claimants do not agree is listed with what cannot be published."""
    if one.agree:
        return None
    return Rejected(evse_id=one.evse_id, reason=f"{one.reason}; {one.fix}", origin=one.origin, key=one.key)


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


def _shared(
    key: str, of_evse: Sequence[Claim], claims: Claims, life: SignsOfLife, rules: MappingRules
) -> tuple[Claim, bool, Ambiguity | None]:
    """One EVSE of several records: what they come to, whether there were copies, and whether it may be two chargers."""
    found = claimants(of_evse, rules.evse_id_template)
    if len(found) == 1:
        return (*_contested(of_evse, claims, life), None)
    each = {name: _contested(group, claims, life)[0] for name, group in found.items()}
    # What is gone or not there yet claims no identity that somebody else uses.
    present = [one for one in each.values() if one.verdict.target not in LOSERS]
    present = present or [settle(list(each.values()))]
    published = _published_as(rules.reserved)
    says = {str(published[one.verdict.target] or NOT_PUBLISHED) for one in present}
    wire = min(one.wire for one in each.values())
    doubtful = ambiguity(key, wire, found, says)
    states = tuple(state for name in sorted(each) for state in each[name].states)
    if doubtful.agree:
        return msgspec.structs.replace(settle(present), wire=wire, states=states), True, doubtful
    verdict = Verdict(
        target=Target.UNKNOWN,
        rule=Rule(
            kind=RuleKind.IDENTITY,
            text=f"may be {len(each)} chargers ({'; '.join(sorted(each))})",
            setting="source.evse_id_template",
        ),
        value=" | ".join(sorted({one.verdict.value for one in present})),
        cause=Cause.UNMAPPED,
        why="Several chargers may claim this EvseID, and they do not agree: nobody knows which of them it is.",
    )
    time = newest(*(one.time for one in present))
    pulse = together(one.pulse for one in each.values())
    return Claim(wire=wire, verdict=verdict, time=time, pulse=pulse, states=states), False, doubtful


def _contested(of_evse: Sequence[Claim], claims: Claims, life: SignsOfLife) -> tuple[Claim, bool]:
    """What the records of one EVSE come to: settled per station, then between them. True if there were copies."""
    by_station: dict[str, list[Claim]] = {}
    for claim in of_evse:
        by_station.setdefault(claim.station, []).append(claim)
    groups: list[tuple[Sequence[Claim], Claim]] = []
    copies = False
    for station, group in by_station.items():
        result, had_copies = at_station(
            group,
            whole=_whole(station, group, claims),
            alone=not station or claims.evses_per_station[station] == 1,
            pulse=claims.pulses.get(station) or together(claim.pulse for claim in group),
            life=life,
        )
        groups.append((group, result))
        copies = copies or had_copies
    if len(groups) == 1:
        return groups[0][1], copies
    result, had_copies = across_stations(groups)
    return result, copies or had_copies


def _whole(station: str, group: Sequence[Claim], claims: Claims) -> Claim | None:
    """Who speaks for all of it: the station where it vetoes, else the EVSE itself, else the station."""
    of_station = claims.of_stations.get(station) or [one for one in group if one.scope is Scope.STATION]
    of_evse = [one for one in group if one.scope is Scope.EVSE]
    spoken = settle(of_station) if of_station else None
    if spoken is None or (of_evse and spoken.verdict.whole_station is not Stance.VETO):
        return settle(of_evse) if of_evse else None
    return spoken


def _published_as(reserved: EvseStatus) -> dict[Target, EvseStatus | None]:
    table = {target: None if target is Target.SKIP else EvseStatus(target) for target in Target}
    return table | {Target.RESERVED: reserved}
