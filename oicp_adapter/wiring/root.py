"""The composition root: settings → concrete objects. Only this package names concrete classes."""

from __future__ import annotations

import logging
import random
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from oicp_adapter.core.ids import EvseId, OperatorId
from oicp_adapter.core.model import ActionType
from oicp_adapter.core.records import OperatorState, Picture
from oicp_adapter.core.spelling import near, replacing, understood
from oicp_adapter.core.text import time_text
from oicp_adapter.daemon import OperatorJobs
from oicp_adapter.errors import ConfigurationError, LockHeld
from oicp_adapter.hub import HubClient
from oicp_adapter.ledger.faults import verify_place
from oicp_adapter.ledger.location import parse_url
from oicp_adapter.ledger.lock import Holder, OperatorLock, holder_of, holders_beside
from oicp_adapter.ledger.mark import Mark
from oicp_adapter.ledger.memory import MemoryLedger
from oicp_adapter.ledger.restore import duplicate, put_in_place
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.ports import AuditEntry, Clock
from oicp_adapter.settings import Settings
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.decide import Decider
from oicp_adapter.sync.explaining import EvseFacts, PushFacts, RejectedFacts, explained, rejections
from oicp_adapter.sync.full import FullLoader
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.reasons import chosen_stop, obstacle, standstill, unrecorded
from oicp_adapter.sync.work import Progress, no_progress
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog, configure
from oicp_adapter.wiring.certificates import Certificates
from oicp_adapter.wiring.parts import (
    base_url,
    cycle_policy,
    delivery_policy,
    guard_policy,
    hub_options,
    mapper_of,
    plan_policy,
    source_of,
    triggers_of,
)
from oicp_adapter.wiring.telling import LoggedNotices

if TYPE_CHECKING:
    from oicp_adapter.ports import Hub

HISTORY_SHOWN = 10
"""Pushes of one EVSE that `explain` lists."""
READING = 60.0
"""Seconds that reading the source, mapping and planning may take."""
RATE_WINDOW = 60.0
"""Seconds of calls a new process has to know of (P6)."""
TURN_COMES_WITHIN = 30.0
"""Seconds for which the daemon waits at its start for a verb that pushes: one push of it may take that long."""
GLANCE = 0.2
"""Seconds between looks whether it has ended."""


def configure_log(settings: Settings, *, stream: TextIO | None = None, quiet: bool = False) -> EventLog:
    """The root log as the settings want it. `quiet`: only what needs attention, for one-shot verbs."""
    level = max(logging.WARNING if quiet else 0, logging.getLevelName(settings.log.level.upper()))
    as_json = {"auto": None, "json": True, "console": False}[settings.log.format]
    return configure(as_json=as_json, level=level, stream=stream)


def daemon_at(ledger_url: str) -> bool:
    """Whether a daemon runs with this ledger: what can be told without a configuration that can be read."""
    path = parse_url(ledger_url, directory=Path())
    return any(holder.verb == "run" for holder in holders_beside(path))


class NoHub:
    """For verbs that send nothing: sending through it is a programming error."""

    def push(self, request: object) -> Answer:
        """Never called."""
        raise AssertionError("a reading verb tried to push")

    def close(self) -> None:
        """Nothing to close."""


