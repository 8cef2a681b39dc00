"""What records say about EVSEs: each usable record becomes a claim on one EVSE, the others are rejected.

The danger: a record that is thrown away silently, or that lands on the wrong EVSE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property

import msgspec

from oicp_adapter.core.access import Access
from oicp_adapter.core.ids import EvseId, InvalidId, parse_evse_id
from oicp_adapter.core.model import ConnectorState, Rejected, Remark, SourceRecord
from oicp_adapter.core.rules import MappingRules, Rule, table_key
from oicp_adapter.core.signs_of_life import Pulse, SignsOfLife
from oicp_adapter.core.spelling import replacing, setting, suggested
from oicp_adapter.core.verdicts import NO_VALUE, Verdict, VerdictBook, VerdictTable
from oicp_adapter.core.vocabulary import Vocabulary
from oicp_adapter.core.words import Link


class Scope(Enum):
    """What of a charging station a record speaks for."""

    CONNECTOR = "connector"
    EVSE = "evse"
    """All connectors of one EVSE: OCPP 2.x's connector 0 of an EVSE."""
    STATION = "station"


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one record, or the records of one station together, says about one EVSE."""

    wire: str
    """The EvseID as the record spells it; "" if it speaks for a station only."""
    verdict: Verdict
    time: float | None
    """Last change of state; None if not known or in the future."""
    station: str = ""
    number: str = ""
    """Which EVSE of the station."""
    connector: str = ""
    scope: Scope = Scope.CONNECTOR
    connection: Link | None = None
    """What the source says about the connection, where that is not "online"."""
    online: bool = False
    """The source says that the charger is connected."""
    pulse: Pulse | None = None
    """What its times say; None if all of them are empty."""
    update: Pulse | None = None
    """What its `updated_at` says of how old the state is, where that counts."""
    states: tuple[ConnectorState, ...] = ()
    record: SourceRecord | None = None
    """Whose word it is; None for several together."""

    @property
    def made(self) -> bool:
        """The EvseID is not the source's: the template made it."""
        return self.record is not None and not (self.record.evse_id or "").strip()


