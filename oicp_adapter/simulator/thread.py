"""A listening socket and an event loop in a thread of their own; start and stop leave nothing behind."""

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from oicp_adapter.simulator.errors import PortInUse, SimulatorError
from oicp_adapter.simulator.loop import TellingLoop

_START_SECONDS = 10.0

Serve = Callable[[socket.socket, asyncio.Event, Callable[[], None]], Awaitable[None]]
"""Serves on the socket, says when it is ready, and returns once the event is set."""


class ServerThread:
    """Runs `serve` from `start` to `stop`. A second start listens on the port of the first."""

    def __init__(self, host: str, port: int, serve: Serve) -> None:
        self.host = host
        self.port = port
        self._serve = serve
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Listen and serve. Raises PortInUse; nothing happens if it already runs."""
        if self._thread is not None:
            return
        listener = self._listen()
        ready = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready, failure), name="oicp-simulator", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START_SECONDS) or failure:
            self.stop()
            raise SimulatorError("simulator: the server did not start") from (failure[0] if failure else None)

    def stop(self) -> None:
        """End the thread and wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(RuntimeError):  # the loop is already closed
                self._stop()
            thread.join()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self.host, self.port) from error
            raise SimulatorError(f"simulator: cannot listen on {self.host}: {error.strerror}") from error
        self.port = listener.getsockname()[1]
        return listener

    def _run(self, listener: socket.socket, ready: threading.Event, failure: list[BaseException]) -> None:
        async def main() -> None:
            stopping = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(stopping.set)
            await self._serve(listener, stopping, ready.set)

        try:
            with asyncio.Runner(loop_factory=TellingLoop) as runner:
                runner.run(main())
        except Exception as error:  # noqa: BLE001 - handed to the thread that started us
            failure.append(error)
            listener.close()
            ready.set()