class Wiring:
    """Builds operators from settings; a context manager that closes what it opened."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        log: EventLog,
        stop: threading.Event | None = None,
        read_only: bool = False,
        ledger: Path | None = None,
    ) -> None:
        """`ledger`: another file than the configuration's."""
        self.settings = settings
        self.certificates = Certificates(settings, now=clock.now, log=log)
        self._clock = clock
        self._log = log
        self._stop = stop if stop is not None else threading.Event()
        self._read_only = read_only
        self._path = ledger or parse_url(settings.ledger.url, directory=Path())  # it is absolute by now
        self._store: SqliteStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> SqliteStore:
        """The ledger file, opened when first needed."""
        if self._store is None:
            self._store = SqliteStore.open(self._path, now=self._clock.now(), read_only=self._read_only)
        return self._store

    def now(self) -> float:
        """The wall clock."""
        return self._clock.now()

    def restore(self, copy: Path, prepare: Callable[[Wiring], None]) -> Path | None:
        """Put a copy in the ledger's place, after `prepare` has made it ready; returns where the old one is kept.

        Raises LedgerError, or what `prepare` raises; then the ledger is as it was. The caller holds every
        operator's lock.
        """
        now = self._clock.now()
        with duplicate(copy, self._path, now=now) as made:
            with Wiring(self.settings, clock=self._clock, log=self._log, ledger=made) as ready:
                prepare(ready)
            return put_in_place(made, self._path, now=now)

    @contextmanager
    def on_copy(self, copy: Path) -> Iterator[Wiring]:
        """The same operators with a copy of the ledger, for looking; it may be of an older version, and stays as it is.

        Raises LedgerError if it cannot be used.
        """
        now = self._clock.now()
        with (
            tempfile.TemporaryDirectory() as place,
            duplicate(copy, Path(place, "ledger.db"), now=now) as made,
            Wiring(self.settings, clock=self._clock, log=self._log, read_only=True, ledger=made) as wiring,
        ):
            yield wiring

    def has_ledger(self) -> bool:
        """Whether there is a ledger file at all."""
        return self._path.exists()

    def ledger_names(self) -> int:
        """How many names the ledger's file has: by a second one (a hard link) it would have a second lock."""
        return self._path.stat().st_nlink

    def unconfigured(self) -> dict[str, int]:
        """Operators that are not in the configuration (any more), by id → their EVSEs that this Hubject shows."""
        if not self.has_ledger():
            return {}
        known = self.store.operators(base_url(self.settings))
        ours = {operator.operator_id.key for operator in self.settings.operators.values()}
        return {name: shown for name, shown in known.items() if shown and name not in ours}

    def tell_unconfigured(self) -> None:
        """Log them: nobody looks after what drivers see of them."""
        for name, shown in self.unconfigured().items():
            self._log.emit(events.OPERATOR_UNCONFIGURED, operator_id=name, evses=shown)

    def forget(self, operator_id: OperatorId, entry: AuditEntry) -> int:
        """Forget what is known of an operator that is not in the configuration; returns how many EVSEs that were.

        Raises ConfigurationError if it is, or if the ledger does not know it; LockHeld while somebody pushes for it.
        """
        if any(one.operator_id.key == operator_id.key for one in self.settings.operators.values()):
            raise ConfigurationError(
                f"{operator_id.wire} is in the configuration",
                hint="it is looked after: nothing of it is to be forgotten; see also: ledger distrust",
            )
        known = self.store.operators(base_url(self.settings))
        if operator_id.key not in known:
            raise ConfigurationError(
                f"the ledger knows no operator {operator_id.wire} at this Hubject",
                hint=f"it knows: {', '.join(known) or 'none'}",
            )
        lock = OperatorLock(self._lock_path_of(operator_id.key), holder="ledger forget", now=self._clock.now)
        with lock:
            ledger = self.store.operator(base_url(self.settings), operator_id.key)
            return ledger.forget(entry)

    def lost_ledger(self, key: str) -> bool:
        """Whether there is none, but a mark of one in which the operator had pushes."""
        return not self.has_ledger() and self._mark(key).read().push > 0

    def verify_ledger_place(self) -> None:
        """Raises LedgerNotWritable if the first run could not make the ledger."""
        verify_place(self._path)

    def ledger(self, key: str) -> SqliteLedger:
        """The operator's ledger, on a connection of its own."""
        return self.store.operator(base_url(self.settings), self.settings.operators[key].operator_id.key)

    def lock(self, key: str, *, verb: str) -> OperatorLock:
        """The right to push for an operator; acquire it before anything else is opened."""
        return OperatorLock(self._lock_path(key), holder=verb, now=self._clock.now)

    def take_turn(self, key: str, stack: ExitStack, *, give_up: Callable[[], bool]) -> bool:
        """The daemon's lock for an operator, held by `stack`; a verb that runs and ends gets some time to do so.

        Raises LockHeld if it takes longer, or at once if another daemon has it. False: `give_up` said so.
        """
        until, waits = self._clock.monotonic() + TURN_COMES_WITHIN, False
        while not give_up():
            try:
                stack.enter_context(self.lock(key, verb="run"))
            except LockHeld:
                holder = self.holder(key)
                if (holder is not None and holder.obeys) or self._clock.monotonic() >= until:
                    raise
                if not waits:
                    self._log.emit(
                        events.DAEMON_WAITS, operator=key, text=f"{holder or 'another process'} pushes"
                    )
                waits = True
                self._clock.sleep(GLANCE)
            else:
                return True
        return False

    def holder(self, key: str) -> Holder | None:
        """Who pushes for the operator now."""
        return holder_of(self._lock_path(key))

    @contextmanager
    def operator(
        self, key: str, *, progress: Progress = no_progress, pushes: bool = True
    ) -> Iterator[OperatorSync]:
        """One operator's use cases, ready to push; one that does not push needs no certificate."""
        ledger, hub = self.ledger(key), self._hub(key, files_later=not pushes)
        if pushes:
            self.certificates.warn_of_expiry(key)
        try:
            hub.seed(ledger.recent_pushes(self._clock.now() - RATE_WINDOW))
            yield self._sync(key, ledger=ledger, hub=hub, progress=progress, one_shot=True)
        finally:
            hub.close()
            ledger.close()

    @contextmanager
    def preview(self, key: str, *, with_ledger: bool = True) -> Iterator[OperatorSync]:
        """One operator's use cases for looking only; an empty picture where there is no ledger yet."""
        ledger = self.ledger(key) if with_ledger and self.has_ledger() else None
        try:
            empty = MemoryLedger(self._mark(key))
            yield self._sync(key, ledger=ledger or empty, hub=NoHub(), progress=no_progress)
        finally:
            if ledger is not None:
                ledger.close()

    def jobs(self, key: str) -> OperatorJobs:
        """One operator for the daemon. One with unusable TLS files runs, too: it reads and maps, and its first push
        begins to probe until they are right. It must not keep the others down."""
        operator = self.settings.operators[key]
        ledger, hub = self.ledger(key), self._hub(key, files_later=True)
        hub.seed(ledger.recent_pushes(self._clock.now() - RATE_WINDOW))
        self.certificates.warn(key)

        def upkeep() -> None:
            ledger.prune(self._clock.now())
            self.certificates.warn_of_expiry(key)
            if key == next(iter(self.settings.operators)):  # one tells it for all
                self.tell_unconfigured()

        def close() -> None:
            hub.close()
            ledger.close()

        return OperatorJobs(
            name=key,
            sync=self._sync(key, ledger=ledger, hub=hub, progress=no_progress),
            ledger=ledger,
            triggers=triggers_of(operator),
            upkeep=upkeep,
            close=close,
        )

    def explain(self, key: str, evse_key: str) -> EvseFacts | None:
        """What the ledger knows about one EVSE; None if nothing."""
        ledger = self.ledger(key)
        picture = ledger.load()
        row = picture.rows.get(evse_key)
        if row is None:
            return None
        history = [
            PushFacts(
                at=time_text(entry.push.started_at) or "",
                action=entry.push.action,
                status=entry.status or "deleted",
                reason=entry.reason,
                outcome=entry.push.outcome or "open",
                code=entry.push.code,
                text=entry.push.text,
                process_id=entry.push.process_id,
                push_id=entry.push.push_id,
            )
            for entry in ledger.history(evse_key, HISTORY_SHOWN)
        ]
        return explained(
            key,
            row,
            picture.state,
            history,
            policy=plan_policy(self.settings, key),
            stopped=self._obstacle(key, picture.state),
            unrecorded=unrecorded(
                picture.state,
                ledger.jobs(),
                running=self.holder(key) is not None,
                last_push=self.last_push(key),
                push_takes=self.push_takes(picture),
                now=self._clock.now(),
            ),
            now=self._clock.now(),
        )

    def stopped(self, key: str, state: OperatorState) -> str | None:
        """Why nothing at all is pushed for the operator now; None if it is."""
        now = self._clock.now()
        paused = self.ledger(key).paused(now=now) if self.has_ledger() else None
        return standstill(state, mode=self.settings.operators[key].mode, paused=paused, now=now)

    def _obstacle(self, key: str, state: OperatorState) -> str | None:
        operator, now = self.settings.operators[key], self._clock.now()
        chosen = chosen_stop(mode=operator.mode, paused=self.ledger(key).paused(now=now))
        return obstacle(state, chosen=chosen, unknown_after=operator.source.unknown_after, now=now)

    def meant(self, key: str, text: str) -> EvseId | None:
        """The EVSE a person means, in the source's spelling or another; None if it is no EvseID."""
        operator = self.settings.operators[key]
        cleaned = replacing(operator.source.evse_id_replace)(text)
        return understood(text, operator.prefixes) or understood(cleaned, operator.prefixes)

    def near(self, key: str, text: str) -> list[str]:
        """EvseIDs of the ledger, and of what cannot be published, that are written nearly like this."""
        ledger = self.ledger(key)
        known = [row.wire_id for row in ledger.load().rows.values()]
        return near(text, [*known, *(one.evse_id for one, _ in ledger.rejected() if one.evse_id)])

    def rejected(self, key: str, evse_id: str) -> list[RejectedFacts]:
        """The records with this id that cannot be published."""
        operator = self.settings.operators[key]
        return rejections(key, evse_id, self.ledger(key).rejected(), prefixes=operator.prefixes)

    def patience(self) -> float:
        """Seconds after which a worker that has a job to do, and neither pushes nor ends it, is stuck."""
        hubject = self.settings.hubject
        return READING + hubject.full_load_timeout + hubject.retry_total

    def last_push(self, key: str) -> float | None:
        """When the last push of the operator began; None: not lately."""
        return max(self.ledger(key).recent_pushes(self._clock.now() - self.patience()), default=None)

    def push_takes(self, picture: Picture) -> float:
        """Seconds until a push that is in flight is given up."""
        hubject = self.settings.hubject
        full = any(push.action is ActionType.FULL_LOAD for push in picture.open_pushes)
        return (hubject.full_load_timeout if full else hubject.timeout) + hubject.retry_total

    def _mark(self, key: str) -> Mark:
        operator = self.settings.operators[key].operator_id.key
        return Mark(self._path.resolve(), operator=operator, base_url=base_url(self.settings).rstrip("/"))

    def _lock_path(self, key: str) -> Path:
        return self._lock_path_of(self.settings.operators[key].operator_id.key)

    def _lock_path_of(self, operator_key: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{operator_key.replace('*', '-')}.lock")

    def _sync(
        self,
        key: str,
        *,
        ledger: SqliteLedger | MemoryLedger,
        hub: Hub,
        progress: Progress,
        one_shot: bool = False,
    ) -> OperatorSync:
        settings, operator = self.settings, self.settings.operators[key]
        decider = Decider(operator=key, plan=plan_policy(settings, key), guards=guard_policy(settings))
        publisher = Publisher(
            hub=hub,
            ledger=ledger,
            clock=self._clock,
            policy=delivery_policy(settings, key),
            stopping=self._stop.is_set,
            progress=progress,
        )
        return OperatorSync(
            source=source_of(operator),
            mapper=mapper_of(operator),
            ledger=ledger,
            clock=self._clock,
            decider=decider,
            publisher=publisher,
            full_loader=FullLoader(
                decider=decider,
                publisher=publisher,
                automatic_baseline=operator.first_full_load == "automatic",
                limit=settings.hubject.max_body,
            ),
            policy=cycle_policy(settings, key, one_shot=one_shot),
            log=self._log.bind(operator=key),
            paused=lambda now: ledger.paused(now=now),
            new_id=lambda: uuid.uuid4().hex[:12],
            chance=random.SystemRandom().random,
        )

    def _hub(self, key: str, *, files_later: bool = False) -> HubClient:
        return HubClient(
            hub_options(self.settings, key),
            clock=self._clock,
            stopping=self._stop.is_set,
            notices=LoggedNotices(self._log.bind(operator=key)),
            files_later=files_later,
        )