class Claims:
    """All claims of one read."""

    def __init__(
        self, rules: MappingRules, *, life: SignsOfLife, previous: Mapping[str, tuple[ConnectorState, ...]]
    ) -> None:
        self.by_evse: dict[str, list[Claim]] = {}
        self.of_stations: dict[str, list[Claim]] = {}
        """Those that speak for a whole station, by station."""
        self.pulses: dict[str, Pulse] = {}
        """Station → what its times say: a heartbeat belongs to the charger, not to one connector."""
        self.rejected: list[Rejected] = []
        self.doubts: dict[tuple[str, str], Rule] = {}
        """(station, "") or ("", EVSE) → what cannot be read of who may see it."""
        self.access = Access(rules)
        self.book = VerdictBook(rules)
        self._rules = rules
        self._life = life
        self._previous = previous
        self._timed = [rule for rule in rules.rules if rule.lasting is not None]
        self.stood = False
        """A rule about how long a value has stood has decided something."""
        self._waiting: Counter[str] = Counter()
        """Rule → records it matches but for the time."""
        self._replace = replacing(rules.evse_id_replace)
        self._foreign: set[str] = set()
        """Stations with EVSEs of somebody else."""

    @cached_property
    def evses_per_station(self) -> dict[str, int]:
        """How many EVSEs each station has in this read."""
        counts: dict[str, int] = {}
        for claims in self.by_evse.values():
            for station in {claim.station for claim in claims}:
                counts[station] = counts.get(station, 0) + 1
        return counts

    def add(self, record: SourceRecord) -> None:
        """Take one record in."""
        station, connector = (record.station_id or "").strip(), (record.connector_id or "").strip()
        number = (record.evse_number or "").strip()
        table = self.book.table(record)
        scope = _scope(table.vocabulary, number, connector)
        place = f"{station}/{connector}" if station and connector and not number else ""
        place = place or "/".join(part for part in (station, number, connector) if part)
        evse = self._identify(record, place, (station, number, connector), scope, table.vocabulary)
        if evse is None and not (scope is Scope.STATION and station):
            return
        key = evse.key if evse else ""
        since: tuple[tuple[str, float], ...] = ()
        if self._timed:
            since = self._standing(record, table, key, place)
            over = self._over(since) if since else frozenset()
            verdict = table.judge(record, key, over)
            self.stood = self.stood or verdict.rule.name in over
            for name, _ in since:
                self._waiting[name] += name not in over
        else:
            verdict = table.judge(record, key)
        charging = verdict.charging
        before = self._previous.get(evse.key) if evse else None
        if before and any(state.charging and state.connector == place for state in before):
            charging = charging or not table.ends_session(record.status, verdict)
            verdict = verdict.after_charging or verdict
        if record.publish is not None or record.publish_allowed_to or record.parking_restrictions:
            whose = [("", evse.key)] if evse else []
            whose += [(station, "")] if scope is Scope.STATION and station else []
            verdict = self._for_whom(record, table.vocabulary, verdict, whose)
        state = ConnectorState(place, (record.status or "").strip() or NO_VALUE, charging, since)
        said = record.connection and record.connection.strip()
        broken = table.link(said) if said else None
        claim = Claim(
            wire=evse.wire if evse else "",
            verdict=verdict,
            time=self._life.valid(record.updated_at),
            station=station,
            number=number,
            connector=connector,
            scope=scope,
            connection=broken,
            online=bool(said) and broken is None,
            pulse=self._life.pulse(record),
            update=self._life.update(record),
            states=(state,),
            record=record,
        )
        if evse:
            self.by_evse.setdefault(evse.key, []).append(claim)
        if station:
            self._note_station(claim)

    @cached_property
    def _by_place(self) -> dict[str, ConnectorState]:
        """Where a value stands, by address: a whole station has no EVSE of its own."""
        return {
            state.connector: state for states in self._previous.values() for state in states if state.since
        }

    def _standing(
        self, record: SourceRecord, table: VerdictTable, key: str, place: str
    ) -> tuple[tuple[str, float], ...]:
        """The rules with `for` that match but for their time, each since when."""
        value, vocabulary = table.word(record.status), table.vocabulary.name
        names = [
            rule.name
            for rule in self._timed
            if rule.matches(record, value=value, key=key, vocabulary=vocabulary)
        ]
        if not names:
            return ()
        said, now = (record.status or "").strip() or NO_VALUE, self._life.now
        if key:
            states = self._previous.get(key, ())
            before = next((state for state in states if state.connector == place), None)
        else:
            before = self._by_place.get(place)
        since = dict(before.since) if before is not None and before.value == said else {}
        return tuple((name, min(since.get(name, now), now)) for name in names)

    def waits(self) -> list[Remark]:
        """What rules about time would say, if the values had stood for so long."""
        return [
            Remark(
                text=f"rule {rule.name} waits: {count} records match it, and their values have not stood for so long",
                fix=f"mapping.rules.{table_key(rule.name)}.for is {rule.lasting:.0f} s; the daemon counts them",
                amiss=False,
            )
            for rule in self._timed
            if (count := self._waiting[rule.name])
        ]

    def _over(self, since: Iterable[tuple[str, float]]) -> frozenset[str]:
        """Those whose time is over."""
        began, now = dict(since), self._life.now
        return frozenset(
            rule.name
            for rule in self._timed
            if rule.name in began and now - began[rule.name] >= (rule.lasting or 0.0)
        )

    def _for_whom(
        self,
        record: SourceRecord,
        vocabulary: Vocabulary,
        verdict: Verdict,
        whose: Iterable[tuple[str, str]],
    ) -> Verdict:
        """The verdict as far as the public may see it. `whose`: the EVSE and the station it speaks for."""
        private = self.access.private(record, vocabulary, verdict)
        if private is None and (unread := self.access.unreadable(record)):
            for one in whose:
                self.doubts[one] = min(unread, self.doubts.get(one, unread), key=lambda rule: rule.text)
        return private or verdict

    def doubt(self, key: str, of_evse: Iterable[Claim]) -> Rule | None:
        """Why nobody knows whether the public may see this EVSE; None: nothing speaks of a doubt."""
        whose = {("", key)} | {(claim.station, "") for claim in of_evse}
        found = [rule for one in whose if (rule := self.doubts.get(one))]
        return min(found, key=lambda rule: rule.text, default=None)

    def unclaimed(self) -> Iterator[Rejected]:
        """The records of stations of which no record names an EVSE: nobody knows whose they are."""
        for station, claims in self.of_stations.items():
            if station in self.evses_per_station or station in self._foreign:
                continue
            for claim in claims:
                if claim.record is not None and not (claim.record.evse_id or "").strip():
                    reason = f"it speaks for the whole station {station}, of which no record has an EvseID"
                    yield Rejected(evse_id="", reason=reason, origin=claim.record.origin, address=station)

    def hear(self, times: Mapping[str, float]) -> None:
        """Take in signs of life that are no times of the source: station, or EVSE without one → when."""
        for who, at in times.items():
            pulse = Pulse(newest=at, given=False)
            if who in self.by_evse:
                claims = self.by_evse[who]
                claims[:] = [
                    msgspec.structs.replace(claim, pulse=claim.pulse.with_(pulse) if claim.pulse else pulse)
                    for claim in claims
                ]
            else:
                before = self.pulses.get(who)
                self.pulses[who] = before.with_(pulse) if before else pulse

    def _note_station(self, claim: Claim) -> None:
        if claim.pulse is not None:
            before = self.pulses.get(claim.station)
            self.pulses[claim.station] = before.with_(claim.pulse) if before else claim.pulse
        if claim.scope is Scope.STATION:
            self.of_stations.setdefault(claim.station, []).append(claim)

    def _identify(
        self,
        record: SourceRecord,
        place: str,
        parts: tuple[str, str, str],
        scope: Scope,
        vocabulary: Vocabulary,
    ) -> EvseId | None:
        """The EVSE a record is about, or None: rejected, or about a station only. `parts`: of its address."""
        written = (record.evse_id or "").strip()
        text = self._replace(written) if self._rules.evse_id_replace else written
        address = place if parts[0] else ""
        if not written:
            template = self._rules.evse_id_template if _names_one(scope, vocabulary) else None
            missing = _missing(template, parts, scope)
            if missing or template is None:
                if not (scope is Scope.STATION and address):
                    why = missing or "no evse_id, and no evse_id_template to make one"
                    self._reject(record, why, address=address)
                return None
            text = _filled(template, [self._replace(part) for part in parts])
        try:
            evse = parse_evse_id(text)
        except InvalidId as problem:
            self._reject(record, f"{problem}{self._hint(written or text)}", address=address)
            return None
        for prefix in self._rules.prefixes:
            if prefix.covers(evse):
                return evse
        self._foreign.add(parts[0])
        own = ", ".join(prefix.text for prefix in self._rules.prefixes)
        self._reject(record, f"{text} is outside the operator's evse_id_prefixes ({own})", key=evse.key)
        return None

    def _hint(self, text: str) -> str:
        meant = suggested(text, self._rules.prefixes)
        return f"; with {setting([meant])} it is {meant.wire}" if meant else ""

    def _reject(self, record: SourceRecord, reason: str, *, key: str = "", address: str = "") -> None:
        evse_id = record.evse_id or ""
        self.rejected.append(
            Rejected(evse_id=evse_id, reason=reason, origin=record.origin, key=key, address=address)
        )


