"""Every way a push can fail without an answer, as an Answer.

The danger: "nothing was sent" said of a request that may have arrived loses a status for good. So the
exception's class decides nothing about that; only whether the first byte had left does. One exception: a
TLS alert about our certificate. With TLS 1.3 it arrives after the first request of a connection was sent,
from a server that has not read it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

from oicp_adapter import open_files
from oicp_adapter.oicp.answers import Answer, Reaction

_CERTIFICATE_ALERTS = (
    "ALERT_CERTIFICATE",  # required, expired, revoked, unknown
    "ALERT_BAD_CERTIFICATE",
    "ALERT_NO_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_DECRYPT_ERROR",
    "ALERT_HANDSHAKE_FAILURE",  # TLS 1.2: no certificate
)
_OUR_CERTIFICATE = (
    "check the client certificate: issued by Hubject's CA for this environment (qa or prod), complete chain, "
    "not expired"
)
_CLOCK = "compare this machine's clock with the dates of Hubject's server certificate"
_VERIFY_HINTS = {
    9: _CLOCK,  # not yet valid
    10: f"{_CLOCK}; if it has really expired, Hubject must renew it",
    62: "check the host name in hubject.base_url, and for a proxy that intercepts TLS",
    64: "check the address in hubject.base_url, and for a proxy that intercepts TLS",
}
"""By OpenSSL's X509_V_ERR number."""
_OTHER_VERIFY = "check the CA bundle: it must contain the CA that issued Hubject's server certificate"

_UNREACHABLE = "check name resolution, firewall and proxy between this machine and hubject.base_url"
_PERMANENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
"""The request itself cannot be made."""


def failed(error: Exception, *, sent: bool, reused: bool = False) -> Answer:
    """The Answer for an exception of httpx, ssl or the operating system, and after sending for any other.

    `reused`: the connection had carried a push before, so its certificate had been accepted.
    Raises `error` again if nothing was sent and it is none of those: a mistake in this program.
    """
    tls = next((cause for cause in _chain(error) if isinstance(cause, ssl.SSLError)), None)
    if tls is not None and not (sent and reused) and (answer := _certificate_problem(tls)):
        return answer
    text = _described(error)
    if sent:
        return Answer(reaction=Reaction.IN_DOUBT, text=f"no answer: {text}")
    if isinstance(error, _PERMANENT):
        return Answer(
            reaction=Reaction.STOPPED, text=f"cannot be sent: {text}", hint="check hubject.base_url and proxy"
        )
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, OSError)):
        hint = open_files.ADVICE if _for_want_of_files(error) else _UNREACHABLE
        return Answer(reaction=Reaction.UNREACHABLE, text=f"not sent: {text}", hint=hint)
    raise error


def _certificate_problem(error: ssl.SSLError) -> Answer | None:
    # OpenSSL's errors carry these attributes, those raised in Python do not.
    if isinstance(error, ssl.SSLCertVerificationError):
        return Answer(
            reaction=Reaction.STOPPED,
            text=f"Hubject's server certificate is not accepted: {getattr(error, 'verify_message', error)}",
            hint=_VERIFY_HINTS.get(getattr(error, "verify_code", 0), _OTHER_VERIFY),
        )
    reason = getattr(error, "reason", None) or ""
    if any(alert in reason for alert in _CERTIFICATE_ALERTS):
        alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return Answer(
            reaction=Reaction.STOPPED,
            text=f"our client certificate is not accepted: {alert}",
            hint=_OUR_CERTIFICATE,
        )
    return None


def _for_want_of_files(error: Exception) -> bool:
    said = any(isinstance(cause, OSError) and open_files.too_many(cause) for cause in _chain(error))
    return said or open_files.ran_out()  # the lookup of a name does not say why it failed


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what caused it, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _described(error: BaseException) -> str:
    """Class and message; the innermost cause too, where the outer message is empty."""
    message = next((str(cause) for cause in _chain(error) if str(cause)), "")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
