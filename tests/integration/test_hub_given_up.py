"""A request that is given up is given up by our own kernel, too: what it had not delivered is never delivered.

The line that carries nothing for a while is here a server that does not read: its small buffer is full at once, and the
rest waits in the client's kernel.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.hub import HubClient, HubOptions, TlsOptions
from oicp_adapter.oicp.answers import Reaction
from oicp_adapter.oicp.messages import PushRequest, body
from oicp_adapter.simulator import Certificates, ClientFiles
from tests import leash
from tests.fakes.clock import HurriedClock
from tests.fakes.raw_server import RawServer, http, read_request
from tests.patience import AT_MOST

SHORT = 2.0
"""Seconds until a push is given up."""
PATIENCE = AT_MOST
"""Seconds after which a test fails: nothing here waits that long."""
RECORDS = 200
"""More than the server's buffer takes, less than the client's kernel does: it believes all of it sent."""
BUFFER = 2048
"""Bytes of the server's buffer; the kernel takes twice as much."""
HEAD = 1024
"""Bytes that a request's head does not need: with more, the body has begun to arrive."""
APPLIED = http(200, b'{"Result":true,"StatusCode":{"Code":"000"}}')

Before = Callable[[socket.socket], socket.socket]


def request() -> PushRequest:
    records = [(f"DE*ABC*E{number}", EvseStatus.AVAILABLE) for number in range(RECORDS)]
    return PushRequest(action=ActionType.UPDATE, operator_id="DE*ABC", operator_name="ABC", records=records)


class Deaf:
    """Reads nothing of the request until the client is gone, then all that still comes."""

    def __init__(self, before: Before | None = None) -> None:
        self.before = before
        self.stuck, self.gone, self.over = threading.Event(), threading.Event(), threading.Event()
        self.received = 0

    def __call__(self, connection: socket.socket) -> None:
        if self.before is not None:
            connection = self.before(connection)
        while not self.gone.is_set() and _waiting(connection) < HEAD:
            self.gone.wait(0.005)
        self.stuck.set()
        self.gone.wait(PATIENCE)
        try:
            while data := connection.recv(65536):
                self.received += len(data)
        except ConnectionResetError:
            pass
        finally:
            connection.close()
            self.over.set()

    def nothing_more_came(self) -> bool:
        """The client is gone: read on, and see that the request stays incomplete."""
        self.gone.set()
        assert self.over.wait(PATIENCE)
        return self.received < body(request()).length


def _waiting(connection: socket.socket) -> int:
    """Bytes in the server's buffer, still encrypted where there is TLS."""
    count: int = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))[0]
    return count


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


def server_side(certificates: Certificates) -> ssl.SSLContext:
    return certificates.server_context(required=True, check_time=True, maximum=ssl.TLSVersion.TLSv1_3)


def tls(files: ClientFiles) -> TlsOptions:
    return TlsOptions(ca_file=files.ca, cert_file=files.certificate, key_file=files.key)


def given_up(base_url: str, *, files: ClientFiles | None = None, proxy: str | None = None) -> bool:
    options = HubOptions(base_url=base_url, timeout=SHORT, tls=tls(files) if files else None, proxy=proxy)
    hub = HubClient(options, clock=HurriedClock())
    answer = hub.push(request())
    hub.close()
    return answer.reaction is Reaction.IN_DOUBT


def test_after_a_timeout_nothing_more_of_the_request_arrives() -> None:
    # The line is dead for some seconds; a newer status is acknowledged; then the kernel delivers the old one.
    deaf = Deaf()
    with RawServer(deaf, receive_buffer=BUFFER) as server:
        assert given_up(server.base_url)
        assert deaf.nothing_more_came()


def test_nor_does_it_over_tls(certificates: Certificates, tmp_path: Path) -> None:
    # In service it is always TLS; a goodbye that waits for its turn would be one more byte to deliver.
    deaf = Deaf()
    with RawServer(deaf, context=server_side(certificates), receive_buffer=BUFFER) as server:
        assert given_up(server.base_url, files=certificates.write(tmp_path, "DE*ABC"))
        assert deaf.nothing_more_came()


def test_nor_through_a_proxy_that_stalls(certificates: Certificates, tmp_path: Path) -> None:
    # httpcore does not hand socket options on to the connection to a proxy: it would linger there unnoticed.
    def tunnel(connection: socket.socket) -> socket.socket:
        assert read_request(connection).startswith(b"CONNECT ")
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return server_side(certificates).wrap_socket(connection, server_side=True)

    deaf = Deaf(tunnel)
    with RawServer(deaf, receive_buffer=BUFFER) as proxy:
        files = certificates.write(tmp_path, "DE*ABC")
        address = f"http://127.0.0.1:{proxy.port}"
        assert given_up("https://localhost:9/api/oicp", files=files, proxy=address)
        assert deaf.nothing_more_came()


PUSHING = """
import sys
from pathlib import Path
from oicp_adapter.clock import SystemClock
from oicp_adapter.hub import HubClient, HubOptions, TlsOptions
from tests.integration.test_hub_given_up import request

base_url, *files = sys.argv[1:]
tls = TlsOptions(**dict(zip(("ca_file", "cert_file", "key_file"), map(Path, files)))) if files else None
HubClient(HubOptions(base_url=base_url, tls=tls), clock=SystemClock()).push(request())
"""


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
def test_nor_after_a_kill(certificates: Certificates, tmp_path: Path, with_tls: bool) -> None:
    # Nobody closes anything then: the kernel has to know beforehand.
    deaf = Deaf()
    context = server_side(certificates) if with_tls else None
    files = certificates.write(tmp_path, "DE*ABC")
    paths = [files.ca, files.certificate, files.key] if with_tls else []
    with RawServer(deaf, context=context, receive_buffer=BUFFER) as server:
        command = [sys.executable, "-c", PUSHING, server.base_url, *map(str, paths)]
        with leash.begun(command):
            assert deaf.stuck.wait(PATIENCE)
        assert deaf.nothing_more_came()


def test_a_connection_with_nothing_in_flight_is_closed_politely() -> None:
    # A reset for each end of a working day looks like trouble in Hubject's logs, and in ours when we look for some.
    ends: list[str] = []

    def attentive(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(APPLIED)
        ends.append("closed")  # a reset raises

    with RawServer(attentive) as server:
        hub = HubClient(HubOptions(base_url=server.base_url), clock=HurriedClock())
        assert hub.push(request()).reaction is Reaction.APPLIED
        hub.close()
        assert server.closed.acquire(timeout=PATIENCE)
    assert ends == ["closed"]
