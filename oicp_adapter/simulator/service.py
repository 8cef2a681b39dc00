"""Serves OICP: finds the endpoint, lets the hub decide, and lets faults spoil the answer.

A big body is read and applied in a worker thread, so that other connections are still seen while it is worked
on: otherwise a parallel push would look like a later one.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote

from aiohttp import web

from oicp_adapter.simulator import answers, validate
from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.exchange import BodyTooLarge, Exchange, new_process_id
from oicp_adapter.simulator.fault_answers import answer_of
from oicp_adapter.simulator.faults import Fault, Strike
from oicp_adapter.simulator.hub import Hub, Late, Peer, Verdict
from oicp_adapter.simulator.ids import operator_key
from oicp_adapter.simulator.journal import OVERDUE, Entry
from oicp_adapter.simulator.readback import by_id, by_operator
from oicp_adapter.simulator.state import Applied
from oicp_adapter.simulator.traffic import Call
from oicp_adapter.simulator.validate import Invalid, StatusPush

T = TypeVar("T")

_IN_THREAD = 200_000
"""Bytes above which a body is worked on in a thread: about a millisecond's work."""
_ENDPOINTS = (
    ("status", re.compile(r"/evsepush/v21/operators/([^/?]+)/status-records")),
    ("data", re.compile(r"/evsepush/v23/operators/([^/?]+)/data-records")),
    ("pull-by-operator", re.compile(r"/evsepull/v21/providers/([^/?]+)/status-records-by-operator-id")),
    ("pull-by-id", re.compile(r"/evsepull/v21/providers/([^/?]+)/status-records-by-id")),
)


@dataclass(slots=True)
class Work:
    """What is known so far about a request while it is worked on."""

    endpoint: str
    partner: str
    call: Call | None = None
    push: StatusPush | Invalid | None = None
    strike: Strike = field(default_factory=Strike)