def _scope(vocabulary: Vocabulary, number: str, connector: str) -> Scope:
    zero = vocabulary.whole_station
    if vocabulary.level == "station":
        return Scope.STATION
    if not zero or zero not in (number, connector):
        return Scope.CONNECTOR
    return Scope.EVSE if number and number != zero else Scope.STATION


def _names_one(scope: Scope, vocabulary: Vocabulary) -> bool:
    """Whether the address is one of an EVSE: OCPP's number 0 is none, a station in a station vocabulary may be."""
    return scope is not Scope.STATION or vocabulary.level == "station"


PARTS = ("station_id", "evse_number", "connector_id")
"""What a template may name, in the order of an address."""


def _missing(template: str | None, parts: tuple[str, str, str], scope: Scope) -> str:
    if template is None:
        return ""
    absent = [
        name for name, given in zip(PARTS, parts, strict=True) if not given and f"{{{name}}}" in template
    ]
    if scope is Scope.EVSE and "{connector_id}" in template:
        absent.append("a connector, and this is all of an EVSE")
    return f"no evse_id, and evse_id_template needs {' and '.join(absent)}" if absent else ""


def _filled(template: str, parts: Sequence[str]) -> str:
    for name, given in zip(PARTS, parts, strict=True):
        template = template.replace(f"{{{name}}}", given)
    return template
