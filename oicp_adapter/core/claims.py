"""What records say about EVSEs: each usable record becomes a claim on one EVSE, the others are rejected.

The danger: a record that is thrown away silently, or that lands on the wrong EVSE.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from oicp_adapter.core.ids import EvseId, InvalidId, parse_evse_id
from oicp_adapter.core.model import ConnectorState, Rejected, SourceRecord
from oicp_adapter.core.rules import MappingRules
from oicp_adapter.core.signs_of_life import Pulse, SignsOfLife
from oicp_adapter.core.verdicts import NO_VALUE, Verdict, VerdictBook


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one record, or the records of one station together, says about one EVSE."""

    wire: str
    """The EvseID as the record spells it; "" if it speaks for a station only."""
    verdict: Verdict
    time: float | None
    """Last change of state; None if not known or in the future."""
    station: str = ""
    connector: str = ""
    whole: bool = False
    """Speaks for the whole station."""
    connection: str | None = None
    """What the source says about the connection, where that is not "online"."""
    online: bool = False
    """The source says that the charger is connected."""
    pulse: Pulse | None = None
    """What its times say; None if all of them are empty."""
    update: Pulse | None = None
    """What its `updated_at` says of how old the state is, where that counts."""
    states: tuple[ConnectorState, ...] = ()


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
        self.book = VerdictBook(rules)
        self._rules = rules
        self._life = life
        self._previous = previous

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
        table = self.book.table(record)
        whole = table.vocabulary.level == "station" or connector == "0"
        evse = self._identify(record, station, connector, whole=whole)
        if evse is None and not (whole and station):
            return
        verdict = self.book.judge(record, table, key=evse.key if evse else "")
        label = f"{station}/{connector}" if station and connector else station or connector
        if verdict.after_charging and evse and self._was_charging(evse.key, label):
            verdict = verdict.after_charging
        state = ConnectorState(label, (record.status or "").strip() or NO_VALUE, verdict.charging)
        broken = self._life.broken_connection(record.connection)
        claim = Claim(
            wire=evse.wire if evse else "",
            verdict=verdict,
            time=self._life.valid(record.updated_at),
            station=station,
            connector=connector,
            whole=whole,
            connection=broken,
            online=broken is None and record.connection is not None,
            pulse=self._life.pulse(record),
            update=self._life.update(record),
            states=() if whole else (state,),
        )
        if evse:
            self.by_evse.setdefault(evse.key, []).append(claim)
        if station:
            self._note_station(claim)

    def _note_station(self, claim: Claim) -> None:
        if claim.pulse is not None:
            before = self.pulses.get(claim.station)
            self.pulses[claim.station] = before.with_(claim.pulse) if before else claim.pulse
        if claim.whole:
            self.of_stations.setdefault(claim.station, []).append(claim)

    def _was_charging(self, key: str, label: str) -> bool:
        return any(state.connector == label and state.charging for state in self._previous.get(key, ()))

    def _identify(self, record: SourceRecord, station: str, connector: str, *, whole: bool) -> EvseId | None:
        """The EVSE a record is about, or None: rejected, or about a station only."""
        text = (record.evse_id or "").strip()
        if not text:
            template = self._rules.evse_id_template if connector != "0" else None
            missing = _missing(template, station, connector)
            if missing or template is None:
                if not (whole and station):
                    self._reject(record, missing or "no evse_id, and no evse_id_template to make one")
                return None
            text = template.replace("{station_id}", station).replace("{connector_id}", connector)
        try:
            evse = parse_evse_id(text)
        except InvalidId as problem:
            self._reject(record, str(problem))
            return None
        for prefix in self._rules.prefixes:
            if prefix.covers(evse):
                return evse
        own = ", ".join(prefix.text for prefix in self._rules.prefixes)
        self._reject(record, f"{text} is outside the operator's evse_id_prefixes ({own})", key=evse.key)
        return None

    def _reject(self, record: SourceRecord, reason: str, *, key: str = "") -> None:
        self.rejected.append(
            Rejected(evse_id=record.evse_id or "", reason=reason, origin=record.origin, key=key)
        )


def _missing(template: str | None, station: str, connector: str) -> str:
    if template is None:
        return ""
    needed = (("station_id", station), ("connector_id", connector))
    absent = [name for name, given in needed if not given and f"{{{name}}}" in template]
    return f"no evse_id, and evse_id_template needs {' and '.join(absent)}" if absent else ""
