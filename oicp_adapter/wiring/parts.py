"""Settings → the parts an operator is made of: its way to Hubject, its source and mapping, its schedule."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import time
from pathlib import Path

import msgspec
from apscheduler.triggers.base import BaseTrigger

from oicp_adapter.clock import SystemClock
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.guards import GuardPolicy
from oicp_adapter.core.heard import Heard
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import ConnectorState, MappedFleet, SourceRead, SourceRecord
from oicp_adapter.core.plan import PlanPolicy
from oicp_adapter.core.verdicts import known_words, wordless
from oicp_adapter.core.vocabulary import load_vocabulary
from oicp_adapter.daemon import DELTA, FULL, RECONCILE, UPKEEP, Reloaded, schedule
from oicp_adapter.hub import HubOptions, TlsOptions
from oicp_adapter.oicp.endpoints import BASE_URLS
from oicp_adapter.ports import Source
from oicp_adapter.settings import Settings
from oicp_adapter.settings.operator import OperatorSettings
from oicp_adapter.settings.schedule import DAY, Cron, Daily, Interval, Schedule
from oicp_adapter.settings.table import Table
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.formats.collected import Cells, Collected, source_names
from oicp_adapter.sources.formats.rows_json import JsonRows
from oicp_adapter.sources.formats.times import TimeForms
from oicp_adapter.sources.header import Header, header_of
from oicp_adapter.sync.cycle import Mapper, Reading
from oicp_adapter.sync.delivery import CyclePolicy
from oicp_adapter.sync.work import DeliveryPolicy

READ_AGAIN = frozenset({"source", "mapping", "evse_id_prefixes"})
"""Settings of an operator that a reload takes."""


def base_url(settings: Settings) -> str:
    """The Hubject of this configuration."""
    return settings.hubject.base_url or BASE_URLS[settings.hubject.environment]


def tls_options(settings: Settings, key: str) -> TlsOptions | None:
    """The operator's TLS files; None for plain http, which the settings allow on loopback only."""
    operator, ca_file = settings.operators[key], settings.hubject.ca_file
    if ca_file is None or operator.certificate is None or operator.key is None:
        return None
    return TlsOptions(
        ca_file=ca_file,
        cert_file=operator.certificate,
        key_file=operator.key,
        key_password_file=operator.key_password_file,
    )


def hub_options(settings: Settings, key: str) -> HubOptions:
    """The operator's way to Hubject."""
    hubject = settings.hubject
    return HubOptions(
        base_url=base_url(settings),
        tls=tls_options(settings, key),
        proxy=hubject.proxy.get_secret_value() if hubject.proxy is not None else None,
        connect_timeout=hubject.connect_timeout,
        timeout=hubject.timeout,
        full_load_timeout=hubject.full_load_timeout,
        attempts=hubject.retry_attempts,
        retry_total=hubject.retry_total,
        calls_per_minute=hubject.calls_per_minute,
    )


def plan_policy(settings: Settings, key: str) -> PlanPolicy:
    """What the operator's plans depend on."""
    delivery = settings.delivery
    return PlanPolicy(
        settle=delivery.settle,
        missing=delivery.missing,
        missing_after=delivery.missing_after,
        missing_after_unchanged=delivery.missing_after_unchanged,
        hold_available=settings.operators[key].mapping.hold_available or 0.0,
    )


def guard_policy(settings: Settings) -> GuardPolicy:
    """What no plan may do by accident."""
    delivery = settings.delivery
    return GuardPolicy(
        withdrawal_share=delivery.max_withdrawal_share,
        withdrawal_count=delivery.max_withdrawal_count,
        mass_share=delivery.mass_unknown_share,
        unmapped_believed_after=delivery.unmapped_believed_after,
    )


def delivery_policy(settings: Settings, key: str) -> DeliveryPolicy:
    """How the operator's plans are sent."""
    operator = settings.operators[key]
    return DeliveryPolicy(
        operator_id=operator.id,
        operator_name=operator.name,
        settle=settings.delivery.settle,
        calls_per_minute=settings.hubject.calls_per_minute,
        search_for=max(5.0, operator.schedule.delta.shortest_gap),
        quarantine_first_retry=settings.delivery.quarantine_retry,
    )


def cycle_policy(settings: Settings, key: str, *, one_shot: bool) -> CyclePolicy:
    """How the operator's cycles run. `one_shot`: for a verb that runs and ends."""
    operator = settings.operators[key]
    return CyclePolicy(
        delta_interval=operator.schedule.delta.shortest_gap,
        unknown_after=operator.source.unknown_after,
        overdue_after=settings.delivery.overdue_after,
        summary_every=settings.log.summary,
        settles_anew=not one_shot,
        observe=operator.mode == "observe",
    )


def fleet_file(
    path: Path,
    *,
    kind: FileFormat,
    fields: Mapping[str, str],
    vocabulary: str | None = None,
    operator: OperatorSettings | None = None,
) -> FileSource:
    """A fleet file that is nobody's source, for trying a mapping on it; `operator`: whose source it is like."""
    options = FileOptions(path=path) if operator is None else file_options(operator)
    options = msgspec.structs.replace(options, path=path, format=kind, fields=fields, max_age=None)
    if vocabulary is not None:
        rules = (
            MappingRules(vocabulary=vocabulary, prefixes=()) if operator is None else operator.mapping_rules
        )
        rules = msgspec.structs.replace(rules, vocabulary=vocabulary)
        cells = msgspec.structs.replace(options.cells, knows=known_words(rules))
        headings = load_vocabulary(vocabulary).headings
        options = msgspec.structs.replace(options, headings=headings, cells=cells)
    return FileSource(options)


