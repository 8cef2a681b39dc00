"""A TLS handshake with Hubject and nothing more: Hubject forbids calls made only to see whether it is alive.

With TLS 1.3 a server refuses a client certificate only after the handshake, so it is given a moment to say so.
"""

from __future__ import annotations

import base64
import http.client
import socket
from urllib.parse import unquote, urlsplit

from oicp_adapter.errors import HubFailed
from oicp_adapter.hub.failures import failed
from oicp_adapter.hub.options import HubOptions
from oicp_adapter.hub.tls import build_context

ALERT_WITHIN = 0.5
"""Seconds a server has to refuse our certificate after the handshake."""


def handshake(options: HubOptions, *, now: float) -> str:
    """Connect and shake hands, send no request; returns what was agreed.

    Raises HubFailed with the fix; CertificateError for unusable files.
    """
    address = urlsplit(options.base_url)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    if options.tls is None:
        connection = http.client.HTTPConnection(host, port, timeout=options.connect_timeout)
    else:
        connection = _through(options, host, port, now=now)
    try:
        connection.connect()
        agreed = _listened(connection.sock)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError):
            answer = failed(error, sent=False)
            raise HubFailed(f"{host}:{port}: {answer.text}", hint=answer.hint) from None
        raise HubFailed(
            f"{host}:{port}: the proxy refuses: {type(error).__name__}", hint="check hubject.proxy"
        ) from None
    finally:
        connection.close()
    return f"{agreed} with {host}:{port}"


def _through(options: HubOptions, host: str, port: int, *, now: float) -> http.client.HTTPSConnection:
    assert options.tls is not None
    context = build_context(options.tls, now=now)
    if options.proxy is None:
        return http.client.HTTPSConnection(host, port, timeout=options.connect_timeout, context=context)
    proxy = urlsplit(options.proxy)
    connection = http.client.HTTPSConnection(
        proxy.hostname or "", proxy.port or 80, timeout=options.connect_timeout, context=context
    )
    headers = {}
    if proxy.username is not None:
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(secret).decode()
    connection.set_tunnel(host, port, headers)
    return connection


def _listened(sock: socket.socket) -> str:
    """Wait for a refusal that comes after the handshake. Raises OSError if one comes."""
    version = getattr(sock, "version", None)
    sock.settimeout(ALERT_WITHIN)
    try:
        if not sock.recv(1):
            raise ConnectionResetError("closed by the server right after the handshake")
    except TimeoutError:
        pass  # silence is consent
    return str(version()) if version is not None else "plain http"
