"""Pushes to Hubject over one connection; whatever happens becomes an `Answer`.

The danger: a request that is still open when its push returns can be overtaken by the next one. So after
anything but a clean answer the connection is closed before `push` returns. Not for use by two threads at
once: an operator's pushes are sequential (P2).
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import httpx
import msgspec

from oicp_adapter import __version__
from oicp_adapter.core.model import ActionType
from oicp_adapter.core.text import one_line
from oicp_adapter.errors import CertificateError, ConfigurationError
from oicp_adapter.hub.binding import ProcessIds, bound
from oicp_adapter.hub.credentials import Credentials
from oicp_adapter.hub.failures import failed
from oicp_adapter.hub.notices import Notices
from oicp_adapter.hub.options import HubOptions
from oicp_adapter.hub.pacing import Pacer
from oicp_adapter.hub.retry import push_with_retries
from oicp_adapter.hub.transport import transport
from oicp_adapter.hub.wire import Wire
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.endpoints import PUSH_EVSE_STATUS, url
from oicp_adapter.oicp.interpret import interpret
from oicp_adapter.oicp.messages import Body, PushRequest, body

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

_HEADERS = {
    "User-Agent": f"oicp-adapter/{__version__}",
    "Content-Type": "application/json; charset=utf-8",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}
_LIMIT = 1024 * 1024
_LIMIT_PER_RECORD = 64
"""Bytes of an answer: it may name every EVSE of the request."""


class HubClient:
    """The `Hub` port over HTTPS. Times of calls before a restart go to `seed`."""

    def __init__(
        self,
        options: HubOptions,
        *,
        clock: Clock,
        stopping: Callable[[], bool] = lambda: False,
        notices: Notices | None = None,
        files_later: bool = False,
    ) -> None:
        """Raises ConfigurationError for an unusable address, CertificateError for unusable TLS files.

        `files_later`: the TLS files are read by the first push; unusable ones make it STOPPED. Files that are renewed
        later are used from the next push on, if they will do.
        """
        _check_address(options)
        self._options = options
        self._clock = clock
        self._notices = notices or Notices()
        self._pacer = Pacer(options.calls_per_minute, clock=clock, stopping=stopping)
        self._wire = Wire(clock)
        self._process_ids = ProcessIds()
        self._credentials = Credentials(options.tls, clock=clock, notices=self._notices)
        self._context: ssl.SSLContext | None = None if files_later else self._credentials.context()
        """Of the open connection."""
        self._client: httpx.Client | None = None

    def seed(self, call_times: Iterable[float]) -> None:
        """Count calls made before this process started (epoch seconds) into the rate window."""
        self._pacer.seed(call_times)

    def push(self, request: PushRequest) -> Answer:
        """Send one request, repeated where that is safe; see `oicp_adapter.ports.Hub`."""
        held = self._pacer.held()
        if held > self._options.retry_total:
            text = "not sent: Hubject asked to wait after an earlier call"
            return Answer(reaction=Reaction.THROTTLED, text=text, retry_after=held, attempts=0)
        encoded = body(request)
        return push_with_retries(
            lambda: self._attempt(request, encoded),
            options=self._options,
            clock=self._clock,
            may_send=self._pacer.wait,
            on_retry=self._notices.retried,
        )

    def close(self) -> None:
        """Close the connection. A later push opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _attempt(self, request: PushRequest, encoded: Body) -> Answer:
        wire, clean = self._wire, False
        try:
            answer = self._bound(self._exchange(request, encoded))
            clean = _leaves_connection_usable(answer) and wire.idle
        except CertificateError as error:
            answer = Answer(reaction=Reaction.STOPPED, text=error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - what may have been sent must never be lost
            answer = failed(error, sent=wire.sent_at is not None, reused=wire.reused)
        finally:
            if not clean:
                self.close()
        if answer.reaction is Reaction.STOPPED:
            self._credentials.forget()  # they may be renewed before the next probe
        # The last word about every push, whoever said it: Hubject, the operating system, or a certificate.
        return msgspec.structs.replace(answer, duration=wire.seconds(), text=one_line(answer.text))

    def _bound(self, answer: Answer) -> Answer:
        """The answer as far as it is that of this request."""
        if answer.reaction is Reaction.THROTTLED:
            self._pacer.hold(answer.retry_after or 0.0)  # whichever request it answers
        if self._process_ids.news(answer.process_id):
            self._notices.process_ids_alike(answer)
        repeated = self._process_ids.repeated(answer.process_id)
        return bound(answer, self._wire.exchange(), repeated=repeated)

    def _exchange(self, request: PushRequest, encoded: Body) -> Answer:
        """One request and what was answered. Raises whatever goes wrong on the way."""
        options = self._options
        total = options.full_load_timeout if request.action is ActionType.FULL_LOAD else options.timeout
        self._wire.begin(total)
        client = self._connected()
        message = client.build_request(
            "POST",
            url(PUSH_EVSE_STATUS, base_url=options.base_url, partner_id=request.operator_id),
            content=encoded,
            headers={"Content-Length": str(encoded.length)},
            timeout=httpx.Timeout(total, connect=options.connect_timeout),
            extensions={"trace": self._wire},
        )
        response = client.send(message, stream=True)
        try:
            content = _content(response, limit=_LIMIT + _LIMIT_PER_RECORD * len(request.records))
        except Exception:
            if response.status_code not in (413, 429):  # these say all by themselves
                raise
            content = b""
        finally:
            response.close()
        return interpret(
            response.status_code,
            content,
            headers=response.headers,
            now=self._clock.now(),
            records=len(request.records),
        )

    def _connected(self) -> httpx.Client:
        context = self._credentials.context()
        if context is not self._context:
            self.close()
            self._context = context
        if self._client is None:
            carrier = transport(context=context, proxy=self._options.proxy, wire=self._wire)
            self._client = httpx.Client(transport=carrier, headers=_HEADERS, trust_env=False)
        return self._client


def _content(response: httpx.Response, *, limit: int) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > limit:
            raise httpx.ReadError(f"the answer is longer than {limit} bytes")
    return bytes(content)


def _leaves_connection_usable(answer: Answer) -> bool:
    """408 and 5xx come from instances on their way out; after an answer in doubt the request may still
    run."""
    status = answer.http_status or 500
    return status != 408 and status < 500 and answer.reaction is not Reaction.IN_DOUBT


def _check_address(options: HubOptions) -> None:
    try:
        address = httpx.URL(options.base_url)
        proxy = None if options.proxy is None else httpx.URL(options.proxy)
    except httpx.InvalidURL:
        raise ConfigurationError("hubject.base_url or proxy is not a URL") from None
    if address.scheme == "https":
        if options.tls is None:
            raise ConfigurationError(
                "https needs a client certificate",
                hint="set the CA bundle, certificate and key of the operator",
            )
    elif address.scheme != "http" or not _is_loopback(address.host):
        raise ConfigurationError(
            f"hubject.base_url is not https but {address.scheme or 'nothing'} at {address.host or 'nowhere'}",
            hint="plain http is allowed on loopback addresses only",
        )
    if proxy is not None and proxy.scheme != "http":
        raise ConfigurationError("the proxy is not an http:// address", hint="write http://host:port")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
