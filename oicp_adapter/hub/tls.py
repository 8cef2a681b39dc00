"""The TLS side of Hubject: one SSLContext from the operator's files, and what the certificate says.

The danger: a wrong file that is noticed only by Hubject looks like an outage; so everything that can be
seen in the files is checked when they are loaded. TLS 1.2 at least; verification cannot be switched off.
"""

from __future__ import annotations

import math
import ssl
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from oicp_adapter import open_files
from oicp_adapter.core.text import one_line
from oicp_adapter.errors import CertificateError
from oicp_adapter.hub.options import TlsOptions

_DAY = 86_400.0
_WARN_DAYS = (7, 14, 30)


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a client certificate says. Whether it is the operator's only Hubject decides, by the subject."""

    subject: str
    issuer: str
    not_before: float
    """Epoch seconds."""
    not_after: float
    """Epoch seconds."""
    days_left: int
    """Whole days; negative when expired."""
    intermediates: int
    """Certificates in the file that lead from the operator's own towards a root; they are sent with it."""
    ends_at: str | None
    """The issuer that is neither in the file nor in the CA bundle (where one was given): Hubject has to know it. None
    if the chain goes up to a root that is here."""
    strays: int
    """Certificates in the file that do not belong to its chain."""


def build_context(options: TlsOptions, *, now: float) -> ssl.SSLContext:
    """Load and check all files. Raises CertificateError that names the file and the fix, never a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _certificates(options.ca_file, what="CA bundle")
    leaf = _certificates(options.cert_file, what="client certificate")[0]
    password = _password(options.key_password_file)
    key = _key(options.key_file, password)
    if not _belong_together(key, leaf):
        raise CertificateError(
            f"the key {options.key_file} does not belong to the certificate {options.cert_file}",
            hint="use the key it was requested with; the operator's own certificate comes first in its file",
        )
    _check_dates(leaf, options.cert_file, now)
    try:
        context.load_verify_locations(cafile=str(options.ca_file))
        # The password is always given: without one OpenSSL would ask on the terminal.
        context.load_cert_chain(options.cert_file, options.key_file, password=password or b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CertificateError(
            f"OpenSSL refuses {options.cert_file}, {options.key_file} or {options.ca_file}: {_plain(error)}",
            hint=open_files.ADVICE
            if open_files.ran_out()
            else "check that they are PEM files and that the certificate's key is strong enough",
        ) from None
    return context


def certificate_facts(path: Path, *, now: float, ca_file: Path | None = None) -> CertificateFacts:
    """What the certificate in this PEM file says. Raises CertificateError when it cannot be read."""
    sent = _certificates(path, what="client certificate")
    known = sent + (_certificates(ca_file, what="CA bundle") if ca_file else [])
    leaf, *others = sent
    chain = _chain(leaf, known)
    inside = sum(other in chain for other in others)
    top = chain[-1]
    return CertificateFacts(
        subject=one_line(leaf.subject.rfc4514_string()),
        issuer=one_line(leaf.issuer.rfc4514_string()),
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        days_left=math.floor((leaf.not_valid_after_utc.timestamp() - now) / _DAY),
        intermediates=inside,
        ends_at=None if top.issuer == top.subject else one_line(top.issuer.rfc4514_string()),
        strays=len(others) - inside,
    )


def expiry_warning(days_left: int) -> int | None:
    """The tightest of 7, 14 and 30 days that has been reached; None while there is time."""
    return next((days for days in _WARN_DAYS if days_left <= days), None)


def _chain(leaf: x509.Certificate, known: list[x509.Certificate]) -> list[x509.Certificate]:
    """The certificate, its issuer, that one's issuer and so on, as far as they are known."""
    chain = [leaf]
    while True:
        issuer = next((one for one in known if one not in chain and _issued(chain[-1], by=one)), None)
        if issuer is None:
            return chain
        chain.append(issuer)


def _issued(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    """By name and signature: a CA that was renewed with another key has the same name."""
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificates(path: Path, *, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, what=what))
    except ValueError:
        raise CertificateError(
            f"the {what} {path} contains no certificate in PEM form",
            hint='it should begin with "-----BEGIN CERTIFICATE-----"; convert DER or PKCS#12 with openssl',
        ) from None


def _key(path: Path, password: bytes | None) -> PrivateKeyTypes:
    content = _read(path, what="key")
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:  # it is encrypted
        pass
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(
            f"the key {path} is not a private key in PEM form",
            hint='it should begin with "-----BEGIN PRIVATE KEY-----" or the like',
        ) from None
    if password is None:
        raise CertificateError(f"the key {path} is encrypted", hint="set the key password file")
    try:
        return load_pem_private_key(content, password=password)
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(
            f"the password does not open the key {path}", hint="check the key password file"
        ) from None


def _password(path: Path | None) -> bytes | None:
    if path is None:
        return None
    lines = _read(path, what="key password file").splitlines()
    if not lines or not lines[0]:
        raise CertificateError(
            f"the key password file {path} is empty", hint="put the password on its first line"
        )
    return lines[0]


def _read(path: Path, *, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        few = open_files.too_many(error)
        raise CertificateError(
            f"the {what} {path} cannot be read: {error.strerror}",
            hint=open_files.ADVICE if few else "check the path and that this user may read it",
        ) from None


def _check_dates(leaf: x509.Certificate, path: Path, now: float) -> None:
    first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > last.timestamp():
        raise CertificateError(
            f"the client certificate {path} expired on {last:%Y-%m-%d %H:%M} UTC",
            hint="request a new one from Hubject",
        )
    if now < first.timestamp():
        raise CertificateError(
            f"the client certificate {path} is not valid before {first:%Y-%m-%d %H:%M} UTC",
            hint="check this machine's clock",
        )


def _belong_together(key: PrivateKeyTypes, leaf: x509.Certificate) -> bool:
    try:
        return _spki(key.public_key()) == _spki(leaf.public_key())
    except (ValueError, UnsupportedAlgorithm):  # a kind of key that no client certificate has
        return False


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _plain(error: Exception) -> str:
    """The reason alone: a message of ssl may quote more."""
    return getattr(error, "reason", None) or type(error).__name__
