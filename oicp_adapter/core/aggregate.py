"""Several connectors, one EVSE: one status for the EVSE at one station. Total and order-independent.

The danger: a free connector next to one in use is not a free EVSE (one vehicle per EVSE), and a faulted
station is out of service whatever its connectors still say. Order of the rules: docs/mapping.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from oicp_adapter.core.claims import Claim, Scope
from oicp_adapter.core.duplicates import settle
from oicp_adapter.core.model import Cause, ConnectorState
from oicp_adapter.core.rules import Rule, RuleKind
from oicp_adapter.core.signs_of_life import Pulse, SignsOfLife, newest, together
from oicp_adapter.core.verdicts import NO_VALUE, Verdict
from oicp_adapter.core.vocabulary import Stance, Target

_ANY = (
    (Target.OCCUPIED, "any connector in use"),
    (Target.RESERVED, "any connector reserved"),
    (Target.AVAILABLE, "any connector available"),
)
_ALL = (
    (Target.OUT_OF_SERVICE, "all connectors out of service"),
    (Target.EVSE_NOT_FOUND, "all connectors removed"),
    (Target.SKIP, "all connectors unpublished"),
)
_STATION_ONLY = "This is said of the whole station: it does not tell about this one of its EVSEs."
_UNREAD = "No connector is known to be in use, and no table knows what all of them say."
_UNDECIDED = "No connector is in use or free, and they do not agree on why not."


def at_station(
    claims: Sequence[Claim], *, whole: Claim | None, alone: bool, pulse: Pulse | None, life: SignsOfLife
) -> tuple[Claim, bool]:
    """One EVSE at one station, and whether duplicates had to be settled for it.

    `whole` speaks for the station, `alone` says it has no other EVSE, `pulse` is what its times say.
    """
    rows: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        if claim.scope is Scope.CONNECTOR:
            rows.setdefault((claim.number, claim.connector), []).append(claim)
    connectors = [settle(rows[connector]) for connector in sorted(rows)]
    speakers = [*connectors, whole] if whole else connectors
    verdict = _stated(speakers) or _reported(connectors, whole, alone=alone)
    updated = newest(*(claim.time for claim in speakers))
    if not verdict.holds_offline:
        broken = min((claim.connection for claim in speakers if claim.connection), default=None)
        offline = life.verdict(
            pulse=pulse,
            connection=broken,
            online=any(claim.online for claim in speakers),
            update=together(claim.update for claim in speakers),
            reported=verdict,
        )
        verdict = offline or verdict
    standing = whole.states if whole is not None and connectors else ()
    result = Claim(
        wire=_wire(claims),
        verdict=verdict,
        time=updated,
        pulse=pulse,
        # Where nothing but the whole is told of, its state is kept for the address.
        # So is, beside its connectors, how long its value has stood.
        states=(
            *(state for claim in connectors or [settle(claims)] for state in claim.states),
            *(state for state in standing if state.since),
        ),
    )
    return result, any(len(row) > 1 for row in rows.values())


def across_stations(groups: Sequence[tuple[Sequence[Claim], Claim]]) -> tuple[Claim, bool]:
    """One EVSE that stands at several stations, and whether they are copies of each other: those are settled.

    Different connectors of it are no copies: one vehicle per EVSE, so they are joined like those of one station.
    `groups`: the claims at each station, and what they come to.
    """
    results = [result for _, result in groups]
    states = tuple(sorted({state for result in results for state in result.states}, key=_by_address))
    if not _are_parts([claims for claims, _ in groups]):
        return msgspec.structs.replace(settle(results), states=states), True
    whole = Claim(
        wire=_wire(results),
        verdict=_stated(results) or _of_connectors(sorted(results, key=_by_wording)),
        time=newest(*(result.time for result in results)),
        pulse=together(result.pulse for result in results),
        states=states,
    )
    return whole, False


def _are_parts(groups: Sequence[Sequence[Claim]]) -> bool:
    """Whether no two of them tell of the same connector."""
    named = [{(claim.number, claim.connector) for claim in claims} for claims in groups]
    return all(connector for one in named for _, connector in one) and sum(map(len, named)) == len(
        set[tuple[str, str]]().union(*named)
    )


def _by_address(state: ConnectorState) -> tuple[str, str, bool]:
    return state.connector, state.value, state.charging


def _by_wording(claim: Claim) -> tuple[str, str, str]:
    return claim.verdict.value, claim.verdict.rule.text, claim.wire


def _stated(speakers: Sequence[Claim]) -> Verdict | None:
    """What the first of the operator's rules about this EVSE says, whatever is reported."""
    stated = [
        (claim.verdict.stated, claim.verdict.value, claim.verdict)
        for claim in speakers
        if claim.verdict.stated is not None
    ]
    return min(stated, key=lambda one: one[:2])[2] if stated else None


