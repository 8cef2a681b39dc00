"""Every setting reaches the places where it counts, and no other: one is changed, and what wiring makes is compared.

A new setting needs a line in SETTINGS, or in ELSEWHERE with what sees to it. Further down: what wiring joins by itself.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.guards import GuardPolicy
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Missing, PlanPolicy
from oicp_adapter.core.rules import MappingRules, OverrideRule
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.hub import HubOptions, TlsOptions
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.oicp.answers import Reaction
from oicp_adapter.oicp.endpoints import BASE_URLS
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.ports import Clock
from oicp_adapter.settings import Settings
from oicp_adapter.settings.tree import dotted, leaves
from oicp_adapter.simulator import Fault, Simulator
from oicp_adapter.sources.file import FileOptions
from oicp_adapter.sources.formats.collected import Cells
from oicp_adapter.sources.formats.times import TimeForms
from oicp_adapter.sync.cycle import Reading
from oicp_adapter.sync.delivery import CyclePolicy
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import DeliveryPolicy
from oicp_adapter.wiring import Wiring, configure_log, parts, reading_anew, root
from tests.fakes.clock import HurriedClock, ManualClock
from tests.fakes.log import Lines, collecting
from tests.fakes.raw_server import RawServer, http, keeping

Table: TypeAlias = dict[str, Any]
Places: TypeAlias = dict[str, object]
"""Where a value arrived → the value."""

OPERATOR, RULE = "slb", "one"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ELSEWHERE = {
    "operators.KEY.source.type": "there is one kind",
    "operators.KEY.source.delimiter": "of CSV only: tests/integration/test_cli_map.py",
    "operators.KEY.source.header_row": "of CSV only: tests/integration/test_cli_map.py",
    "daemon.grace": "`run` gives it to the daemon: tests/acceptance/test_signals.py",
}


def _base() -> Table:
    """As little as there can be; the TLS files are named and not there."""
    return {
        "hubject": {"ca_file": "ca.pem"},
        "operators": {
            OPERATOR: {
                "id": "DE*SLB",
                "name": "SWLB",
                "certificate": "cert.pem",
                "key": "key.pem",
                "source": {"type": "file", "path": "fleet.json", "vocabulary": "ocpi"},
                "mapping": {"rules": {RULE: {"to": "Unknown", "vendor": "V"}}},
                "schedule": {"delta": "04:00", "reconcile": "cron: 0 5 * * *", "full_jitter": "off"},
            }
        },
    }


SETTINGS: list[tuple[str, object, Places]] = [
    (
        "hubject.environment",
        "prod",
        {"HubOptions.base_url": BASE_URLS["prod"], "ledger.base_url": BASE_URLS["prod"]},
    ),
    (
        "hubject.base_url",
        "https://h.example",
        {"HubOptions.base_url": "https://h.example", "ledger.base_url": "https://h.example"},
    ),
    ("hubject.ca_file", "x.pem", {"TlsOptions.ca_file": Path("x.pem")}),
    ("hubject.timeout", "7s", {"HubOptions.timeout": 7.0}),
    ("hubject.connect_timeout", "7s", {"HubOptions.connect_timeout": 7.0}),
    ("hubject.full_load_timeout", "7s", {"HubOptions.full_load_timeout": 7.0}),
    ("hubject.max_body", 7000, {"FullLoader.limit": 7000}),
    ("hubject.retry_attempts", 7, {"HubOptions.attempts": 7}),
    ("hubject.retry_total", "7s", {"HubOptions.retry_total": 7.0}),
    ("hubject.calls_per_minute", 7, {"HubOptions.calls_per_minute": 7, "DeliveryPolicy.calls_per_minute": 7}),
    ("hubject.proxy", "http://u:p@h:7", {"HubOptions.proxy": "http://u:p@h:7"}),
    ("ledger.url", "sqlite:///other.db", {"ledger.file": "other.db"}),
    ("delivery.settle", "7s", {"PlanPolicy.settle": 7.0, "DeliveryPolicy.settle": 7.0}),
    ("delivery.missing", "delete", {"PlanPolicy.missing": Missing.DELETE}),
    ("delivery.missing_after", "7s", {"PlanPolicy.missing_after": 7.0}),
    ("delivery.missing_after_unchanged", "7s", {"PlanPolicy.missing_after_unchanged": 7.0}),
    ("delivery.max_withdrawal_share", 0.7, {"GuardPolicy.withdrawal_share": 0.7}),
    ("delivery.max_withdrawal_count", 7, {"GuardPolicy.withdrawal_count": 7}),
    ("delivery.mass_unknown_share", 0.7, {"GuardPolicy.mass_share": 0.7}),
    ("delivery.unmapped_believed_after", "never", {"GuardPolicy.unmapped_believed_after": None}),
    ("delivery.overdue_after", "7s", {"CyclePolicy.overdue_after": 7.0}),
    ("delivery.quarantine_retry", "7s", {"DeliveryPolicy.quarantine_first_retry": 7.0}),
    ("log.format", "json", {"log.as_json": True}),
    ("log.level", "warning", {"log.level": 30}),
    ("log.summary", "7s", {"CyclePolicy.summary_every": 7.0}),
    (
        "operators.KEY.id",
        "DE*XYZ",
        {
            "DeliveryPolicy.operator_id": "DE*XYZ",
            "ledger.operator_key": "DEXYZ",
            "upkeep": "06-02 03:35:25",  # each operator has its own time
            "MappingRules.prefixes": (parse_prefix("DE*XYZ"),),
        },
    ),
    ("operators.KEY.name", "Other", {"DeliveryPolicy.operator_name": "Other"}),
    ("operators.KEY.evse_id_prefixes", ["DE*XYZ"], {"MappingRules.prefixes": (parse_prefix("DE*XYZ"),)}),
    ("operators.KEY.certificate", "x.pem", {"TlsOptions.cert_file": Path("x.pem")}),
    ("operators.KEY.key", "x.pem", {"TlsOptions.key_file": Path("x.pem")}),
    ("operators.KEY.key_password_file", "x", {"TlsOptions.key_password_file": Path("x")}),
    ("operators.KEY.first_full_load", "automatic", {"FullLoader.automatic_baseline": True}),
    ("operators.KEY.mode", "observe", {"CyclePolicy.observe": True}),
    ("operators.KEY.source.path", "x.json", {"FileOptions.path": Path("x.json")}),
    ("operators.KEY.source.format", "csv", {"FileOptions.format": "csv"}),
    ("operators.KEY.source.vocabulary", "oicp", {"MappingRules.vocabulary": "oicp"}),
    ("operators.KEY.source.fields", {"status": "S"}, {"FileOptions.fields": {"status": "S"}}),
    (
        "operators.KEY.source.evse_id_template",
        "{station_id}",
        {"MappingRules.evse_id_template": "{station_id}"},
    ),
    ("operators.KEY.source.evse_id_replace", {"-": "*"}, {"MappingRules.evse_id_replace": {"-": "*"}}),
    ("operators.KEY.source.records", "data[]", {"FileOptions.records": "data[]"}),
    ("operators.KEY.source.encoding", "cp1252", {"FileOptions.encoding": "cp1252"}),
    ("operators.KEY.source.time_zone", "Europe/Berlin", {"TimeForms.zone": "Europe/Berlin"}),
    ("operators.KEY.source.time_format", "%d.%m.%Y %H:%M", {"TimeForms.formats": ("%d.%m.%Y %H:%M",)}),
    ("operators.KEY.source.empty_values", ["nil"], {"Cells.empty": ("nil",)}),
    ("operators.KEY.source.max_age", "7s", {"FileOptions.max_age": 7.0}),
    (
        "operators.KEY.source.unknown_after",
        "7s",
        {"CyclePolicy.unknown_after": 7.0, "Reading.unknown_after": 7.0},
    ),
    (
        "operators.KEY.mapping.overrides",
        {"": "skip"},
        {"MappingRules.overrides": {"": Target.SKIP}, "Cells.words": {"status": ("",)}},
    ),
    (
        "operators.KEY.mapping.words",
        {"connection": {"ja": "online"}},
        {
            "MappingRules.words": {"connection": {"ja": "online"}},
            "Cells.words": {"status": (), "connection": ("ja",)},
        },
    ),
    (
        "operators.KEY.mapping.signs_of_life",
        ["updated_at"],
        {"MappingRules.signs_of_life": ("updated_at",)},
    ),
    ("operators.KEY.mapping.no_sign_of_life", "offline", {"MappingRules.no_sign_of_life": "offline"}),
    ("operators.KEY.mapping.rules.KEY.for", "7s", {"OverrideRule.lasting": 7.0}),
    ("operators.KEY.mapping.rules.KEY.to", "Occupied", {"OverrideRule.to": Target.OCCUPIED}),
    (
        "operators.KEY.mapping.rules.KEY.value",
        "x",
        {"OverrideRule.values": ("x",), "Cells.words": {"status": ("x",)}},
    ),
    (
        "operators.KEY.mapping.rules.KEY.error_code",
        "x",
        {"OverrideRule.columns": (("error_code", ("x",)), ("vendor", ("V",)))},
    ),
    (
        "operators.KEY.mapping.rules.KEY.connector",
        0,
        {"OverrideRule.columns": (("connector_id", ("0",)), ("vendor", ("V",)))},
    ),
    (
        "operators.KEY.mapping.rules.KEY.vendor_error_code",
        "x",
        {"OverrideRule.columns": (("vendor_error_code", ("x",)), ("vendor", ("V",)))},
    ),
    (
        "operators.KEY.mapping.rules.KEY.info",
        "x",
        {"OverrideRule.columns": (("info", ("x",)), ("vendor", ("V",)))},
    ),
    (
        "operators.KEY.mapping.rules.KEY.columns",
        {"station_id": "x"},
        {"OverrideRule.columns": (("vendor", ("V",)), ("station_id", ("x",)))},
    ),
    ("operators.KEY.mapping.rules.KEY.vendor", "x", {"OverrideRule.columns": (("vendor", ("x",)),)}),
    (
        "operators.KEY.mapping.rules.KEY.model",
        "x",
        {"OverrideRule.columns": (("vendor", ("V",)), ("model", ("x",)))},
    ),
    (
        "operators.KEY.mapping.rules.KEY.evse_id",
        "DE*SLB*E%",
        {"OverrideRule.evse_ids": (parse_evse_pattern("DE*SLB*E%"),)},
    ),
    ("operators.KEY.mapping.rules.KEY.vocabulary", "oicp", {"OverrideRule.vocabulary": "oicp"}),
    ("operators.KEY.mapping.reserved", "Reserved", {"MappingRules.reserved": EvseStatus.RESERVED}),
    (
        "operators.KEY.mapping.restricted_parking",
        ["CUSTOMERS"],
        {"MappingRules.restricted_parking": ("CUSTOMERS",)},
    ),
    ("operators.KEY.mapping.shared", "station", {"MappingRules.shared": "station"}),
    ("operators.KEY.mapping.heartbeat_interval", "7s", {"MappingRules.heartbeat_interval": 7.0}),
    ("operators.KEY.mapping.missed_heartbeats", 7, {"MappingRules.missed_heartbeats": 7}),
    (
        "operators.KEY.mapping.offline_out_of_service_after",
        "7s",
        {"MappingRules.offline_out_of_service_after": 7.0},
    ),
    ("operators.KEY.mapping.stale_after", "7s", {"MappingRules.stale_after": 7.0}),
    (
        "operators.KEY.mapping.hold_available",
        "7s",
        {"PlanPolicy.hold_available": 7.0, "Reading.hold_available": 7.0},
    ),
    (
        "operators.KEY.schedule.delta",
        "7s",
        {"delta": "06-01 12:00:07", "CyclePolicy.delta_interval": 7.0, "DeliveryPolicy.search_for": 7.0},
    ),
    ("operators.KEY.schedule.reconcile", "7s", {"reconcile": "06-01 12:00:07"}),
    ("operators.KEY.schedule.full", "06:07", {"full": "06-02 06:07:00"}),
    (
        "operators.KEY.schedule.full_jitter",
        "10min",
        {"full": "06-02 03:00:18"},
    ),  # each has its own part of it
    (
        "operators.KEY.schedule.time_zone",
        "Europe/Berlin",
        {"delta": "06-02 02:00:00", "reconcile": "06-02 03:00:00", "full": "06-02 01:00:00"},
    ),
]
"""(setting, another value, everything that must then be different and as what). Jobs: when they are due next, seen
from NOON."""

OPENED = (
    Cells,
    CyclePolicy,
    DeliveryPolicy,
    FileOptions,
    GuardPolicy,
    HubOptions,
    MappingRules,
    OverrideRule,
    PlanPolicy,
    Reading,
    TimeForms,
    TlsOptions,
)
"""What holds values; all other objects do something."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Table], Places]:
    """Every value in what wiring makes for the daemon by these settings."""
    monkeypatch.chdir(tmp_path)
    places: Places = {}

    def watch(where: object, name: str, *, called: str) -> None:
        real = getattr(where, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            for argument, value in inspect.signature(real).bind(*args, **kwargs).arguments.items():
                places.update(_values(f"{called}.{argument}", value))
            return real(*args, **kwargs)

        monkeypatch.setattr(where, name, call)

    monkeypatch.setattr(root, "configure", lambda *, as_json, level, stream: collecting(Lines()))
    watch(root, "configure", called="log")
    watch(SqliteStore, "operator", called="ledger")
    watch(parts, "FileSource", called="source")
    watch(parts, "map_fleet", called="mapping")
    for name in ("HubClient", "Decider", "Publisher", "FullLoader", "OperatorSync"):
        watch(root, name, called=name)

    def make(table: Table) -> Places:
        places.clear()
        settings = Settings(table)
        with Wiring(settings, clock=ManualClock(), log=configure_log(settings)) as wiring:
            jobs = wiring.jobs(OPERATOR)
            jobs.close()
            places["ledger.file"] = wiring.store.path.name
        for job, trigger in jobs.triggers.items():
            due = trigger.get_next_fire_time(None, NOON)
            places[job] = f"{due.astimezone(UTC):%m-%d %H:%M:%S}"
        anew = reading_anew(settings, running=settings).readings[OPERATOR]
        anew.mapper([], 0.0, {})
        places.update(_values("", anew))
        return dict(places)

    return make


def _values(place: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, OPENED):
        for name in inspect.signature(type(value)).parameters:
            yield from _values(f"{type(value).__name__}.{name}", getattr(value, name))
    elif isinstance(value, tuple) and any(isinstance(one, OPENED) for one in value):
        for one in value:
            yield from _values(place, one)
    elif value is None or isinstance(value, (str, int, float, Path, tuple, dict)):
        yield place, value


def _put(table: Table, setting: str, value: object) -> None:
    *tables, key = setting.replace("rules.KEY", f"rules.{RULE}").replace("KEY", OPERATOR).split(".")
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value


@pytest.mark.parametrize(("setting", "value", "expected"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_a_setting_reaches_all_its_places_and_no_other(
    made: Callable[[Table], Places], setting: str, value: object, expected: Places
) -> None:
    # The setting that would have helped at 03:00 is written, accepted, and does nothing; or it turns two things.
    table = _base()
    before = made(table)
    _put(table, setting, value)
    after = made(table)
    changed = {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
    assert {place: after.get(place) for place in changed} == expected


def test_no_setting_is_left_out() -> None:
    # A setting that comes later is never wired, and nothing above asks for it.
    wired = [setting for setting, _, _ in SETTINGS]
    assert sorted([*wired, *ELSEWHERE]) == sorted(dotted(location) for location, _ in leaves(Settings))


def _delta(
    place: Path,
    hubject: Table,
    status: str,
    *,
    clock: Clock,
    as_daemon: bool,
    stop: threading.Event | None = None,
) -> CycleReport:
    """The first delta of a new process, with one EVSE."""
    table = _base()
    table["hubject"] = hubject
    _put(table, "ledger.url", f"sqlite:///{place / 'ledger.db'}")
    _put(table, "operators.KEY.source.path", place / "fleet.csv")
    (place / "fleet.csv").write_text(f"evse_id,status\nDE*SLB*E1,{status}\n")
    with ExitStack() as stack:
        log = collecting(Lines())
        wiring = stack.enter_context(Wiring(Settings(table), clock=clock, log=log, stop=stop))
        if not as_daemon:
            return stack.enter_context(wiring.operator(OPERATOR)).delta()
        jobs = wiring.jobs(OPERATOR)
        stack.callback(jobs.close)
        return jobs.sync.delta()


@pytest.mark.parametrize("as_daemon", [True, False], ids=["daemon", "verb"])
def test_a_new_process_counts_the_calls_of_the_last_one(tmp_path: Path, as_daemon: bool) -> None:
    # P6: a daemon that is restarted again and again, or cron's next sync, calls above the limit: 429 to everything.
    clock = HurriedClock()
    with Simulator() as simulator:
        hubject = {"base_url": simulator.base_url, "calls_per_minute": 1}
        assert _delta(tmp_path, hubject, "AVAILABLE", clock=clock, as_daemon=False).acked == 1
        assert not clock.sleeps
        assert _delta(tmp_path, hubject, "CHARGING", clock=clock, as_daemon=as_daemon).acked == 1
    assert sum(clock.sleeps) > 50


@pytest.mark.parametrize("as_daemon", [True, False], ids=["daemon", "verb"])
def test_after_a_start_the_daemon_waits_for_settle_anew_and_a_verb_goes_on_waiting(
    tmp_path: Path, as_daemon: bool
) -> None:
    # Cron's sync begins to wait each minute, and what is in doubt is never pushed again.
    clock = HurriedClock()
    with Simulator() as simulator:
        hubject = {"base_url": simulator.base_url}
        simulator.faults.add(Fault(kind="garbage_html", count=1))
        assert _delta(tmp_path, hubject, "AVAILABLE", clock=clock, as_daemon=False).in_doubt == 1
        clock.sleep(61)
        report = _delta(tmp_path, hubject, "AVAILABLE", clock=clock, as_daemon=as_daemon)
    assert (report.acked, report.in_doubt) == ((0, 1) if as_daemon else (1, 0))


def test_a_stop_ends_the_wait_for_a_free_place(tmp_path: Path) -> None:
    # SIGTERM while calls are paced: grace runs out, and a push begins that nobody waits for.
    class Stopping(HurriedClock):
        def sleep(self, seconds: float) -> None:
            stop.set()
            super().sleep(seconds)

    clock, stop = Stopping(), threading.Event()
    with Simulator() as simulator:
        hubject = {"base_url": simulator.base_url, "calls_per_minute": 1}
        assert _delta(tmp_path, hubject, "AVAILABLE", clock=clock, as_daemon=False).acked == 1
        assert _delta(tmp_path, hubject, "CHARGING", clock=clock, as_daemon=False, stop=stop).acked == 0
        assert set(simulator.statuses("DE*SLB").values()) == {"Available"}


def test_a_stop_after_a_push_begins_no_other_and_a_retry_is_told(tmp_path: Path) -> None:
    # The person at the terminal sees no progress; or SIGTERM leaves a push that failed, where none was needed.
    table, clock, lines, stop = _base(), HurriedClock(), Lines(), threading.Event()
    _put(table, "ledger.url", f"sqlite:///{tmp_path / 'ledger.db'}")
    _put(table, "operators.KEY.source.path", tmp_path / "fleet.csv")
    (tmp_path / "fleet.csv").write_text("evse_id,status\nDE*SLB*E1,AVAILABLE\nDE*SLB*E2,AVAILABLE\n")
    with Simulator() as simulator:
        simulator.faults.add(Fault(kind="too_many", count=1))
        table["hubject"] = {"base_url": simulator.base_url}
        with (
            Wiring(Settings(table), clock=clock, log=collecting(lines), stop=stop) as wiring,
            wiring.operator(OPERATOR, progress=lambda done, planned: stop.set()) as sync,
        ):
            report = sync.delta()
    assert (report.requests, report.acked, report.failures) == (1, 1, [])
    assert len(lines.of("push.retried")) == 1


def test_a_hubject_whose_process_ids_are_all_alike_is_told_of(tmp_path: Path) -> None:
    # Nobody would know that a copy of an old answer cannot be told from a new one there.
    table, lines = _base(), Lines()
    _put(table, "ledger.url", f"sqlite:///{tmp_path / 'ledger.db'}")
    alike = http(200, b'{"Result":true,"StatusCode":{"Code":"000"}}', headers="Process-ID: p-1\r\n")
    request = PushRequest(action=ActionType.UPDATE, operator_id="DE*SLB", operator_name="S", records=[])
    with RawServer(keeping(alike)) as server:
        table["hubject"] = {"base_url": server.base_url}
        with Wiring(Settings(table), clock=HurriedClock(), log=collecting(lines)) as wiring:
            hub = wiring._hub(OPERATOR)
            assert {hub.push(request).reaction for _ in range(3)} == {Reaction.APPLIED}
            hub.close()
    (line,) = lines.of("hub.process_ids_alike")
    assert (line["operator"], line["process_id"]) == (OPERATOR, "p-1")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ((f"operators.{OPERATOR}.id", "DE*NEW"), "id"),
        (("hubject.base_url", "http://127.0.0.1:2/api/oicp"), "address"),
        (None, ""),
    ],
    ids=["id", "address", "nothing"],
)
def test_nothing_is_read_anew_of_an_operator_that_is_another_one_now(
    change: tuple[str, str] | None, word: str
) -> None:
    # The new export, read under the old id, is a fleet of strangers; or the old one is gone from it.
    running, changed = _base(), _base()
    if change is not None:
        _put(changed, *change)
    anew = reading_anew(Settings(changed), running=Settings(running))
    assert set(anew.readings) == (set() if change else {OPERATOR})
    assert [word in why and "restart" in why for why in anew.kept.values()] == ([True] if change else [])


def test_a_reload_names_what_it_does_not_take() -> None:
    # mode = "observe" and a reload: "reloaded", `status` says that nothing is pushed, and everything is.
    changed = _base()
    for setting, value in (
        ("operators.KEY.mode", "observe"),
        ("operators.KEY.schedule.delta", "7s"),
        ("operators.KEY.source.path", "other.json"),
        ("operators.KEY.mapping.reserved", "Reserved"),
        ("operators.KEY.evse_id_prefixes", ["DE*SLB", "DE*TWO"]),
        ("hubject.proxy", "http://ann:secret@proxy.example:3128"),
        ("delivery.settle", "90s"),
    ):
        _put(changed, setting, value)
    anew = reading_anew(Settings(changed), running=Settings(_base()))
    assert anew.restart == (
        "delivery.settle",
        "hubject.proxy",
        "operators.slb.mode",
        "operators.slb.schedule.delta",
    )
    assert reading_anew(Settings(_base()), running=Settings(_base())).restart == ()
