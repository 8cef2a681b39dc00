"""The client against a server that answers byte by byte what the test says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.errors import ConfigurationError
from oicp_adapter.hub import HubClient, HubOptions
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest
from tests.fakes.clock import HurriedClock
from tests.fakes.raw_server import Handler, RawServer, answering, http, keeping, read_request, reset
from tests.patience import AT_MOST, done_within

APPLIED = http(200, b'{"Result":true,"StatusCode":{"Code":"000"}}', headers="Process-ID: p-1\r\n")
INTERNAL = http(500, b'{"StatusCode":{"Code":"001","Description":"Unexpected error"}}', reason="")
SHORT = 0.1
"""Seconds: a total deadline that a test waits out."""


def request(
    action: ActionType = ActionType.UPDATE, *, count: int = 1, status: EvseStatus = EvseStatus.AVAILABLE
) -> PushRequest:
    records = [(f"DE*ABC*E{number}", status) for number in range(count)]
    return PushRequest(action=action, operator_id="DE*ABC", operator_name="ABC", records=records)


@contextmanager
def client(base_url: str, *, clock: HurriedClock | None = None, **options: Any) -> Iterator[HubClient]:
    given = HubOptions(base_url=base_url, **options)
    made = HubClient(given, clock=clock or HurriedClock())
    try:
        yield made
    finally:
        made.close()


def pushed(*handlers: Handler, **options: Any) -> tuple[Answer, int]:
    """The answer to one push, and the number of connections it took."""
    with RawServer(*handlers) as server, client(server.base_url, **options) as hub:
        return hub.push(request()), server.connections


class Hanging:
    """Reads the request, answers with `start`, drips, then waits for the client to close."""

    def __init__(self, start: bytes = b"", *, drip: bytes = b"") -> None:
        self.start, self.drip = start, drip
        self.closed = threading.Event()
        self.dripped = 0

    def __call__(self, connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(self.start)
        pause = threading.Event()
        try:
            for byte in self.drip:
                connection.sendall(bytes([byte]))
                self.dripped += 1
                pause.wait(0.005)
            connection.recv(1)
        finally:
            self.closed.set()


def test_a_request_is_what_hubject_documents() -> None:
    # Chunked bodies, redirects, compression, a changed path: each is refused somewhere on the way.
    seen: list[bytes] = []

    def record(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(APPLIED)

    began = time.monotonic()
    answer, _ = pushed(record)
    took = time.monotonic() - began
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /api/oicp/evsepush/v21/operators/de%2aabc/status-records http/1.1"
    assert "content-type: application/json; charset=utf-8" in lines
    assert f"content-length: {len(body)}" in lines
    assert "accept-encoding: identity" in lines
    assert any(line.startswith("user-agent: oicp-adapter/") for line in lines)
    assert not any(line.startswith("transfer-encoding") for line in lines)
    assert answer.reaction is Reaction.APPLIED
    assert (answer.process_id, answer.http_status, answer.attempts) == ("p-1", 200, 1)
    assert 0 < answer.duration < took


def test_pushes_share_one_connection() -> None:
    # A handshake per push costs eight times the push, and Hubject's load balancer notices.
    with RawServer(keeping(APPLIED)) as server, client(server.base_url) as hub:
        assert {hub.push(request()).reaction for _ in range(5)} == {Reaction.APPLIED}
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer", [INTERNAL, INTERNAL.replace(b"500", b"408"), http(503), http(408), http(200, b"<html>")]
)
def test_after_trouble_the_next_push_takes_a_new_connection(answer: bytes) -> None:
    # The instance behind the old one is on its way out, or still busy with the old request.
    with (
        RawServer(answering(answer, APPLIED), keeping(APPLIED)) as server,
        client(server.base_url, attempts=1) as hub,
    ):
        assert hub.push(request()).reaction is not Reaction.APPLIED
        assert hub.push(request()).reaction is Reaction.APPLIED
        assert server.connections == 2


def test_a_connection_closed_while_idle_is_reopened_before_anything_is_sent() -> None:
    # Servers close idle connections all day; each one in doubt would be a minute's delay.
    with RawServer(answering(APPLIED), keeping(APPLIED)) as server, client(server.base_url) as hub:
        hub.push(request())
        assert server.closed.acquire(timeout=AT_MOST)
        answer = hub.push(request())
        assert (answer.reaction, answer.attempts, server.connections) == (Reaction.APPLIED, 1, 2)


def test_trouble_said_in_a_readable_answer_is_retried() -> None:
    # Instances rotate every few days; one 500 must not delay a status by a cycle.
    answer, connections = pushed(answering(INTERNAL), answering(http(200, b"nonsense", reason="")))
    assert (answer.reaction, answer.attempts, connections) == (Reaction.IN_DOUBT, 2, 2)


def test_a_retried_body_is_sent_whole_again() -> None:
    # An exhausted body is empty the second time; an empty fullLoad deletes the fleet.
    bodies: list[bytes] = []

    def refuse_then_apply(connection: socket.socket) -> None:
        bodies.append(read_request(connection).partition(b"\r\n\r\n")[2])
        connection.sendall(INTERNAL if len(bodies) == 1 else APPLIED)

    with RawServer(refuse_then_apply) as server, client(server.base_url) as hub:
        answer = hub.push(request(ActionType.FULL_LOAD, count=12_000))
    assert (answer.reaction, answer.attempts) == (Reaction.APPLIED, 2)
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 500_000


def test_a_refused_connection_is_retried_and_nothing_was_sent() -> None:
    # A restart of Hubject's front end takes seconds; without doubt there is nothing to wait for.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        clock = HurriedClock()
        with client(f"http://127.0.0.1:{taken.getsockname()[1]}", clock=clock) as hub:
            answer = hub.push(request())
    assert (answer.reaction, answer.attempts, answer.duration) == (Reaction.UNREACHABLE, 4, 0.0)
    assert len(clock.sleeps) == 3


def send_nothing(connection: socket.socket) -> None:
    read_request(connection)


def reset_after_the_first_byte(connection: socket.socket) -> None:
    connection.recv(1)
    reset(connection)


def reset_after_reading(connection: socket.socket) -> None:
    read_request(connection)
    reset(connection)


def reset_within_the_head(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(APPLIED[:20])
    reset(connection)


def end_within_the_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(APPLIED[:-4])


@pytest.mark.parametrize(
    "handler",
    [
        reset_after_the_first_byte,
        send_nothing,
        reset_after_reading,
        reset_within_the_head,
        end_within_the_body,
        answering(b"\x16\x03\x01 no HTTP at all\r\n\r\n"),
        answering(http(200, b"x" * 2_000_000)),
        answering(http(200, b"not gzip", headers="Content-Encoding: gzip\r\n")),
        answering(http(200, b"") + b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_whatever_happens_after_sending_is_in_doubt_and_sent_once(handler: Handler) -> None:
    # Said to be unsent, an applied push is lost; repeated at once, it overtakes itself.
    answer, connections = pushed(handler)
    assert (answer.reaction, answer.attempts, connections) == (Reaction.IN_DOUBT, 1, 1)
    assert answer.text


def test_a_reset_at_once_is_in_doubt_or_was_never_sent() -> None:
    # It crosses the request: only what did not leave may be sent again.
    answer, connections = pushed(reset)
    sent = answer.reaction is Reaction.IN_DOUBT
    assert sent or (answer.reaction is Reaction.UNREACHABLE and answer.duration == 0.0)
    assert answer.attempts == connections <= 4


@pytest.mark.parametrize(
    "handler",
    [
        Hanging(),
        Hanging(drip=b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 2000),
        Hanging(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", drip=b"x" * 2000),
        Hanging(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drip=b"1\r\nx\r\n" * 500),
        Hanging(drip=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["silent", "dripping head", "dripping body", "dripping chunks", "endless continue"],
)
def test_the_total_deadline_holds_and_the_connection_is_closed_with_it(handler: Hanging) -> None:
    # A dripping peer holds the operator's only slot for ever; one left open may be overtaken by the next push.
    with RawServer(handler) as server, client(server.base_url, timeout=SHORT) as hub:
        began = time.monotonic()
        answer = done_within(10 * SHORT, lambda: hub.push(request()), "the push is given up")
        took = time.monotonic() - began
        assert handler.closed.wait(AT_MOST)
    assert answer.reaction is Reaction.IN_DOUBT
    assert took >= SHORT
    assert SHORT / 2 <= answer.duration <= took
    assert handler.dripped < len(handler.drip) or not handler.drip, "it would have gone on"


def test_a_peer_that_stops_reading_is_given_up_at_the_deadline() -> None:
    # A full load into a stuck proxy: part of it may have gone on.
    def stuck(connection: socket.socket) -> None:
        connection.recv(1)
        done.wait(AT_MOST)

    done = threading.Event()
    large = request(ActionType.FULL_LOAD, count=200_000)
    with (
        RawServer(stuck, receive_buffer=4096) as server,
        client(server.base_url, full_load_timeout=SHORT) as hub,
    ):
        try:
            answer = done_within(2.0, lambda: hub.push(large), "the push is given up")
        finally:
            done.set()
    assert answer.reaction is Reaction.IN_DOUBT


def test_a_full_load_has_a_deadline_of_its_own() -> None:
    # Fifty megabytes do not fit into the time of a delta.
    slow = threading.Event()

    def later(connection: socket.socket) -> None:
        read_request(connection)
        slow.wait(2 * SHORT)
        connection.sendall(APPLIED)

    with RawServer(later) as server, client(server.base_url, timeout=SHORT, full_load_timeout=AT_MOST) as hub:
        assert hub.push(request(ActionType.FULL_LOAD)).reaction is Reaction.APPLIED


def test_an_answer_given_before_the_body_was_read_counts() -> None:
    # Front ends answer 413 at the header and close; in doubt, the fullLoad would never be split.
    def too_large(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        connection.sendall(http(413, b"<html>", headers="Connection: close\r\n"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with RawServer(too_large) as server, client(server.base_url) as hub:
        assert hub.push(request(ActionType.FULL_LOAD, count=100_000)).reaction is Reaction.TOO_LARGE


@pytest.mark.parametrize(
    ("status", "reaction"), [(413, Reaction.TOO_LARGE), (429, Reaction.THROTTLED), (200, Reaction.IN_DOUBT)]
)
def test_a_status_that_needs_no_body_counts_without_it(status: int, reaction: Reaction) -> None:
    # A page cut off by a reset does not make "too large" less true.
    def cut(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(http(status, b"<html>cut off")[:-5])

    assert pushed(cut, attempts=1)[0].reaction is reaction


def test_a_long_list_of_named_evses_is_read() -> None:
    # 603 for a fleet without EVSE data names every one; cut off, it would be doubt without end.
    names = ",".join(f"DEABCE{number:020}" for number in range(60_000)).encode()
    body = b'{"Result":false,"StatusCode":{"Code":"603","AdditionalInfo":"missing: %b"}}' % names
    assert len(body) > 1024 * 1024
    with RawServer(answering(http(200, body))) as server, client(server.base_url) as hub:
        answer = hub.push(request(ActionType.INSERT, count=60_000))
    assert answer.reaction is Reaction.REFUSED
    assert len(answer.named_ids) == 60_000


def test_after_a_429_no_other_push_goes_out_before_its_time() -> None:
    # Retry-After is meant for the operator; the next EVSE's push must wait as well.
    clock = HurriedClock()
    throttled = http(429, b"", headers="Retry-After: 300\r\n")
    with RawServer(keeping(throttled)) as server, client(server.base_url, clock=clock) as hub:
        began = time.monotonic()
        assert hub.push(request()).attempts == 1
        second = hub.push(request())
        took = time.monotonic() - began
        assert (second.reaction, second.attempts) == (Reaction.THROTTLED, 0)
        assert 299 - took < (second.retry_after or 0) <= 300
        assert clock.sleeps == []
        clock.sleep(290)
        third = hub.push(request())
        assert (third.reaction, third.attempts) == (Reaction.THROTTLED, 1)


def test_the_rate_window_knows_calls_before_the_start() -> None:
    # A crash loop must not start each time with a full allowance.
    clock = HurriedClock()
    with (
        RawServer(keeping(APPLIED)) as server,
        client(server.base_url, clock=clock, calls_per_minute=2) as hub,
    ):
        began = time.monotonic()
        hub.seed([clock.now(), clock.now()])
        assert hub.push(request()).reaction is Reaction.APPLIED
        took = time.monotonic() - began
    assert 59 - took < sum(clock.sleeps) < 61


def test_asked_to_stop_it_sends_nothing_more() -> None:
    # A push begun during shutdown is in doubt after it.
    with RawServer(keeping(APPLIED)) as server:
        hub = HubClient(HubOptions(base_url=server.base_url), clock=HurriedClock(), stopping=lambda: True)
        answer = hub.push(request())
        hub.close()
        assert (answer.reaction, answer.attempts, server.connections) == (Reaction.UNREACHABLE, 0, 0)


def test_proxy_variables_of_the_environment_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    # They change the address Hubject's allow-list sees, and only on some machines.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert pushed(keeping(APPLIED))[0].reaction is Reaction.APPLIED


def test_a_mistake_while_the_answer_is_read_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever we stumble over afterwards, the request had left.
    def stumble(response: httpx.Response) -> object:
        raise KeyError("surprise")

    monkeypatch.setattr(httpx.Response, "iter_bytes", stumble)
    answer, _ = pushed(keeping(APPLIED))
    assert answer.reaction is Reaction.IN_DOUBT
    assert "KeyError" in answer.text


def test_an_interrupt_closes_the_connection_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ctrl-C must not leave a request open behind the program's back.
    def interrupt(response: httpx.Response) -> object:
        raise KeyboardInterrupt

    handler = Hanging(APPLIED)
    monkeypatch.setattr(httpx.Response, "iter_bytes", interrupt)
    with RawServer(handler) as server, client(server.base_url) as hub:
        with pytest.raises(KeyboardInterrupt):
            hub.push(request())
        assert handler.closed.wait(AT_MOST)


@pytest.mark.parametrize(
    ("base_url", "proxy"),
    [
        ("http://service.hubject.com/api/oicp", None),
        ("http://10.0.0.1/api/oicp", None),
        ("http://localhost.example.com/api/oicp", None),
        ("https://127.0.0.1/api/oicp", None),
        ("ftp://127.0.0.1/api/oicp", None),
        ("127.0.0.1/api/oicp", None),
        ("http://[::1/api/oicp", None),
        ("http://127.0.0.1/api/oicp", "socks5://127.0.0.1:1"),
        ("http://127.0.0.1/api/oicp", "http://user:hush@proxy:port"),
    ],
)
def test_addresses_that_cannot_be_meant_are_refused_at_the_start(base_url: str, proxy: str | None) -> None:
    # Plain http beyond this machine shows the fleet to everyone on the way, and needs no certificate.
    with pytest.raises(ConfigurationError) as caught:
        HubClient(HubOptions(base_url=base_url, proxy=proxy), clock=HurriedClock())
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_plain_http_is_accepted_on_this_machine(host: str) -> None:
    # The simulator and the demo need no certificates.
    HubClient(HubOptions(base_url=f"http://{host}:1"), clock=HurriedClock()).close()


def test_the_password_of_a_proxy_does_not_show() -> None:
    # Options end up in debug logs.
    assert "hush" not in repr(HubOptions(base_url="x", proxy="http://user:hush@proxy:1"))
