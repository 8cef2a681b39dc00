"""The simulator over mutual TLS: whose certificate lets which client in, and how the others are told."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from oicp_adapter.simulator import Certificates, Simulator, SimulatorOptions
from tests.patience import AT_MOST, wait_until

OPERATOR = "DE*SLB"
PATH = "/evsepush/v21/operators/DE%2ASLB/status-records"
MESSAGE = {
    "ActionType": "fullLoad",
    "OperatorEvseStatus": {
        "OperatorID": OPERATOR,
        "EvseStatusRecord": [{"EvseID": "DE*SLB*E1", "EvseStatus": "Available"}],
    },
}
Maximum = Literal["1.2", "1.3"]


@pytest.fixture(scope="module")
def authority() -> Certificates:
    return Certificates()


def serve(authority: Certificates, **options: Any) -> Simulator:
    return Simulator(SimulatorOptions(mutual_tls=True, certificates=authority, **options))


def push(sim: Simulator, context: ssl.SSLContext) -> httpx.Response:
    with httpx.Client(verify=context) as http:
        return http.post(sim.base_url + PATH, json=MESSAGE)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def without_certificate(authority: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.ca_pem.decode())


@pytest.mark.parametrize("maximum", ["1.2", "1.3"])
@pytest.mark.parametrize("how", [{}, {"password": "secret"}, {"intermediate": True}])
def test_the_operators_own_certificate_is_let_in(
    authority: Certificates, tmp_path: Path, how: dict[str, Any], maximum: Maximum
) -> None:
    # Plain, with an encrypted key, and with an intermediate CA in the file.
    files = authority.write(tmp_path, OPERATOR, **how)
    with serve(authority, tls_maximum=maximum) as sim:
        assert push(sim, files.ssl_context()).json()["Result"] is True
        assert sim.statuses(OPERATOR) == {"DE*SLB*E1": "Available"}


@pytest.mark.parametrize("how", [{"operator": "DE*ABC"}, {"expired": True}, {"not_yet_valid": True}])
def test_a_certificate_that_is_not_the_operators_answers_017(
    authority: Certificates, tmp_path: Path, how: dict[str, Any]
) -> None:
    # Somebody else's, expired, or not valid yet.
    files = authority.write(tmp_path, how.pop("operator", OPERATOR), **how)
    with serve(authority) as sim:
        answer = push(sim, files.ssl_context())
        assert (answer.status_code, answer.json()["StatusCode"]["Code"]) == (401, "017")
        assert sim.everything() == {}


def test_an_expired_certificate_can_be_refused_by_the_tls_layer(
    authority: Certificates, tmp_path: Path
) -> None:
    # The other place where expiry shows.
    files = authority.write(tmp_path, OPERATOR, expired=True)
    wanted = pytest.raises(httpx.ReadError, match=r"(?i)certificate expired")
    with serve(authority, expired_certificate="tls") as sim, wanted:
        push(sim, files.ssl_context())


@pytest.mark.parametrize(
    ("maximum", "error"), [("1.2", httpx.ConnectError), ("1.3", httpx.ReadError)]
)  # TLS 1.3 tells the client only after it sent its request
@pytest.mark.parametrize("how", [{"wrong_ca": True}, {"incomplete_chain": True}])
def test_a_chain_that_leads_nowhere_gets_an_alert(
    authority: Certificates, tmp_path: Path, how: dict[str, Any], maximum: Maximum, error: type[Exception]
) -> None:
    # The alert is how a client knows of a certificate problem and not of a request in doubt.
    files = authority.write(tmp_path, OPERATOR, **how)
    with serve(authority, tls_maximum=maximum) as sim:
        for _ in range(5):
            with pytest.raises(error, match=r"(?i)unknown ca") as caught:
                push(sim, files.ssl_context())
            assert any(isinstance(one, ssl.SSLError) for one in causes(caught.value))
        assert sim.journal == []


@pytest.mark.parametrize(
    ("maximum", "error", "text"),
    [
        ("1.2", httpx.ConnectError, "handshake failure"),
        ("1.3", httpx.ReadError, "certificate required"),
    ],
)
def test_a_missing_certificate_gets_an_alert(
    authority: Certificates, maximum: Maximum, error: type[Exception], text: str
) -> None:
    # The commonest mistake of a first set-up.
    with serve(authority, tls_maximum=maximum) as sim, pytest.raises(error, match=rf"(?i){text}"):
        push(sim, without_certificate(authority))


def test_a_missing_certificate_can_be_answered_with_a_page(authority: Certificates) -> None:
    # Hubject's front end answers in HTML, without Process-ID.
    with serve(authority, missing_certificate="answer") as sim:
        answer = push(sim, without_certificate(authority))
        assert (answer.status_code, "Process-ID" in answer.headers) == (400, False)
        assert "The SSL Certificate Error" in answer.text


def test_a_client_that_does_not_trust_the_server_does_not_talk_to_it(
    authority: Certificates, tmp_path: Path
) -> None:
    # Verification cannot be switched off: a wrong CA bundle must stop everything.
    files = authority.write(tmp_path, OPERATOR, distrust_server=True)
    with serve(authority) as sim, pytest.raises(httpx.ConnectError, match=r"(?i)verify failed"):
        push(sim, files.ssl_context())


def test_a_key_of_another_certificate_does_not_load(authority: Certificates, tmp_path: Path) -> None:
    # What the adapter's own check has to find at start.
    files = authority.write(tmp_path, OPERATOR, wrong_key=True)
    with pytest.raises(ssl.SSLError, match=r"(?i)mismatch"):
        files.ssl_context()


def test_tls_below_1_2_is_not_spoken(authority: Certificates) -> None:
    # docs/oicp-notes.md "TLS": TLS 1.2 or newer.
    context = authority.server_context(required=True, check_time=True, maximum=ssl.TLSVersion.TLSv1_3)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_reset_over_tls_is_a_reset(authority: Certificates, tmp_path: Path) -> None:
    # Faults must reach the wire through TLS as well.
    files = authority.write(tmp_path, OPERATOR)
    with serve(authority) as sim, httpx.Client(verify=files.ssl_context(), timeout=AT_MOST) as http:
        for fault in ("drop_after_apply", "hang", "garbage_empty"):
            added = http.post(f"{sim.origin}/_sim/faults", json={"kind": fault, "count": 1})
            assert added.status_code == 200
        with pytest.raises(
            (httpx.ReadError, httpx.RemoteProtocolError)
        ):  # Python's ssl reads a reset as an end
            http.post(sim.base_url + PATH, json=MESSAGE)
        assert sim.journal[-1].applied
        with pytest.raises(httpx.ReadTimeout):
            http.post(sim.base_url + PATH, json=MESSAGE, timeout=httpx.Timeout(AT_MOST, read=0.2))
        wait_until(lambda: sim.faults.hits["hang", "fullLoad"], "it has been read")
        assert http.post(sim.base_url + PATH, json=MESSAGE).content == b""
        assert not sim.rules_broken
