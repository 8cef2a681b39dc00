"""Mutual TLS against the simulator, in both versions of TLS, and through a proxy."""

from __future__ import annotations

import base64
import selectors
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.errors import CertificateError
from oicp_adapter.hub import CertificateFacts, HubClient, HubOptions, Notices, TlsOptions
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.simulator import Certificates, ClientFiles, Simulator, SimulatorOptions
from tests.fakes.clock import HurriedClock
from tests.fakes.raw_server import RawServer, answering, http, read_request

DAY = 86_400.0
Version = Literal["1.2", "1.3"]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture(params=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> Version:
    made: Version = request.param
    return made


def serving(certificates: Certificates, version: Version, **other: Any) -> Simulator:
    return Simulator(
        SimulatorOptions(
            operators=["DE*ABC"], mutual_tls=True, certificates=certificates, tls_maximum=version, **other
        )
    )


@contextmanager
def client(
    base_url: str,
    files: ClientFiles,
    *,
    clock: HurriedClock | None = None,
    notices: Notices | None = None,
    **options: Any,
) -> Iterator[HubClient]:
    tls = TlsOptions(
        ca_file=files.ca, cert_file=files.certificate, key_file=files.key, key_password_file=files.password
    )
    given = HubOptions(base_url=base_url, tls=tls, **options)
    made = HubClient(given, clock=clock or HurriedClock(), notices=notices)
    try:
        yield made
    finally:
        made.close()


def full_load(count: int = 1) -> PushRequest:
    records = [(f"DE*ABC*E{number}", EvseStatus.AVAILABLE) for number in range(count)]
    return PushRequest(
        action=ActionType.FULL_LOAD, operator_id="DE*ABC", operator_name="ABC", records=records
    )


@pytest.mark.parametrize("spoilt", [{}, {"intermediate": True}, {"password": "open-sesame"}])
def test_a_good_certificate_gets_through(
    certificates: Certificates, version: Version, tmp_path: Path, spoilt: dict[str, Any]
) -> None:
    # The daily business; and httpx's own way of loading certificates silently drops the client's.
    files = certificates.write(tmp_path, "DE*ABC", **spoilt)
    with serving(certificates, version) as simulator, client(simulator.base_url, files) as hub:
        assert hub.push(full_load()).reaction is Reaction.APPLIED


@pytest.mark.parametrize("count", [1, 30_000])
@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ({"wrong_ca": True}, "unknown ca"),
        ({"incomplete_chain": True}, "unknown ca"),
        ({"expired": True}, "certificate expired"),
    ],
)
def test_a_certificate_refused_by_the_tls_layer_stops_the_pushes(
    certificates: Certificates,
    version: Version,
    tmp_path: Path,
    spoilt: dict[str, Any],
    told: str,
    count: int,
) -> None:
    # With TLS 1.3 the refusal comes after the request was sent, and looks like an answer in doubt.
    files = certificates.write(tmp_path, "DE*ABC", **spoilt)
    clock = HurriedClock()
    clock.skipped = -10 * DAY if "expired" in spoilt else 0.0  # it expires while the daemon runs
    with (
        serving(certificates, version, expired_certificate="tls") as simulator,
        client(simulator.base_url, files, clock=clock) as hub,
    ):
        answer = hub.push(full_load(count))
        assert simulator.statuses("DE*ABC") == {}
    assert (answer.reaction, answer.attempts) == (Reaction.STOPPED, 1)
    assert told in answer.text
    assert answer.hint


def test_a_missing_certificate_is_a_certificate_problem(
    certificates: Certificates, version: Version, tmp_path: Path
) -> None:
    # Should a library ever drop the client certificate, the message must say so.
    files = certificates.write(tmp_path, "DE*ABC")
    with serving(certificates, version) as simulator, client(simulator.base_url, files) as hub:
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.load_verify_locations(files.ca)
        hub._credentials._context = bare
        answer = hub.push(full_load())
    assert answer.reaction is Reaction.STOPPED
    assert "client certificate" in answer.text


