"""A certificate authority of the simulator's own, in memory: server certificate, and client certificates good
and bad.

Keys are made at run time and mean nothing outside a test. The client certificate carries the OperatorID as
common name: that is how the simulator, like Hubject, knows whose messages a connection may carry
(docs/oicp-notes.md "TLS").
"""

import ipaddress
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oicp_adapter.simulator.clock import Clock, system_clock

_DAY = timedelta(days=1)
_SERVER_DAYS = 365
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: lets an expired certificate through, so that it can be answered with
017.
"""


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Where `Certificates.write` put what a client needs."""

    ca: Path
    certificate: Path
    key: Path
    password: Path | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """A context that trusts the CA and shows the certificate: what a test client wants."""
        context = ssl.create_default_context(cafile=str(self.ca))
        password = self.password.read_text().strip() if self.password else None
        context.load_cert_chain(self.certificate, self.key, password)
        return context


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, password: str | None = None) -> bytes:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password.encode())
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )


class Certificates:
    """One authority with one server certificate. Share it between simulators that are to trust the same
    clients.
    """

    def __init__(self, clock: Clock = system_clock) -> None:
        self._now = datetime.fromtimestamp(clock(), UTC)
        self._ca = self._authority("Simulator CA")
        self._other_ca = self._authority("Some other CA")
        self._server = self._issue("localhost", self._ca, self._span(_SERVER_DAYS), server=True)

    @property
    def ca_pem(self) -> bytes:
        """What a client must trust."""
        return self._ca.pem()

    def write(
        self,
        directory: Path | str,
        operator: str,
        *,
        expired: bool = False,
        not_yet_valid: bool = False,
        days: float = 365,
        wrong_ca: bool = False,
        wrong_key: bool = False,
        distrust_server: bool = False,
        intermediate: bool = False,
        incomplete_chain: bool = False,
        password: str | None = None,
    ) -> ClientFiles:
        """Write `ca.pem`, `client.pem`, `client.key` (and `client.password`) for an operator; every flag
        spoils one thing.

        `wrong_ca`: signed by an authority the server does not know. `wrong_key`: the key belongs to no
        certificate. `distrust_server`: `ca.pem` does not vouch for the server. `intermediate`: signed one
        step below the CA; `incomplete_chain` leaves that step out of the file. `days`: until expiry.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        issuer = self._other_ca if wrong_ca else self._ca
        chain = b""
        if intermediate or incomplete_chain:
            issuer = self._authority("Simulator intermediate CA", issuer)
            chain = b"" if incomplete_chain else issuer.pem()
        client = self._issue(operator, issuer, self._client_span(expired, not_yet_valid, days))
        key = _Issued(client.certificate, _new_key()) if wrong_key else client
        files = ClientFiles(
            folder / "ca.pem",
            folder / "client.pem",
            folder / "client.key",
            folder / "client.password" if password is not None else None,
        )
        files.ca.write_bytes(self._other_ca.pem() if distrust_server else self.ca_pem)
        files.certificate.write_bytes(client.pem() + chain)
        _write_secret(files.key, key.key_pem(password))
        if files.password and password is not None:
            _write_secret(files.password, password.encode() + b"\n")
        return files

    def server_context(self, *, required: bool, check_time: bool, maximum: ssl.TLSVersion) -> ssl.SSLContext:
        """Server side TLS ≥ 1.2 that asks for a client certificate and, if `required`, ends the handshake
        without one.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = maximum
        context.load_verify_locations(cadata=self.ca_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if not check_time:
            context.verify_flags |= _NO_CHECK_TIME
        password = secrets.token_urlsafe()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "server.pem"
            path.write_bytes(self._server.key_pem(password) + self._server.pem())
            context.load_cert_chain(path, password=password)
        return context

    def _span(self, days: float) -> tuple[datetime, datetime]:
        return self._now - _DAY, self._now + timedelta(days=days)

    def _client_span(self, expired: bool, not_yet_valid: bool, days: float) -> tuple[datetime, datetime]:
        if expired:
            return self._now - 30 * _DAY, self._now - _DAY
        if not_yet_valid:
            return self._now + _DAY, self._now + 30 * _DAY
        return self._span(days)

    def _authority(self, name: str, parent: _Issued | None = None) -> _Issued:
        return self._issue(name, parent, self._span(10 * _SERVER_DAYS), authority=True)

    def _issue(
        self,
        name: str,
        issuer: _Issued | None,
        span: tuple[datetime, datetime],
        *,
        authority: bool = False,
        server: bool = False,
    ) -> _Issued:
        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer.key if issuer else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(span[0])
            .not_valid_after(span[1])
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        if authority:
            builder = builder.add_extension(_CA_USAGE, critical=True)
        else:
            usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(_SERVER_NAMES), critical=False)
        return _Issued(builder.sign(signer, hashes.SHA256()), key)


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_SERVER_NAMES: list[x509.GeneralName] = [
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
]


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
