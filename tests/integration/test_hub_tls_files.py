"""The operator's certificate files: everything that can be wrong with them, said at the start."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from oicp_adapter.errors import CertificateError
from oicp_adapter.hub import (
    CertificateFacts,
    HubClient,
    HubOptions,
    Notices,
    TlsOptions,
    certificate_facts,
    expiry_warning,
)
from oicp_adapter.hub.credentials import Credentials
from oicp_adapter.hub.tls import build_context
from oicp_adapter.simulator import Certificates, ClientFiles
from tests.fakes.clock import HurriedClock

NOW = HurriedClock().now()
PASSWORD = "open-sesame"


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


def options(files: ClientFiles, **other: Path) -> TlsOptions:
    given: dict[str, Path | None] = {
        "ca_file": files.ca,
        "cert_file": files.certificate,
        "key_file": files.key,
        "key_password_file": files.password,
        **other,
    }
    return TlsOptions(**given)  # type: ignore[arg-type]


def problem(given: TlsOptions, *, now: float = NOW) -> str:
    with pytest.raises(CertificateError) as caught:
        build_context(given, now=now)
    assert caught.value.hint
    assert PASSWORD not in str(caught.value)
    return caught.value.message


def test_good_files_make_a_context_that_verifies(certificates: Certificates, tmp_path: Path) -> None:
    # A context that does not verify hands the operator's fleet to whoever answers.
    context = build_context(options(certificates.write(tmp_path, "DE*ABC")), now=NOW)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_an_encrypted_key_opens_with_its_password_file(certificates: Certificates, tmp_path: Path) -> None:
    # OpenSSL must never ask for it on a terminal that nobody watches.
    build_context(options(certificates.write(tmp_path, "DE*ABC", password=PASSWORD)), now=NOW)


def test_a_password_for_a_key_that_has_none_does_not_matter(
    certificates: Certificates, tmp_path: Path
) -> None:
    # Secrets are mounted the same way everywhere.
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    build_context(options(certificates.write(tmp_path, "DE*ABC"), key_password_file=password), now=NOW)


@pytest.mark.parametrize("which", ["ca_file", "cert_file", "key_file", "key_password_file"])
def test_a_missing_file_is_named(certificates: Certificates, tmp_path: Path, which: str) -> None:
    # "No such file or directory" without the name is an hour of guessing.
    files = certificates.write(tmp_path, "DE*ABC", password=PASSWORD)
    absent = tmp_path / "absent.pem"
    assert f"{absent} cannot be read" in problem(options(files, **{which: absent}))


@pytest.mark.parametrize("which", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x30\x82\x01\x00binary", b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"],
)
def test_a_file_that_is_not_pem_is_named(
    certificates: Certificates, tmp_path: Path, which: str, content: bytes
) -> None:
    # Portals hand out DER and PKCS#12; an empty CA bundle would trust nobody and look like an outage.
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    assert str(broken) in problem(options(certificates.write(tmp_path, "DE*ABC"), **{which: broken}))


def test_a_key_of_another_certificate_is_noticed(certificates: Certificates, tmp_path: Path) -> None:
    # The usual slip at renewal: new certificate, old key.
    assert "does not belong" in problem(options(certificates.write(tmp_path, "DE*ABC", wrong_key=True)))


def test_a_chain_in_the_wrong_order_is_noticed(certificates: Certificates, tmp_path: Path) -> None:
    # OpenSSL presents the first certificate, whatever it is.
    files = certificates.write(tmp_path, "DE*ABC")
    files.certificate.write_bytes(certificates.ca_pem + files.certificate.read_bytes())
    assert "does not belong" in problem(options(files))


@pytest.mark.parametrize("content", ["guess", "", "\n"])
def test_a_wrong_password_is_told_without_printing_it(
    certificates: Certificates, tmp_path: Path, content: str
) -> None:
    # Logs are read by more people than the key.
    files = certificates.write(tmp_path, "DE*ABC", password=PASSWORD)
    wrong = tmp_path / "wrong"
    wrong.write_text(content)
    message = problem(options(files, key_password_file=wrong))
    assert "password" in message
    assert "guess" not in message


def test_an_encrypted_key_without_a_password_file_is_told(certificates: Certificates, tmp_path: Path) -> None:
    # Else the daemon would wait for a terminal.
    files = certificates.write(tmp_path, "DE*ABC", password=PASSWORD)
    given = TlsOptions(ca_file=files.ca, cert_file=files.certificate, key_file=files.key)
    assert "encrypted" in problem(given)


@pytest.mark.parametrize(("flag", "word"), [("expired", "expired on"), ("not_yet_valid", "not valid before")])
def test_a_certificate_outside_its_dates_is_told(
    certificates: Certificates, tmp_path: Path, flag: str, word: str
) -> None:
    # Hubject would answer 401 017, which says three other things as well.
    assert word in problem(options(certificates.write(tmp_path, "DE*ABC", **{flag: True})))  # type: ignore[arg-type]


def test_the_facts_of_a_certificate_are_told(certificates: Certificates, tmp_path: Path) -> None:
    # `status` and `check` show them: whose certificate, from whom, for how long.
    files = certificates.write(tmp_path, "DE*ABC", days=29.5)
    facts = certificate_facts(files.certificate, now=NOW, ca_file=files.ca)
    assert (facts.subject, facts.issuer) == ("CN=DE*ABC", "CN=Simulator CA")
    assert facts.days_left == 29
    assert facts.not_before < NOW < facts.not_after
    expired = certificate_facts(files.certificate, now=facts.not_after + 1)
    assert expired.days_left == -1


def test_a_chain_with_a_hole_is_told(certificates: Certificates, tmp_path: Path) -> None:
    # Hubject's front end then answers "The SSL Certificate Error" and nothing else.
    whole = certificates.write(tmp_path / "whole", "DE*ABC", intermediate=True)
    hole = certificates.write(tmp_path / "hole", "DE*ABC", incomplete_chain=True)
    facts = certificate_facts(whole.certificate, now=NOW, ca_file=whole.ca)
    assert (facts.intermediates, facts.ends_at, facts.strays) == (1, None, 0)
    facts = certificate_facts(whole.certificate, now=NOW)
    assert (facts.intermediates, facts.ends_at, facts.strays) == (1, "CN=Simulator CA", 0)
    facts = certificate_facts(hole.certificate, now=NOW, ca_file=hole.ca)
    assert (facts.intermediates, facts.ends_at, facts.strays) == (0, "CN=Simulator intermediate CA", 0)
    stranger = certificates.write(tmp_path / "other", "DE*XYZ", intermediate=True).certificate
    hole.certificate.write_bytes(hole.certificate.read_bytes() + stranger.read_bytes())
    assert certificate_facts(hole.certificate, now=NOW).strays == 2


@pytest.mark.parametrize(
    ("days", "warning"),
    [(400, None), (31, None), (30, 30), (15, 30), (14, 14), (8, 14), (7, 7), (0, 7), (-3, 7)],
)
def test_warnings_come_thirty_fourteen_and_seven_days_before_the_end(days: int, warning: int | None) -> None:
    # Renewal at Hubject takes days; a certificate that ends on a Sunday takes the fleet with it.
    assert expiry_warning(days) == warning


def test_the_client_refuses_bad_files_at_the_start(certificates: Certificates, tmp_path: Path) -> None:
    # Exit 2 at the start, not an outage at the first push.
    given = HubOptions(
        base_url="https://127.0.0.1:1", tls=options(certificates.write(tmp_path, "X", wrong_key=True))
    )
    with pytest.raises(CertificateError):
        HubClient(given, clock=HurriedClock())


class Told(Notices):
    def __init__(self) -> None:
        self.told: list[str] = []

    def certificate_renewed(self, facts: CertificateFacts) -> None:
        self.told.append("renewed")

    def certificate_kept(self, error: CertificateError) -> None:
        self.told.append("kept")


def test_a_renewed_certificate_that_becomes_valid_later_is_taken_then(
    certificates: Certificates, tmp_path: Path
) -> None:
    # Issued a moment ahead of this machine's clock, and nobody writes the file again.
    files, clock, told = certificates.write(tmp_path, "DE*ABC"), HurriedClock(), Told()
    credentials = Credentials(options(files), clock=clock, notices=told)
    first = credentials.context()
    certificates.write(tmp_path, "DE*ABC", not_yet_valid=True)
    clock.sleep(3600.0)
    assert credentials.context() is first
    clock.sleep(86_400.0)
    second = credentials.context()
    assert second is not first
    assert credentials.context() is second
    assert told.told == ["kept", "renewed"]


def test_rsa_certificates_of_another_maker_are_read(tmp_path: Path) -> None:
    # Hubject issues RSA certificates; the simulator's are elliptic.
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    issued = authority.issue_cert(
        "client.invalid",
        key_type=trustme.KeyType.RSA,
        not_after=datetime.fromtimestamp(NOW, UTC) + timedelta(days=5),
    )
    authority.cert_pem.write_to_path(tmp_path / "ca")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    given = TlsOptions(ca_file=tmp_path / "ca", cert_file=tmp_path / "cert", key_file=tmp_path / "key")
    build_context(given, now=NOW)
    assert certificate_facts(tmp_path / "cert", now=NOW).days_left == 4
