"""What every exception on the way to Hubject comes to."""

from __future__ import annotations

import inspect
import ssl

import httpx
import pytest

from oicp_adapter.hub.failures import failed
from oicp_adapter.oicp.answers import Reaction

REQUEST = httpx.Request("POST", "https://hubject.invalid")
EXCEPTIONS = [
    thing
    for _, thing in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(thing, Exception) and not issubclass(thing, Warning)
]


def made(kind: type[Exception]) -> Exception:
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("boom", request=REQUEST, response=httpx.Response(500))
    return kind("boom") if "message" in inspect.signature(kind).parameters else kind()


def alert(reason: str, *, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] (_ssl.c:2580)")
    error.reason = reason
    return error


def caused(outer: Exception, *causes: Exception) -> Exception:
    """outer from the first from the second ..."""
    current: BaseException = outer
    for cause in causes:
        current.__cause__ = cause
        current = cause
    return outer


def test_httpx_still_has_the_exceptions_these_tests_are_about() -> None:
    # An upgrade that renames them would empty the tests below.
    assert len(EXCEPTIONS) > 20


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_every_httpx_exception_after_the_first_byte_is_in_doubt(kind: type[Exception]) -> None:
    # Taken for "not sent", an applied push is forgotten and Hubject stays wrong for good.
    answer = failed(made(kind), sent=True)
    assert answer.reaction is Reaction.IN_DOUBT
    assert kind.__name__ in answer.text


@pytest.mark.parametrize("kind", [kind for kind in EXCEPTIONS if kind is not httpx.CookieConflict])
def test_every_httpx_exception_before_the_first_byte_means_nothing_was_sent(kind: type[Exception]) -> None:
    # In doubt, each failed connect would cost a minute of waiting.
    answer = failed(made(kind), sent=False)
    permanent = kind in (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
    assert answer.reaction is (Reaction.STOPPED if permanent else Reaction.UNREACHABLE)
    assert answer.hint


@pytest.mark.parametrize("error", [OSError("boom"), ssl.SSLError("boom"), TimeoutError()])
def test_errors_of_the_system_are_mapped_too(error: Exception) -> None:
    # httpx does not wrap all of them.
    assert failed(error, sent=False).reaction is Reaction.UNREACHABLE
    assert failed(error, sent=True).reaction is Reaction.IN_DOUBT


def test_a_mistake_of_ours_after_sending_is_in_doubt_and_named() -> None:
    # The request may have arrived, whatever we stumbled over afterwards.
    answer = failed(ZeroDivisionError("oops"), sent=True)
    assert answer.reaction is Reaction.IN_DOUBT
    assert "ZeroDivisionError: oops" in answer.text


def test_a_mistake_of_ours_before_sending_is_raised() -> None:
    # It must end up in a traceback, not be retried for ever as an outage.
    with pytest.raises(ZeroDivisionError):
        failed(ZeroDivisionError("oops"), sent=False)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize(
    "reason",
    [
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_ACCESS_DENIED",
    ],
)
def test_an_alert_about_our_certificate_stops_the_pushes(reason: str, sent: bool) -> None:
    # With TLS 1.3 it comes after sending and looks like doubt: a minute's wait and no word about the certificate.
    answer = failed(caused(httpx.ReadError("x"), OSError("y"), alert(reason)), sent=sent)
    assert answer.reaction is Reaction.STOPPED
    assert "client certificate" in answer.text
    assert answer.hint


def test_an_alert_on_a_connection_that_has_carried_a_push_is_in_doubt() -> None:
    # Its certificate had been accepted: this request may have been read before the alert.
    error = caused(httpx.ReadError("x"), alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"))
    assert failed(error, sent=True, reused=True).reaction is Reaction.IN_DOUBT
    assert failed(error, sent=False, reused=True).reaction is Reaction.STOPPED


def test_other_tls_trouble_is_not_blamed_on_the_certificate() -> None:
    # A broken record from a middlebox passes; a stop would need a person.
    error = caused(httpx.ReadError("x"), alert("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"))
    assert failed(error, sent=True).reaction is Reaction.IN_DOUBT
    assert failed(error, sent=False).reaction is Reaction.UNREACHABLE


def test_a_refused_server_certificate_is_ours_to_fix_even_without_details() -> None:
    # Python itself raises this one for some host names, without OpenSSL's attributes.
    answer = failed(ssl.SSLCertVerificationError("no match"), sent=False)
    assert answer.reaction is Reaction.STOPPED
    assert "no match" in answer.text


def test_an_exception_that_causes_itself_does_not_hang() -> None:
    # Libraries do build such rings; a worker thread that spins is a dead operator.
    error = httpx.ReadError("x")
    error.__context__ = ValueError("y")
    error.__context__.__context__ = error
    assert failed(error, sent=True).reaction is Reaction.IN_DOUBT


def test_an_empty_message_is_replaced_by_that_of_the_cause() -> None:
    # "ReadError:" alone helps nobody.
    error = caused(httpx.ReadError(""), ConnectionResetError(104, "Connection reset by peer"))
    assert "Connection reset by peer" in failed(error, sent=True).text
