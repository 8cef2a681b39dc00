"""One HTTP exchange on the wire: read the request, answer it, drip, hang or reset.

Danger: when a request stops being open decides what counts as a parallel push, so it is noted here, at the
byte level.
"""

import asyncio
import gzip
import socket
import struct
import uuid
import zlib
from collections import deque
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.traffic import Call, Overlaps

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on with zero seconds: closing sends RST instead of FIN."""


_ESTABLISHED = 1
"""First byte of Linux' TCP_INFO while neither side has closed."""
_LAST_DATA_RECEIVED = 52
"""Where TCP_INFO says how long ago the peer's last data came: four bytes, in ms."""


class BodyTooLarge(Exception):
    """The request is bigger than the limit; it was not read to its end."""


class Connection(RequestHandler):
    """aiohttp's protocol, which also remembers when a request's first byte came and when the peer went."""

    def __init__(self, *args: Any, overlaps: Overlaps, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overlaps = overlaps
        self.clock = self._loop.time
        self.first_byte: float | None = None
        self.call: Call | None = None
        self.answers: deque[tuple[Answer, str]] = deque(maxlen=2)
        """The last ones that had a Process-ID."""
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        if self.first_byte is None:
            self.first_byte = self.clock()
        super().data_received(data)

    def eof_received(self) -> None:
        self._abandon()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._abandon()
        self.lost.set()
        super().connection_lost(exc)

    def begin_call(self, operator: str) -> Call:
        """The request in progress is a status push of this operator."""
        first_byte = self.clock() if self.first_byte is None else self.first_byte
        self.call = self._overlaps.open(operator, first_byte, self.peer_gone)
        return self.call

    def end_request(self) -> None:
        """It is answered; the next byte begins another."""
        if self.call is not None:
            self._overlaps.answered(self.call, self.clock())
            self.call = None
        self.first_byte = None

    def _abandon(self) -> None:
        if self.call is not None:
            self._overlaps.abandoned(self.call)
            self.call = None

    def peer_gone(self) -> bool:
        """Whether the kernel has already seen the peer's FIN or RST, which this loop may not have read yet."""
        raw = self._socket()
        if raw is None:
            return True
        if not hasattr(socket, "TCP_INFO"):
            return False  # not Linux: only what the loop has read counts
        state: bytes = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return state[0] != _ESTABLISHED

    def last_data(self) -> float | None:
        """When the peer's last data came to the kernel, however late this loop read it. None: the socket is closed."""
        raw = self._socket()
        if raw is None:
            return None
        if not hasattr(socket, "TCP_INFO"):
            return self.clock()
        info: bytes = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
        (ago,) = struct.unpack_from("=I", info, _LAST_DATA_RECEIVED)
        return self.clock() - float(ago) / 1000

    def _socket(self) -> Any:
        raw = self.transport.get_extra_info("socket") if self.transport else None
        return None if raw is None or raw.fileno() < 0 else raw


class Server(web.Server):
    """aiohttp's low-level server with our connections."""

    def __init__(self, handler: Any, overlaps: Overlaps) -> None:
        super().__init__(handler)
        self._overlaps = overlaps

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            loop=self._loop,
            overlaps=self._overlaps,
            auto_decompress=False,
            access_log=None,
            lingering_time=5.0,
        )


class Exchange:
    """A request and the ways to end it."""

    def __init__(self, request: web.BaseRequest, stopping: asyncio.Event) -> None:
        if not isinstance(request.protocol, Connection):
            raise TypeError("simulator: the request did not come through its own server")
        self.request = request
        self.connection = request.protocol
        self._stopping = stopping
        self.started = (
            self.connection.clock() if self.connection.first_byte is None else self.connection.first_byte
        )
        self._last_byte: float | None = None

    @property
    def duration(self) -> float:
        """Seconds since the first byte."""
        return self.connection.clock() - self.started

    async def read(self, limit: int, *, gunzip: bool) -> bytes:
        """The body; raises BodyTooLarge as soon as it is known to be."""
        if (self.request.content_length or 0) > limit:
            raise BodyTooLarge
        parts: list[bytes] = []
        size = 0
        async for part in self.request.content.iter_any():
            size += len(part)
            if size > limit:
                raise BodyTooLarge
            parts.append(part)
        self._last_byte = self.connection.last_data()
        body = b"".join(parts)
        if not (gunzip and _is_gzip(self.request)):
            return body
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            return b""  # will be refused as what it is: not JSON

    def time_left(self, limit: float) -> float:
        """Seconds until it is `limit` old, counted from its last byte; none if it was closed before that was seen."""
        return -1.0 if self._last_byte is None else self._last_byte + limit - self.connection.clock()

    def overdue(self, limit: float | None) -> bool:
        """Whether nobody waits for it any more and it is older than that."""
        return limit is not None and self.connection.peer_gone() and self.time_left(limit) < 0

    async def send(
        self, answer: Answer, process_id: str | None, *, pause: float | None = None, twice: bool = False
    ) -> web.StreamResponse:
        """Send an answer whole, or one byte at a time with a pause in between; or twice, in one piece."""
        headers = {"Content-Type": answer.content_type, "Server": "nginx", **answer.headers}
        if process_id:
            headers["Process-ID"] = process_id
            self.connection.answers.append((answer, process_id))
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        response.content_length = len(answer.body)
        if headers.get("Connection") == "close":
            response.force_close()
        if twice:
            self._cork(True)
        await self._write(response, answer, pause=pause)
        if twice and self.request.transport is not None:
            self.request.transport.write(_written(response, answer))
            self._cork(False)
        self.end()
        return response

    def _cork(self, on: bool) -> None:
        """Hold back what is written, so that it arrives as one piece (Linux only)."""
        raw = self.request.transport.get_extra_info("socket") if self.request.transport else None
        if raw is not None and hasattr(socket, "TCP_CORK"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    async def _write(self, response: web.StreamResponse, answer: Answer, *, pause: float | None) -> None:
        await response.prepare(self.request)
        pieces = [answer.body] if pause is None else [answer.body[i : i + 1] for i in range(len(answer.body))]
        for piece in pieces:
            if pause is not None:
                await self.wait(pause)
            if piece:
                await response.write(piece)
        await response.write_eof()

    def last_answer(self) -> tuple[Answer, str] | None:
        """The last one on this connection and its Process-ID; None until two different Process-IDs were given on it:
        before that nobody can tell a stale one."""
        given = self.connection.answers
        return given[-1] if len({process_id for _, process_id in given}) > 1 else None

    async def wait(self, seconds: float) -> None:
        """Latency; cut short when the simulator stops."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def hang(self) -> web.StreamResponse:
        """Say nothing until the client gives up or the simulator stops."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.connection.lost, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        return self.drop()

    def drop(self) -> web.StreamResponse:
        """Reset the connection without an answer."""
        transport = self.request.transport
        if transport is not None:
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        self.end()
        return web.Response()  # aiohttp finds the connection gone and sends nothing

    def end(self) -> None:
        """The request is over; the next byte begins another."""
        self.connection.end_request()


def _written(response: web.StreamResponse, answer: Answer) -> bytes:
    """The bytes of an answer that aiohttp has sent already."""
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


def new_process_id(answer: Answer) -> str | None:
    """Hubject's trace id; a page of the proxy has none."""
    return str(uuid.uuid4()) if answer.from_hub else None


def _is_gzip(request: web.BaseRequest) -> bool:
    return request.headers.get("Content-Encoding", "").lower() == "gzip"
