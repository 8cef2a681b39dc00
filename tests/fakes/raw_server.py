"""A server on a loopback socket that does exactly what a test says, byte by byte: what no HTTP library would."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.patience import AT_MOST

Handler = Callable[[socket.socket], None]


class RawServer:
    """Gives each connection to the next handler; the last handler gets all further ones."""

    def __init__(self, *handlers: Handler, context: ssl.SSLContext | None = None, receive_buffer: int = 0):
        self.connections = 0
        self.closed = threading.Semaphore(0)
        """Released once for each connection the server has closed."""
        self._handlers = handlers
        self._context = context
        self._listener = socket.socket()
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def base_url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/api/oicp"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            handler = self._handlers[min(self.connections, len(self._handlers) - 1)]
            self.connections += 1
            connection.settimeout(AT_MOST)
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                handler(connection)
            except OSError:
                pass  # the client went away
            finally:
                connection.close()
                self.closed.release()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; b"" when the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    return head + b"\r\n\r\n" + rest


def answering(*answers: bytes) -> Handler:
    """One answer per request, on one connection, which is then closed."""

    def handle(connection: socket.socket) -> None:
        for answer in answers:
            if read_request(connection):
                connection.sendall(answer)

    return handle


def keeping(answer: bytes) -> Handler:
    """The same answer to every request, for as long as the client stays."""

    def handle(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(answer)

    return handle


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def http(status: int, body: bytes = b"", *, headers: str = "", reason: str = "Whatever") -> bytes:
    """The bytes of an answer. An empty reason is written as Hubject does, with nothing after the space."""
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("iso-8859-1") + body
