"""The request under way: by when it must be over, what has left of it, what has come back.

The danger: bytes that answer another request acknowledge a status that Hubject does not hold. httpcore reads on in
whatever its buffer holds, and says neither when an answer came nor what is left behind it. So the streams of
`transport` tell every byte here, and an HTTP parser of its own (h11, as in httpcore) sees where the answer begins and
ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import h11
import httpcore

from oicp_adapter.hub.binding import Exchange

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

_HEAD_LIMIT = 100 * 1024
"""Bytes of an answer's head: httpcore's own limit, so that both parsers refuse the same."""


class Wire:
    """One request after the other; httpx's trace hook for each of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begin(float("inf"))

    def begin(self, seconds: float) -> None:
        """Another request, which may take so long."""
        self._total = seconds
        self._end = self._clock.monotonic() + seconds
        self._answer = _Answer()
        self._sent = 0
        self._unheard = 0
        self._complete = False
        self.sent_at: float | None = None
        self.reused = True
        """The connection had already carried a push."""
        self.listen: Callable[[], None] = _nothing
        """Takes in what waits on the connection, if anything does; set by the stream that carries the request."""

    def left(self, timeout: float | None, *, late: type[httpcore.TimeoutException]) -> float:
        """The shorter of `timeout` and what is left. Raises `late` when nothing is left."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise late(f"not done after {self._total:g} s")
        return left if timeout is None else min(timeout, left)

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.reused = False
        # A proxy's CONNECT is not our request.
        elif event == "http11.send_request_headers.started" and info["request"].method == b"POST":
            self.sent_at = self._clock.monotonic()
        elif event == "http11.send_request_body.complete":
            self._complete = self.sent_at is not None
        elif event == "http11.response_closed.started" and self._answer.ended:
            self.listen()

    def went(self, count: int) -> None:
        """So many bytes of the request were handed to the kernel."""
        self._sent += count

    def came(self, data: bytes, *, unheard: int) -> None:
        """Bytes arrived while `unheard` bytes of ours had not been acknowledged by the other side's kernel."""
        begun = self._answer.begun
        self._answer.receive(data)
        if self._answer.begun and not begun:
            self._unheard = unheard

    @property
    def answered(self) -> bool:
        """An answer has begun to arrive."""
        return self._answer.begun

    @property
    def idle(self) -> bool:
        """Nothing is in flight: nothing was sent, or it was answered to the end and nothing else came."""
        exchange = self.exchange()
        over = exchange.complete and self._answer.ended and not exchange.unheard and not exchange.left_over
        return self.sent_at is None or over

    def exchange(self) -> Exchange:
        """What can be said of the request and its answer."""
        return Exchange(
            complete=self._complete,
            sent=self._sent,
            unheard=self._unheard,
            left_over=self._answer.left_over(),
        )

    def seconds(self) -> float:
        """Since the first byte; 0 if none was sent."""
        return 0.0 if self.sent_at is None else self._clock.monotonic() - self.sent_at


class _Answer:
    """Where the answer to one POST begins and ends."""

    def __init__(self) -> None:
        self._parser = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        # The parser has to know the method: answers to others have no body.
        self._parser.send(
            h11.Request(method="POST", target="/", headers=[("Host", "-"), ("Content-Length", "0")])
        )
        self._parser.send(h11.EndOfMessage())
        self.begun = False
        """More than "100 Continue" and the like has come."""
        self.ended = False

    def receive(self, data: bytes) -> None:
        """Raises httpcore.RemoteProtocolError for what is not HTTP."""
        self._parser.receive_data(data)
        try:
            while not self.ended and (event := self._parser.next_event()) is not h11.NEED_DATA:
                self.begun |= isinstance(event, h11.Response)
                self.ended = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error

    def left_over(self) -> int:
        """Bytes behind the end of the answer."""
        return len(self._parser.trailing_data[0]) if self.ended else 0


def _nothing() -> None:
    """No stream carries a request yet."""