def _reported(connectors: Sequence[Claim], whole: Claim | None, *, alone: bool) -> Verdict:
    if whole:
        stance = whole.verdict.whole_station
        if stance is Stance.VETO:
            return _vetoed(whole, connectors) if connectors else whole.verdict
        if not connectors:
            if stance is Stance.EVERY or (stance is Stance.SINGLE and alone) or _skipped(whole):
                return whole.verdict
            unknown = msgspec.structs.replace(whole.verdict, target=Target.UNKNOWN)
            return _named("only the whole station reports", [whole], of=unknown, why=_STATION_ONLY)
    return _of_connectors(connectors)


def _vetoed(whole: Claim, connectors: Sequence[Claim]) -> Verdict:
    verdict = _named("whole station", [whole], of=whole.verdict)
    if verdict.cause is not Cause.UNMAPPED:
        return verdict
    said = whole.verdict.readable
    if said not in (Target.OUT_OF_SERVICE, Target.EVSE_NOT_FOUND):
        said = _of_connectors(connectors).said
    return msgspec.structs.replace(verdict, readable=said)


def _of_connectors(connectors: Sequence[Claim]) -> Verdict:
    told = [claim for claim in connectors if not _skipped(claim)] or connectors
    if len(told) == 1:
        return told[0].verdict
    unread = [claim for claim in told if claim.verdict.cause is Cause.UNMAPPED]
    for target, words in _ANY:
        if target is Target.AVAILABLE and any(claim.verdict.value != NO_VALUE for claim in unread):
            break  # the word that nobody knows may say that the place is taken
        for claim in told:
            if claim.verdict.target is target:
                return _named(words, [claim], of=claim.verdict)
    for target, words in _ALL:
        if all(claim.verdict.target is target for claim in told):
            return _named(words, told, of=told[0].verdict)
    if unread:
        others = [claim for claim in told if claim.verdict.cause is not Cause.UNMAPPED]
        readable = _of_connectors(others).target if others else None
        verdict = _named("no connector decides", told, of=unread[0].verdict, why=_UNREAD)
        return msgspec.structs.replace(verdict, readable=readable)
    undecided = [claim.verdict for claim in told if claim.verdict.target is Target.UNKNOWN]
    undecided += [msgspec.structs.replace(told[0].verdict, target=Target.UNKNOWN)]
    return _named("no connector decides", told, of=undecided[0], why=_UNDECIDED)


def _named(words: str, claims: Sequence[Claim], *, of: Verdict, why: str = "") -> Verdict:
    who = ", ".join(
        f"{claim.connector}: {claim.verdict.rule.text}" if claim.connector else claim.verdict.rule.text
        for claim in claims
    )
    return Verdict(
        target=of.target,
        rule=Rule(
            kind=RuleKind.CONNECTORS,
            text=f"{words} ({who})",
            column=of.rule.column,
            value=of.value,
            setting=", ".join(dict.fromkeys(filter(None, (claim.verdict.rule.setting for claim in claims)))),
        ),
        value=of.value,
        cause=of.cause,
        why=why or of.why,
        source="" if why else of.source,
    )


def _skipped(claim: Claim) -> bool:
    return claim.verdict.target is Target.SKIP


def _wire(claims: Sequence[Claim]) -> str:
    """Of several spellings the one of the newest record, then the first in the alphabet."""
    return min(claims, key=lambda claim: (claim.time is None, -(claim.time or 0.0), claim.wire)).wire
