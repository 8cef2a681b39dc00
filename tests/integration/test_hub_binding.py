"""An acknowledgement is bound to its request: a server that answers twice, too early, or for another."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.hub import HubClient, HubOptions, Notices, TlsOptions
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest, body
from oicp_adapter.simulator import Certificates
from tests.fakes.clock import HurriedClock
from tests.fakes.raw_server import Handler, RawServer, http, keeping, read_request
from tests.patience import AT_MOST

BIG = 100_000
"""Records: more bytes than the kernels on the way hold."""


def applied(process_id: str, *, headers: str = "") -> bytes:
    content = b'{"Result":true,"StatusCode":{"Code":"000"}}'
    return http(200, content, headers=f"Process-ID: {process_id}\r\n{headers}")


def refused(process_id: str, code: str = "022") -> bytes:
    content = b'{"Result":false,"StatusCode":{"Code":"%b","AdditionalInfo":"DE*ABC*E0"}}' % code.encode()
    return http(200, content, headers=f"Process-ID: {process_id}\r\n")


def request(count: int = 1) -> PushRequest:
    records = [(f"DE*ABC*E{number}", EvseStatus.AVAILABLE) for number in range(count)]
    return PushRequest(action=ActionType.UPDATE, operator_id="DE*ABC", operator_name="ABC", records=records)


class Told(Notices):
    def __init__(self) -> None:
        self.alike: list[str | None] = []

    def process_ids_alike(self, answer: Answer) -> None:
        self.alike.append(answer.process_id)


@contextmanager
def client(base_url: str, *, tls: TlsOptions | None = None, told: Told | None = None) -> Iterator[HubClient]:
    made = HubClient(HubOptions(base_url=base_url, tls=tls, attempts=1), clock=HurriedClock(), notices=told)
    try:
        yield made
    finally:
        made.close()


def each(*answers: bytes) -> Handler:
    """One after the other on one connection, in one piece each; it stays open until the client leaves."""

    def handle(connection: socket.socket) -> None:
        for answer in answers:
            if read_request(connection):
                connection.sendall(answer)
        connection.recv(1)

    return handle


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


def test_an_answer_sent_twice_is_not_taken_for_the_next_push() -> None:
    # Hubject refused the second push, and the ledger said that it holds it: wrong for good.
    with (
        RawServer(each(applied("a") * 2, refused("b")), each(refused("b"))) as server,
        client(server.base_url) as hub,
    ):
        first, second = hub.push(request()), hub.push(request())
        assert server.connections == 2
    assert first.reaction is Reaction.IN_DOUBT
    assert "behind" in first.text
    assert second.reaction is Reaction.REFUSED


@pytest.mark.parametrize("again", ["in the same record", "in a record of its own"])
def test_an_answer_sent_twice_over_tls_is_noticed_too(
    certificates: Certificates, tmp_path: Path, again: str
) -> None:
    # There the rest may lie in the TLS layer, where no look at the socket finds it.
    def twice(connection: socket.socket) -> None:
        read_request(connection)
        answer = applied("a")
        raw = socket.socket(fileno=socket.dup(connection.fileno()))
        with raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # both leave as one segment
            for piece in [answer * 2] if again == "in the same record" else [answer, answer]:
                connection.sendall(piece)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        connection.recv(1)

    files = certificates.write(tmp_path, "DE*ABC")
    tls = TlsOptions(ca_file=files.ca, cert_file=files.certificate, key_file=files.key)
    context = certificates.server_context(required=True, check_time=True, maximum=ssl.TLSVersion.TLSv1_3)
    with RawServer(twice, context=context) as server, client(server.base_url, tls=tls) as hub:
        assert hub.push(request()).reaction is Reaction.IN_DOUBT


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'2b\r\n{"Result":true,"StatusCode":{"Code":"000"}}\r\n0\r\n\r\n'
)


@pytest.mark.parametrize(
    "answer",
    [
        applied("a") + b"\n",
        applied("a", headers="Connection: close\r\n") * 2,
        applied("a") + http(400, b"<html>"),
        CHUNKED * 2,
        refused("a") * 2,
        refused("a", "603") + b"x",
        http(429, headers="Retry-After: 1\r\n") * 2,
    ],
    ids=["one byte", "closing", "another", "chunked", "refusal", "603", "429"],
)
def test_whatever_stands_behind_an_answer_makes_it_doubt(answer: bytes) -> None:
    # A refusal that is another's quarantines an innocent EVSE.
    with RawServer(each(answer)) as server, client(server.base_url) as hub:
        given = hub.push(request())
    assert given.reaction is Reaction.IN_DOUBT
    assert given.named_ids == ()


def test_an_answer_with_an_ordinary_end_counts_however_it_is_framed() -> None:
    # Chunks, and "100 Continue" before it, are no flaw.
    hundred = b"HTTP/1.1 100 Continue\r\n\r\n"
    with RawServer(each(CHUNKED, hundred + applied("a"))) as server, client(server.base_url) as hub:
        assert [hub.push(request()).reaction for _ in range(2)] == [Reaction.APPLIED] * 2
        assert server.connections == 1


def test_bytes_that_come_between_two_pushes_are_nobodys_answer() -> None:
    # The second copy was only slower than the client.
    first_read, again = threading.Event(), threading.Event()

    def slow_twin(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(applied("a"))
        first_read.wait(AT_MOST)
        connection.sendall(applied("a"))
        again.set()
        connection.recv(1)

    with RawServer(slow_twin, each(refused("b"))) as server, client(server.base_url) as hub:
        assert hub.push(request()).reaction is Reaction.APPLIED
        first_read.set()
        assert again.wait(AT_MOST)
        assert hub.push(request()).reaction is Reaction.REFUSED


def test_an_answer_that_waits_before_anything_was_sent_is_nobodys() -> None:
    # A front end that speaks first; taken for an answer, the push counts as applied and was never read.
    def hasty(connection: socket.socket) -> None:
        connection.sendall(applied("a"))
        connection.recv(1)

    with RawServer(hasty) as server, client(server.base_url) as hub:
        assert hub.push(request(BIG)).reaction is Reaction.IN_DOUBT


class Early:
    """Answers after the first 2,000 bytes, then reads on, or not at all."""

    def __init__(self, answer: bytes, *, reads_on: bool) -> None:
        self.answer, self.reads_on = answer, reads_on
        self.received = 0

    def __call__(self, connection: socket.socket) -> None:
        while self.received < 2000:
            self.received += len(connection.recv(2000))
        connection.sendall(self.answer)
        if not self.reads_on:
            connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            self.received += len(data)


@pytest.mark.parametrize("reads_on", [True, False])
@pytest.mark.parametrize(
    ("answer", "reaction"),
    [
        (applied("a"), Reaction.IN_DOUBT),
        (refused("a"), Reaction.IN_DOUBT),
        (http(413, b"<html>"), Reaction.TOO_LARGE),
        (http(429), Reaction.THROTTLED),
        (http(403, b"<html>"), Reaction.STOPPED),
        (http(413, b"<html>") + http(400, b"<html>"), Reaction.TOO_LARGE),
    ],
    ids=["200", "022", "413", "429", "403", "413 and the rest taken for a request"],
)
def test_an_answer_before_the_body_was_read_is_no_answer_to_it(
    answer: bytes, reaction: Reaction, reads_on: bool
) -> None:
    # 200 after 2,000 of 21 MB counted as applied. What a front end says at the head is true of any body.
    early = Early(answer, reads_on=reads_on)
    with RawServer(early) as server, client(server.base_url) as hub:
        assert hub.push(request(BIG)).reaction is reaction
    assert early.received < body(request(BIG)).length  # the rest was not sent any more


def test_nor_is_one_that_comes_while_the_body_lies_in_our_own_kernel() -> None:
    # All was "sent", and the server has seen a fifth of it.
    def from_the_head(connection: socket.socket) -> None:
        connection.recv(64)
        all_written.wait(0.3)  # the client has long handed over everything
        connection.sendall(applied("a"))
        hung_up.wait(AT_MOST)

    all_written, hung_up = threading.Event(), threading.Event()
    with RawServer(from_the_head, receive_buffer=2048) as server, client(server.base_url) as hub:
        answer = hub.push(request(200))
        hung_up.set()
    assert answer.reaction is Reaction.IN_DOUBT
    assert "completely" in answer.text


def test_continue_before_the_body_does_not_stop_it() -> None:
    # Some front ends say so unasked.
    def encouraging(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_request(connection)
        connection.sendall(applied("a"))
        connection.recv(1)

    with RawServer(encouraging) as server, client(server.base_url) as hub:
        assert hub.push(request(BIG)).reaction is Reaction.APPLIED


@pytest.mark.parametrize("stale", [applied("b"), refused("b")], ids=["200", "022"])
def test_a_process_id_that_came_with_the_answer_before_is_doubt(stale: bytes) -> None:
    # A second copy that crosses the next request stands where its answer would stand.
    with (
        RawServer(each(applied("a"), applied("b"), stale), keeping(applied("c"))) as server,
        client(server.base_url) as hub,
    ):
        given = [hub.push(request()).reaction for _ in range(4)]
        assert server.connections == 2
    assert given == [Reaction.APPLIED, Reaction.APPLIED, Reaction.IN_DOUBT, Reaction.APPLIED]


def test_a_peer_that_gives_each_answer_the_same_process_id_is_told_once() -> None:
    # A stand-in or a gateway: without this nothing would ever be acknowledged there.
    told = Told()
    with RawServer(keeping(applied("a"))) as server, client(server.base_url, told=told) as hub:
        assert {hub.push(request()).reaction for _ in range(4)} == {Reaction.APPLIED}
    assert told.alike == ["a"]
