"""One keep-alive connection whose every operation ends by the deadline, and which resets when it is given up.

The danger: httpx's timeouts are per read and per write; a peer that drips a byte at a time holds a push,
and with it the operator's only slot, for ever. So every read and write gets no more than what is left of
the total. And a socket that is closed normally goes on being delivered by our own kernel: an old status would
arrive after a newer one. So it resets, unless nothing is in flight; also when this process is killed.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from oicp_adapter.hub.wire import Wire

_KEEPALIVE = 50.0
"""Seconds an idle connection is kept: below the minute or so after which servers close one, because a close
that crosses a request leaves the request in doubt."""
_WRITE_SIZE = 16 * 1024
"""Bytes per write, one TLS record: the deadline is looked at in between, and whether an answer has come."""
_READ_SIZE = 64 * 1024
_RESETS = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""Closing, by us or by the kernel of a killed process, drops what was not delivered and sends a reset."""
_ENDS = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
"""Closing delivers what is left and says goodbye."""


def transport(*, context: ssl.SSLContext, proxy: str | None, wire: Wire) -> httpx.HTTPTransport:
    """An httpx transport with a single connection whose every operation ends by the deadline."""
    made = httpx.HTTPTransport(
        verify=context,
        proxy=None if proxy is None else httpx.Proxy(proxy),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE),
    )
    # httpx 0.28 (pinned) has no argument for httpcore's backend; a test with a dripping server guards this
    # line.
    made._pool._network_backend = _Backend(wire)
    return made


class _Backend(httpcore.NetworkBackend):
    def __init__(self, wire: Wire) -> None:
        self._inner = httpcore.SyncBackend()
        self._wire = wire

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._wire.left(timeout, late=httpcore.ConnectTimeout)
        # Not by httpx's own argument: httpcore does not hand it on to the connection to a proxy.
        given = (*(socket_options or ()), _RESETS)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, given), self._wire)


class _Stream(httpcore.NetworkStream):
    """Tells the wire what goes and comes, and listens while it writes: an answer that comes too early is not lost, but
    known as such."""

    def __init__(self, inner: httpcore.NetworkStream, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire
        self._heard = b""
        """Read while writing, not yet handed on."""
        self._failure: httpcore.ReadError | None = None
        """Met while writing, not yet raised."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._wire.left(timeout, late=httpcore.ReadTimeout)
        if self._heard:
            heard, self._heard = self._heard, b""
            return heard
        if self._failure is not None:
            raise self._failure
        data = self._inner.read(max_bytes, left)
        self._tell(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_SIZE):
            left = self._wire.left(timeout, late=httpcore.WriteTimeout)
            self._listen_while_writing()
            piece = bytes(view[start : start + _WRITE_SIZE])
            self._inner.write(piece, left)
            self._wire.went(len(piece))

    def close(self) -> None:
        raw = self._inner.get_extra_info("socket")
        if self._wire.idle and raw.fileno() >= 0:
            raw.setsockopt(*_ENDS)
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._wire.left(timeout, late=httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._wire)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _listen_while_writing(self) -> None:
        """Raises httpcore.WriteError if an answer is there: httpcore then reads it, and the rest is never sent."""
        if self._wire.sent_at is None:
            return  # CONNECT
        self._wire.listen = self._listen
        self._listen()
        if self._wire.answered:
            raise httpcore.WriteError("answered before the request was sent completely")

    def _listen(self) -> None:
        """Take in what is there without waiting. It is read, not only looked for: with TLS the socket also becomes
        readable by what is no answer (session tickets)."""
        if self._failure is not None or not self._inner.get_extra_info("is_readable"):
            return
        try:
            data = self._inner.read(_READ_SIZE, 0.0)
        except httpcore.ReadError as error:
            if not isinstance(error.__cause__, (BlockingIOError, ssl.SSLWantReadError)):
                self._failure = error
            return
        self._heard += data
        self._tell(data)

    def _tell(self, data: bytes) -> None:
        if data and self._wire.sent_at is not None:
            self._wire.came(data, unheard=_unacknowledged(self._inner.get_extra_info("socket")))


def _unacknowledged(raw: socket.socket) -> int:
    """Bytes that the other side's kernel has not acknowledged. Its answer acknowledges all it was given for."""
    try:
        waiting: tuple[int] = struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0  # not Linux: an answer is early if it came before the last write
    return waiting[0]