def look_into(path: Path, *, kind: FileFormat, vocabulary: str, records: str | None = None) -> Header:
    """What the columns of a file are called that nobody has configured yet.

    `records`: where they are (JMESPath); None: it is found. Raises SourceError or ConfigurationError.
    """
    rules = MappingRules(vocabulary=vocabulary, prefixes=())
    headings = load_vocabulary(vocabulary).headings
    options = FileOptions(path=path, format=kind, records=records, headings=headings)
    return header_of(options, SystemClock().now(), wordless=wordless(rules))


def fleet_text(array: bytes, *, operator: OperatorSettings | None = None) -> SourceRead:
    """A JSON array of records under our own field names, read as a source would."""
    into = Collected(Cells() if operator is None else cells_of(operator))
    JsonRows(source_names({})).read_json(array, into)
    return into.result()


def mapper_of(operator: OperatorSettings) -> Mapper:
    """How the operator's records become statuses."""
    rules = operator.mapping_rules
    heard = Heard(rules)

    def mapper(
        records: list[SourceRecord], now: float, previous: Mapping[str, tuple[ConnectorState, ...]]
    ) -> MappedFleet:
        return map_fleet(records, rules, now=now, previous=previous, heard=heard)

    return mapper


def cells_of(operator: OperatorSettings) -> Cells:
    """How the values of the operator's source are written."""
    source, mapping = operator.source, operator.mapping
    meant = {*mapping.overrides, *(word for rule in mapping.rules.values() for word in rule.value or ())}
    return Cells(
        times=TimeForms(zone=source.time_zone, formats=source.time_format or ()),
        empty=source.empty_values,
        knows=known_words(operator.mapping_rules),
        words={"status": tuple(sorted(meant))}
        | {column: tuple(sorted(own)) for column, own in mapping.words.items()},
    )


def source_of(operator: OperatorSettings) -> Source:
    """Where the operator's records come from."""
    return FileSource(file_options(operator))


def file_options(operator: OperatorSettings) -> FileOptions:
    """How the operator's file is read."""
    return FileOptions(
        path=operator.source.path,
        format=operator.source.format,
        fields=operator.source.fields,
        records=operator.source.records,
        delimiter=operator.source.delimiter,
        header_row=operator.source.header_row,
        encoding=operator.source.encoding,
        headings=load_vocabulary(operator.source.vocabulary).headings,
        cells=cells_of(operator),
        max_age=operator.source.max_age,
    )


def reading_anew(settings: Settings, *, running: Settings) -> Reloaded:
    """Source and mapping by new settings, of the operators that run and are the same ones still.

    Nothing of one that is another now: its new source under the old id would be pushed where it does not belong.
    """
    kept = {}
    for key, before in running.operators.items():
        after = settings.operators.get(key)
        if after is None:
            kept[key] = "it is not in the configuration any more: its pushes end with a restart"
        elif base_url(settings) != base_url(running):
            kept[key] = "the address of Hubject has changed, which needs a restart"
        elif after.operator_id.key != before.operator_id.key:
            kept[key] = "its id has changed, which needs a restart"
    new = settings.operators.keys() - running.operators.keys()
    kept |= dict.fromkeys(sorted(new), "it is new in the configuration: it begins with a restart")
    readings = {
        key: Reading(
            source=source_of(operator),
            mapper=mapper_of(operator),
            unknown_after=operator.source.unknown_after,
            hold_available=operator.mapping.hold_available or 0.0,
        )
        for key, operator in settings.operators.items()
        if key not in kept
    }
    return Reloaded(readings=readings, kept=kept, restart=_need_a_restart(settings, running, set(readings)))


def _need_a_restart(settings: Settings, running: Settings, operators: set[str]) -> tuple[str, ...]:
    """What has changed and is not read again, by path: never with its value, which may be a secret.

    `operators`: those that are the same ones still.
    """
    changed = []
    for name in type(settings).model_fields:
        if name != "operators":
            changed += _unlike(name, getattr(settings, name), getattr(running, name))
    for key in sorted(operators):
        changed += _unlike(
            f"operators.{key}", settings.operators[key], running.operators[key], but=READ_AGAIN
        )
    return tuple(sorted(changed))


def _unlike(path: str, after: object, before: object, *, but: frozenset[str] = frozenset()) -> list[str]:
    """The paths at and below `path` where two settings differ, except for the members in `but`."""
    if not (isinstance(after, Table) and isinstance(before, Table)):
        return [] if after == before else [path]
    found = []
    for name in type(after).model_fields.keys() - but:
        found += _unlike(f"{path}.{name}", getattr(after, name), getattr(before, name))
    return found


def triggers_of(operator: OperatorSettings) -> dict[str, BaseTrigger]:
    """When the operator's jobs run."""
    times = operator.schedule
    # The operator's own part, the same after every restart: a start between 03:00 and 03:10 must not miss the night.
    chance = random.Random(operator.operator_id.key).random()  # noqa: S311 - it spreads, and protects nothing
    return {
        DELTA: _trigger(times.delta, time_zone=times.time_zone),
        RECONCILE: _trigger(times.reconcile, time_zone=times.time_zone),
        FULL: _trigger(
            times.full, time_zone=times.time_zone, later=round(chance * (times.full_jitter or 0.0))
        ),
        UPKEEP: schedule.Daily(time(), "UTC", later=round(chance * DAY)),
    }


def _trigger(when: Schedule, *, time_zone: str, later: float = 0.0) -> BaseTrigger:
    match when:
        case Interval():
            return schedule.Every(when.seconds)
        case Daily():
            return schedule.Daily(time(when.hour, when.minute, when.second), time_zone, later=later)
        case Cron():
            return schedule.Cron(when.expression, time_zone, later=later)