@pytest.mark.parametrize(
    ("options", "spoilt", "code"),
    [
        ({"expired_certificate": "answer"}, {"expired": True}, "017"),
        ({}, {"operator": "DE*XYZ"}, "017"),
    ],
)
def test_a_certificate_refused_in_an_answer_stops_the_pushes(
    certificates: Certificates, tmp_path: Path, options: dict[str, Any], spoilt: dict[str, Any], code: str
) -> None:
    # Expired on the way, or somebody else's: only a person can cure it.
    files = certificates.write(tmp_path, **{"operator": "DE*ABC", **spoilt})
    clock = HurriedClock()
    clock.skipped = -10 * DAY if "expired" in spoilt else 0.0
    with (
        serving(certificates, "1.3", **options) as simulator,
        client(simulator.base_url, files, clock=clock) as hub,
    ):
        answer = hub.push(full_load())
    assert (answer.reaction, answer.code, answer.http_status) == (Reaction.STOPPED, code, 401)


def test_a_server_the_bundle_does_not_vouch_for_gets_nothing(
    certificates: Certificates, version: Version, tmp_path: Path
) -> None:
    # Whoever answers in Hubject's place must not see the fleet.
    files = certificates.write(tmp_path, "DE*ABC", distrust_server=True)
    with serving(certificates, version) as simulator, client(simulator.base_url, files) as hub:
        answer = hub.push(full_load())
        assert simulator.journal == []
    assert (answer.reaction, answer.duration) == (Reaction.STOPPED, 0.0)
    assert "CA bundle" in answer.hint


