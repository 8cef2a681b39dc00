"""The operator's TLS files as they are now: renewed ones are used from the next push on, unusable ones are not.

The danger: a renewal that is noticed only at a restart takes the fleet off the map when the old certificate ends; and
one that is half written, or has another's key, must not take the place of one that works.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from oicp_adapter.errors import CertificateError
from oicp_adapter.hub.notices import Notices
from oicp_adapter.hub.options import TlsOptions
from oicp_adapter.hub.tls import CertificateFacts, build_context, certificate_facts

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

_AGAIN = 60.0
"""Seconds after which unusable files are tried again though nobody touched them: some become valid with time."""

_Stamp: TypeAlias = tuple[tuple[int, ...] | None, ...]


class Credentials:
    """What to connect with. Without files (plain http): a context that trusts nobody."""

    def __init__(self, options: TlsOptions | None, *, clock: Clock, notices: Notices) -> None:
        self._options = options
        self._clock = clock
        self._notices = notices
        self._context: ssl.SSLContext | None = None
        self._stamp: _Stamp = ()
        """Of the files that were tried last."""
        self._again_at: float | None = None
        """Monotonic; None while those are the ones in use."""

    def context(self) -> ssl.SSLContext:
        """The same object as long as the files are. Raises CertificateError if no usable ones were ever found, or not
        since `forget`."""
        stamp = _stamp(self._options)
        if self._context is None or stamp != self._stamp or self._due():
            self._try(stamp)
        assert self._context is not None, "what cannot be loaded raises if there is nothing to keep"
        return self._context

    def forget(self) -> None:
        """Hubject refused us: do not go on with these, whatever the files say by then."""
        self._context = None

    def _due(self) -> bool:
        return self._again_at is not None and self._clock.monotonic() >= self._again_at

    def _try(self, stamp: _Stamp) -> None:
        before, self._stamp = self._stamp, stamp
        try:
            fresh, facts = self._load()
        except CertificateError as error:
            if self._context is None:
                raise
            self._again_at = self._clock.monotonic() + _AGAIN
            if stamp != before:
                self._notices.certificate_kept(error)
            return
        renewed = before not in ((), stamp) or self._again_at is not None
        self._context, self._again_at = fresh, None
        if renewed and facts is not None:
            self._notices.certificate_renewed(facts)

    def _load(self) -> tuple[ssl.SSLContext, CertificateFacts | None]:
        if self._options is None:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None
        now = self._clock.now()
        return build_context(self._options, now=now), certificate_facts(self._options.cert_file, now=now)


def _stamp(options: TlsOptions | None) -> _Stamp:
    """Differs when a file was written or replaced, also behind a symbolic link."""
    if options is None:
        return ()
    files = (options.ca_file, options.cert_file, options.key_file, options.key_password_file)
    return tuple(_identity(file) for file in files if file is not None)


def _identity(file: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
