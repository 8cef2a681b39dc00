"""An event loop whose TLS server says why it refused a client.

asyncio drops the connection of a failed handshake before the alert is sent, so a client would see a bare
disconnect where Hubject's servers tell it CERTIFICATE_REQUIRED or UNKNOWN_CA. The alert decides whether the
client knows of a certificate problem or has to think its request in doubt; therefore it is sent, and the
socket lingers so that it is not lost to a reset.
"""

import asyncio
import socket
from asyncio.sslproto import SSLProtocol
from contextlib import suppress
from typing import Any

_LINGER_SECONDS = 0.5


class _TellingProtocol(SSLProtocol):
    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is not None:
            with suppress(OSError):
                _tell(self)
        super()._on_handshake_complete(handshake_exc)


def _tell(protocol: Any) -> None:
    """Send the alert, then FIN, and let go of the socket only later: unread data would turn the close into a
    reset.
    """
    protocol._process_outgoing()
    raw = protocol._transport.get_extra_info("socket")
    kept = socket.socket(fileno=socket.dup(raw.fileno()))
    protocol._loop.linger(kept)
    kept.shutdown(socket.SHUT_WR)


class TellingLoop(asyncio.SelectorEventLoop):
    """The loop the simulator's thread runs."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: set[socket.socket] = set()

    def linger(self, kept: socket.socket) -> None:
        """Close the socket in a while, or with the loop."""
        self._kept.add(kept)
        self.call_later(_LINGER_SECONDS, self._let_go, kept)

    def close(self) -> None:
        """Close what still lingers, too."""
        for kept in list(self._kept):
            self._let_go(kept)
        super().close()

    def _let_go(self, kept: socket.socket) -> None:
        self._kept.discard(kept)
        kept.close()

    def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_ssl_transport(*args, **kwargs)  # type: ignore[misc]
        transport._ssl_protocol.__class__ = _TellingProtocol
        return transport
