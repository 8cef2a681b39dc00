"""One keep-alive connection with a total deadline, and the moment the first byte of a push left.

The danger: httpx's timeouts are per read and per write; a peer that drips a byte at a time holds a push,
and with it the operator's only slot, for ever. So every read and write gets no more than what is left of
the total. And whether anything was sent decides between "unreachable" and "in doubt": it is observed, not
guessed from the exception.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

_KEEPALIVE = 50.0
"""Seconds an idle connection is kept: below the minute or so after which servers close one, because a close
that crosses a request leaves the request in doubt."""
_WRITE_SIZE = 16 * 1024
"""Bytes per write, one TLS record: the deadline is looked at in between."""


class Deadline:
    """The moment by which the request under way must be over. One request at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._total = 0.0
        self._end = float("inf")

    def start(self, seconds: float) -> None:
        """Begin a request that may take so long."""
        self._total = seconds
        self._end = self._clock.monotonic() + seconds

    def left(self, timeout: float | None, *, late: type[httpcore.TimeoutException]) -> float:
        """The shorter of `timeout` and what is left. Raises `late` when nothing is left."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise late(f"not done after {self._total:g} s")
        return left if timeout is None else min(timeout, left)


class Wire:
    """httpx's trace hook for one attempt: notes when the request began to leave, and on which connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sent_at: float | None = None
        self.reused = True
        """The connection had already carried a push."""

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.reused = False
        # A proxy's CONNECT is not our request.
        if event == "http11.send_request_headers.started" and info["request"].method == b"POST":
            self.sent_at = self._clock.monotonic()

    def seconds(self) -> float:
        """Since the first byte; 0 if none was sent."""
        return 0.0 if self.sent_at is None else self._clock.monotonic() - self.sent_at


def transport(*, context: ssl.SSLContext, proxy: str | None, deadline: Deadline) -> httpx.HTTPTransport:
    """An httpx transport with a single connection whose every operation ends by the deadline."""
    made = httpx.HTTPTransport(
        verify=context,
        proxy=None if proxy is None else httpx.Proxy(proxy),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE),
    )
    # httpx 0.28 (pinned) has no argument for httpcore's backend; a test with a dripping server guards this
    # line.
    made._pool._network_backend = _Backend(deadline)
    return made


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, late=httpcore.ConnectTimeout)
        stream = self._inner.connect_tcp(host, port, left, local_address, socket_options or ())
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout, late=httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_SIZE):
            left = self._deadline.left(timeout, late=httpcore.WriteTimeout)
            self._inner.write(bytes(view[start : start + _WRITE_SIZE]), left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, late=httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