class Service:
    """The OICP endpoints."""

    def __init__(self, hub: Hub, stopping: asyncio.Event, schedule: Callable[[Late], None]) -> None:
        self._hub = hub
        self._stopping = stopping
        self._schedule = schedule

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one OICP request; a client that went away ends it quietly."""
        exchange = Exchange(request, self._stopping)
        try:
            return await self._route(exchange)
        except ConnectionError:
            return exchange.drop()
        finally:
            exchange.end()

    async def _route(self, exchange: Exchange) -> web.StreamResponse:
        path = exchange.request.raw_path
        endpoint, raw = self._find(exchange.request.method, path)
        work = Work(endpoint, unquote(raw))
        if endpoint == "status":
            work.call = self._begin(exchange, work.partner)
        try:
            body = await exchange.read(self._hub.options.body_limit, gunzip=self._hub.options.gzip)
        except BodyTooLarge:
            return await self._finish(exchange, work, Verdict(answers.too_large()))
        if not endpoint:
            return await self._finish(exchange, work, Verdict(answers.service_not_found(path)))
        if "*" in raw:
            self._hub.breach("path_not_encoded", work.partner, "`*` in the path must be percent-encoded")
        if refused := self._refuse_caller(exchange, work, _peer(exchange.request)):
            return await self._finish(exchange, work, Verdict(refused))
        return await self._carry_out(exchange, work, body)

    def _begin(self, exchange: Exchange, partner: str) -> Call:
        call = exchange.connection.begin_call(operator_key(partner) or partner)
        if call.overlapped:
            self._hub.breach("parallel_push", partner, "a status push began while another was open")
        return call

    def _find(self, method: str, path: str) -> tuple[str, str]:
        prefix = self._hub.options.prefix
        if method == "POST" and path.startswith(prefix):
            for endpoint, pattern in _ENDPOINTS:
                if match := pattern.fullmatch(path, len(prefix)):
                    return endpoint, match.group(1)
        return "", ""

    def _refuse_caller(self, exchange: Exchange, work: Work, peer: Peer | None) -> Answer | None:
        hub = self._hub
        if hub.options.mutual_tls and peer is None:
            return answers.ssl_certificate_error()
        with hub.lock:
            if exchange.request.content_type != "application/json":
                hub.breach(
                    "content_type",
                    work.partner,
                    f"content type {exchange.request.content_type!r} is not JSON",
                )
            check = hub.refuse_provider if work.endpoint.startswith("pull") else hub.refuse_operator
            return check(work.partner, peer) or hub.refuse_rate(work.endpoint, work.partner)

    async def _carry_out(self, exchange: Exchange, work: Work, body: bytes) -> web.StreamResponse:
        hub = self._hub
        if work.endpoint == "status":
            work.push = await _work(len(body), lambda: validate.status_push(body))
            if isinstance(work.push, StatusPush):
                hub.note_spelling(work.partner, work.push)
        push = work.push if isinstance(work.push, StatusPush) else None
        with hub.lock:
            work.strike = hub.faults.strike(work.endpoint, work.partner, push)
        if work.strike.before:
            await exchange.wait(work.strike.before)
        if (fault := work.strike.fault) is not None:
            return await self._spoil(exchange, work, body, fault)
        verdict = await _work(len(body), lambda: self._decide(exchange, work, body))
        if verdict is None:
            return self._forget(exchange, work)
        return await self._finish(exchange, work, verdict)

    def _decide(self, exchange: Exchange, work: Work, body: bytes) -> Verdict | None:
        """Carry it out; None if it is too late for that."""
        hub = self._hub
        with hub.lock:
            if exchange.overdue(hub.options.late_at_most):
                return None
            if work.push is not None:
                return hub.push_status(work.partner, work.push)
            if work.endpoint == "data":
                return hub.push_data(work.partner, validate.data_push(body))
            read = by_id if work.endpoint == "pull-by-id" else by_operator
            return Verdict(read(hub, work.partner, body))

    async def _spoil(self, exchange: Exchange, work: Work, body: bytes, fault: Fault) -> web.StreamResponse:
        """Answer as the fault says; apply the request if the fault says so."""
        hub = self._hub
        verdict = None
        if fault.applies:
            verdict = await _work(len(body), lambda: self._decide(exchange, work, body))
            if verdict is None:
                return self._forget(exchange, work)
        applied = verdict.applied if verdict else None
        push = work.push if isinstance(work.push, StatusPush) else None
        replaced = answer_of(fault, push, exchange.request.raw_path, hub.clock())
        if replaced is not None:
            return await self._finish(exchange, work, Verdict(replaced, applied))
        if fault.kind in ("drip", "answered_twice"):
            true = verdict or Verdict(answers.success())
            pause = (fault.seconds or 0.0) if fault.kind == "drip" else None
            return await self._finish(exchange, work, true, pause=pause, twice=fault.kind == "answered_twice")
        if fault.kind == "stale_answer":
            return await self._repeat(exchange, work, body, applied)
        await self._after(exchange, work)
        self._note(exchange, work, None, applied)
        if fault.kind == "late_apply" and push is not None:
            now, limit = hub.clock(), hub.options.late_at_most
            due = None if fault.seconds is None else now + fault.seconds
            until = None if limit is None else now + exchange.time_left(limit)
            self._schedule(Late(due, work.partner, push, work.strike.names, until))
        waits = fault.kind == "hang" or (fault.kind == "late_apply" and fault.connection == "hang")
        return await exchange.hang() if waits else exchange.drop()

    async def _repeat(
        self, exchange: Exchange, work: Work, body: bytes, applied: Applied | None
    ) -> web.StreamResponse:
        """The answer of an earlier request in place of this one's. Without an earlier one: the true answer."""
        if stale := exchange.last_answer():
            answer, process_id = stale
            return await self._finish(exchange, work, Verdict(answer, applied), process_id=process_id)
        verdict = await _work(len(body), lambda: self._decide(exchange, work, body))
        return (
            self._forget(exchange, work) if verdict is None else await self._finish(exchange, work, verdict)
        )

    def _forget(self, exchange: Exchange, work: Work) -> web.StreamResponse:
        """It was given up so long ago that applying it now would be nobody's mistake but ours."""
        self._note(exchange, work, None, None, overdue=True)
        return exchange.drop()

    async def _after(self, exchange: Exchange, work: Work) -> None:
        """Latency after applying, and one turn of the loop in which a parallel request's first byte is
        seen.
        """
        if work.strike.after:
            await exchange.wait(work.strike.after)
        await asyncio.sleep(0)

    async def _finish(
        self,
        exchange: Exchange,
        work: Work,
        verdict: Verdict,
        *,
        pause: float | None = None,
        twice: bool = False,
        process_id: str | None = None,
    ) -> web.StreamResponse:
        await self._after(exchange, work)
        process_id = process_id or new_process_id(verdict.answer)
        self._note(exchange, work, verdict.answer, verdict.applied, process_id)
        return await exchange.send(verdict.answer, process_id, pause=pause, twice=twice)

    def _note(
        self,
        exchange: Exchange,
        work: Work,
        answer: Answer | None,
        applied: Applied | None,
        process_id: str | None = None,
        *,
        overdue: bool = False,
    ) -> None:
        seen = Entry(
            at=self._hub.clock(),
            endpoint=work.endpoint,
            operator=work.partner,
            http_status=answer.status if answer else 0,
            code=answer.code if answer else "",
            process_id=process_id,
            duration=exchange.duration,
            overlapped=work.call is not None and work.call.overlapped,
            faults=(*work.strike.names, OVERDUE) if overdue else work.strike.names,
        )
        self._hub.note(seen, work.push, applied)


def _peer(request: web.BaseRequest) -> Peer | None:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport else None
    if not certificate:
        return None
    subject = dict(pair for part in certificate["subject"] for pair in part)
    return Peer(
        subject.get("commonName", ""),
        ssl.cert_time_to_seconds(certificate["notBefore"]),
        ssl.cert_time_to_seconds(certificate["notAfter"]),
    )


async def _work(size: int, task: Callable[[], T]) -> T:
    return await asyncio.to_thread(task) if size > _IN_THREAD else task()
