"""A Hubject stand-in to start in a test or from the command line: strict, on loopback, in a thread of its
own.

It believes what it is told through `/_sim/`, so it never listens where others could reach it.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from oicp_adapter.simulator.certificates import Certificates
from oicp_adapter.simulator.control import CONTROL, Control
from oicp_adapter.simulator.errors import NotLoopback, SimulatorError
from oicp_adapter.simulator.exchange import Server
from oicp_adapter.simulator.faults import FaultBox
from oicp_adapter.simulator.hub import Hub, Late
from oicp_adapter.simulator.ids import operator_of
from oicp_adapter.simulator.journal import BrokenRule, Entry
from oicp_adapter.simulator.options import SimulatorOptions
from oicp_adapter.simulator.service import Service
from oicp_adapter.simulator.thread import ServerThread
from oicp_adapter.simulator.validate import STATUSES


class Simulator:
    """`with Simulator() as sim:` serves `sim.base_url` until the block ends.

    `stop` and `start` again is an outage: port, statuses, journal and certificates stay.
    """

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self._thread = ServerThread(_loopback(self.options.host), self.options.port, self._serve)
        self._hub = Hub(self.options)
        self._certificates = self.options.certificates
        self._loop: asyncio.AbstractEventLoop | None = None
        if self.options.mutual_tls and self._certificates is None:
            self._certificates = Certificates()

    # -- serving -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen and serve. Raises PortInUse; nothing happens if it already runs."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and end the thread; requests in progress get no answer."""
        self._thread.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start if a free one was asked for."""
        return self._thread.port

    @property
    def origin(self) -> str:
        """Scheme, host and port; `/_sim/...` is under it."""
        host = f"[{self._thread.host}]" if ":" in self._thread.host else self._thread.host
        return f"{'https' if self.options.mutual_tls else 'http'}://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What the adapter takes as `[hubject] base_url`."""
        return self.origin + self.options.prefix

    @property
    def certificates(self) -> Certificates:
        """The authority behind `mutual_tls`."""
        if self._certificates is None:
            raise SimulatorError("simulator: no certificates without mutual_tls")
        return self._certificates

    # -- what it holds -----------------------------------------------------------------------------

    def statuses(self, operator: str) -> dict[str, str]:
        """Wire id → status of one operator."""
        with self._hub.lock:
            return self._hub.holdings.statuses(operator)

    def everything(self) -> dict[str, dict[str, str]]:
        """OperatorID → wire id → status."""
        with self._hub.lock:
            return self._hub.holdings.everything()

    def hold(self, statuses: Mapping[str, str], operator: str | None = None) -> None:
        """Hold these statuses as if pushed long ago; without operator, under the one each id names."""
        wrong = [f"{wire}: {status}" for wire, status in statuses.items() if status not in STATUSES]
        if wrong:
            raise ValueError(f"not OICP statuses: {', '.join(wrong[:5])}")
        grouped: dict[str, dict[str, str]] = {}
        for wire, status in statuses.items():
            owner = operator or operator_of(wire)
            if owner is None:
                raise ValueError(f"{wire!r} is no EvseID")
            grouped.setdefault(owner, {})[wire] = status
        with self._hub.lock:
            for owner, held in grouped.items():
                self._hub.holdings.hold(owner, held)

    def hold_all(self, statuses: Mapping[str, Mapping[str, str]]) -> None:
        """Hold statuses by operator: the shape of `everything()`."""
        for operator, held in statuses.items():
            self.hold(held, operator)

    def hold_file(self, path: Path | str) -> None:
        """Hold the statuses of a JSON file: what `GET /_sim/statuses` once said, or simply id → status."""
        content = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, str | dict[str, str]])
        for name, value in content.items():
            if isinstance(value, str):
                self.hold({name: value})
            else:
                self.hold(value, name)

    def preload(self, count: int, operator: str = "DE*SIM", status: str = "Available") -> list[str]:
        """Hold `count` made-up EVSEs of an operator; their ids."""
        middle = "*" if operator.lstrip("+")[0].isdigit() else "*E"
        ids = [f"{operator}{middle}{number:06}" for number in range(1, count + 1)]
        self.hold(dict.fromkeys(ids, status), operator)
        return ids

    def set_evse_data(self, evse_ids: Iterable[str] | None) -> None:
        """Say which EVSEs have EVSE data; None: do not check."""
        with self._hub.lock:
            self._hub.evse_data.set(evse_ids)

    def clear(self) -> None:
        """Forget statuses, journal, faults, late requests and the rate window; settings and EVSE data
        stay.
        """
        self._hub.clear()

    def clear_journal(self) -> None:
        """Forget the requests seen; keep what is held, and the rules broken."""
        with self._hub.lock:
            self._hub.journal.clear_requests()

    # -- what it saw, and what goes wrong ----------------------------------------------------------

    @property
    def journal(self) -> list[Entry]:
        """Every request, oldest first, entered before its answer was sent."""
        with self._hub.lock:
            return list(self._hub.journal.entries)

    @property
    def rules_broken(self) -> list[BrokenRule]:
        """What a client did that Hubject forbids."""
        with self._hub.lock:
            return list(self._hub.journal.broken)

    @property
    def faults(self) -> FaultBox:
        """Add, remove and clear faults here."""
        return self._hub.faults

    @property
    def in_flight(self) -> int:
        """Status pushes that have begun to arrive and are not yet answered."""
        return self._hub.overlaps.count()

    @property
    def late(self) -> int:
        """Requests still to be applied although their clients were never answered."""
        return len(self._hub.late)

    def release_late(self, now: float | None = None) -> int:
        """Apply late requests due by `now` (None: all of them); how many."""
        return self._hub.release(now)

    def summary(self) -> dict[str, object]:
        """Totals: EVSEs per status, requests per endpoint, broken rules, no-op records, faults that
        struck.
        """
        with self._hub.lock:
            hub = self._hub
            counts = dict.fromkeys(STATUSES, 0)
            for held in hub.holdings.everything().values():
                for status in held.values():
                    counts[status] += 1
            return {
                "held": sum(counts.values()),
                "statuses": counts,
                "requests": dict(hub.journal.requests),
                "rules_broken": dict(hub.journal.rules),
                "noop_records": hub.journal.noop_records,
                "late": len(hub.late),
                "faults_hit": {
                    f"{kind} {action}".strip(): n for (kind, action), n in hub.faults.hits.items()
                },
            }

    # -- the thread --------------------------------------------------------------------------------

    async def _serve(
        self, listener: socket.socket, stopping: asyncio.Event, ready: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        service = Service(self._hub, stopping, self._schedule)
        control = Control(self)

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            page = control if request.path.startswith(CONTROL) else service
            return await page.handle(request)

        runner = web.ServerRunner(Server(handle, self._hub.overlaps), shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=self._tls()).start()
        for late in self._hub.late:
            self._arm(late)
        ready()
        await stopping.wait()
        await runner.cleanup()

    def _tls(self) -> ssl.SSLContext | None:
        if not self.options.mutual_tls:
            return None
        maximum = ssl.TLSVersion.TLSv1_2 if self.options.tls_maximum == "1.2" else ssl.TLSVersion.TLSv1_3
        return self.certificates.server_context(
            required=self.options.missing_certificate == "tls",
            check_time=self.options.expired_certificate == "tls",
            maximum=maximum,
        )

    def _schedule(self, late: Late) -> None:
        with self._hub.lock:
            self._hub.late.append(late)
        self._arm(late)

    def _arm(self, late: Late) -> None:
        """In real time a late request comes by itself; with an injected clock only through `release_late`."""
        if self.options.clock is None and late.due is not None and self._loop is not None:
            delay = max(0.0, late.due - self._hub.clock())
            self._loop.call_later(delay, self._hub.apply_late, late)


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise NotLoopback(host)