@pytest.mark.parametrize(("name", "hint"), [("hubject.invalid", "address"), ("127.0.0.2", "address")])
def test_a_certificate_for_another_host_is_refused(
    certificates: Certificates, tmp_path: Path, name: str, hint: str
) -> None:
    # A trusted CA issues to others too.
    authority = trustme.CA()
    files = certificates.write(tmp_path, "DE*ABC")
    authority.cert_pem.write_to_path(files.ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with RawServer(answering(b""), context=context) as server, client(server.base_url, files) as hub:
        answer = hub.push(full_load())
    assert answer.reaction is Reaction.STOPPED
    assert hint in answer.hint


def test_a_renewed_certificate_is_picked_up_without_a_restart(
    certificates: Certificates, tmp_path: Path
) -> None:
    # Renewal replaces the files; the next probe must use them, and a half-written one must not raise.
    files = certificates.write(tmp_path, "DE*XYZ")
    with serving(certificates, "1.3") as simulator, client(simulator.base_url, files) as hub:
        assert hub.push(full_load()).reaction is Reaction.STOPPED
        files.key.write_bytes(b"half written")
        answer = hub.push(full_load())
        assert (answer.reaction, answer.hint != "") == (Reaction.STOPPED, True)
        certificates.write(tmp_path, "DE*ABC")
        assert hub.push(full_load()).reaction is Reaction.APPLIED


class Told(Notices):
    """What was told about the files, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def certificate_renewed(self, facts: CertificateFacts) -> None:
        self.told.append(f"renewed {facts.subject}, {facts.days_left} days")

    def certificate_kept(self, error: CertificateError) -> None:
        self.told.append(f"kept: {error.message.split()[-1]}")


def test_a_certificate_renewed_while_all_is_well_is_used_at_the_next_push(
    certificates: Certificates, tmp_path: Path
) -> None:
    # Read only after a refusal, it would be taken on the night the old one ends, after an hour off the map.
    files, told = certificates.write(tmp_path, "DE*ABC", days=20.5), Told()
    with serving(certificates, "1.3") as simulator, client(simulator.base_url, files, notices=told) as hub:
        assert hub.push(full_load()).reaction is Reaction.APPLIED
        certificates.write(tmp_path, "DE*ABC", days=300.5)
        assert [hub.push(full_load()).reaction for _ in range(2)] == [Reaction.APPLIED] * 2
        assert told.told == ["renewed CN=DE*ABC, 300 days"]
        certificates.write(tmp_path, "DE*XYZ", days=300.5)  # what is really in use shows by who is let in
        assert hub.push(full_load()).code == "017"


def test_a_renewed_certificate_that_will_not_do_leaves_the_old_one_in_use(
    certificates: Certificates, tmp_path: Path
) -> None:
    # Half a renewal (new certificate, old key) in the night must not end a connection that works.
    files, told = certificates.write(tmp_path, "DE*ABC"), Told()
    with serving(certificates, "1.3") as simulator, client(simulator.base_url, files, notices=told) as hub:
        assert hub.push(full_load()).reaction is Reaction.APPLIED
        certificates.write(tmp_path, "DE*ABC", wrong_key=True)
        assert [hub.push(full_load()).reaction for _ in range(3)] == [Reaction.APPLIED] * 3
        assert told.told == [f"kept: {files.certificate}"]
        files.key.unlink()
        assert hub.push(full_load()).reaction is Reaction.APPLIED
        certificates.write(tmp_path, "DE*ABC", days=300.5)
        assert hub.push(full_load()).reaction is Reaction.APPLIED
    assert told.told[1:] == ["kept: directory", "renewed CN=DE*ABC, 300 days"]


def test_after_a_refusal_the_old_certificate_is_not_kept(certificates: Certificates, tmp_path: Path) -> None:
    # Hubject does not want it any more: what the files say now is what a person has to know.
    files = certificates.write(tmp_path, "DE*XYZ")
    with serving(certificates, "1.3") as simulator, client(simulator.base_url, files) as hub:
        assert hub.push(full_load()).code == "017"
        certificates.write(tmp_path, "DE*XYZ", wrong_key=True)
        assert "does not belong" in hub.push(full_load()).text


def test_plain_http_on_the_other_side_is_not_a_certificate_problem(
    certificates: Certificates, tmp_path: Path
) -> None:
    # A wrong port, or a captive portal: it may pass.
    def plain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(http(400, b"plain"))

    files = certificates.write(tmp_path, "DE*ABC")
    with (
        RawServer(plain) as server,
        client(server.base_url.replace("http:", "https:"), files, attempts=1) as hub,
    ):
        answer = hub.push(full_load())
    assert answer.reaction is Reaction.UNREACHABLE


class Proxy:
    """A CONNECT proxy: answers with `refusal`, or connects through and carries bytes."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.refusal = refusal
        self.heads: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        head = read_request(connection)
        self.heads.append(head.decode())
        if self.refusal:
            connection.sendall(self.refusal)
            return
        host, _, port = self.heads[-1].split()[1].partition(":")
        with socket.create_connection((host, int(port))) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            carry(connection, onward)


def carry(left: socket.socket, right: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(left, selectors.EVENT_READ, right)
        ready.register(right, selectors.EVENT_READ, left)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)


def through(proxy: Proxy, certificates: Certificates, folder: Path) -> Answer:
    files = certificates.write(folder, "DE*ABC")
    with serving(certificates, "1.3") as simulator, RawServer(proxy) as carrier:
        address = f"http://user:hush@127.0.0.1:{carrier.port}"
        with client(simulator.base_url, files, proxy=address, attempts=1) as hub:
            return hub.push(full_load(6_000))


def test_a_push_goes_through_a_proxy(certificates: Certificates, tmp_path: Path) -> None:
    # Most operators' networks let nothing out but through one.
    proxy = Proxy()
    assert through(proxy, certificates, tmp_path).reaction is Reaction.APPLIED
    assert proxy.heads[0].startswith("CONNECT 127.0.0.1:")
    assert base64.b64encode(b"user:hush").decode() in proxy.heads[0]


@pytest.mark.parametrize(
    "refusal", [http(407, b"", reason="Authentication Required"), http(502, b""), b"HTTP/1.1 2"]
)
def test_a_proxy_that_refuses_leaves_no_doubt(
    certificates: Certificates, tmp_path: Path, refusal: bytes
) -> None:
    # Nothing of ours left the proxy; in doubt, every push would wait a minute for nothing.
    answer = through(Proxy(refusal), certificates, tmp_path)
    assert (answer.reaction, answer.duration) == (Reaction.UNREACHABLE, 0.0)
    assert "hush" not in answer.text
