"""The operators' TLS files: what they say, whether they will do, and the warnings before they end."""

from __future__ import annotations

from collections.abc import Callable

from oicp_adapter.errors import CertificateError
from oicp_adapter.hub import CertificateFacts, certificate_facts, expiry_warning
from oicp_adapter.hub.handshake import handshake
from oicp_adapter.hub.tls import build_context
from oicp_adapter.settings import Settings
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog
from oicp_adapter.wiring.parts import hub_options, tls_options


class Certificates:
    """Of all operators, by key. The files are read anew each time: they are renewed while the daemon runs."""

    def __init__(self, settings: Settings, *, now: Callable[[], float], log: EventLog) -> None:
        self._settings = settings
        self._now = now
        self._log = log

    def facts(self, key: str) -> CertificateFacts | None:
        """What the client certificate says; None on plain http. Raises CertificateError."""
        tls = tls_options(self._settings, key)
        if tls is None:
            return None
        return certificate_facts(tls.cert_file, now=self._now(), ca_file=tls.ca_file)

    def expires_soon(self, key: str) -> bool:
        """Whether the certificate is due for renewal. Raises CertificateError."""
        facts = self.facts(key)
        return facts is not None and expiry_warning(facts.days_left) is not None

    def verify(self, key: str) -> None:
        """Load the files as a push would. Raises CertificateError."""
        tls = tls_options(self._settings, key)
        if tls is not None:
            build_context(tls, now=self._now())

    def verify_any(self) -> None:
        """Raises the first operator's CertificateError if no operator has files to push with."""
        errors = []
        for key in self._settings.operators:
            try:
                self.verify(key)
            except CertificateError as error:
                errors.append(error)
        if len(errors) == len(self._settings.operators):
            raise errors[0]

    def handshake(self, key: str) -> str:
        """Shake hands with Hubject without a request. Raises HubFailed, CertificateError."""
        return handshake(hub_options(self._settings, key), now=self._now())

    def warn(self, key: str) -> None:
        """Log what is wrong with the files, or that the certificate ends soon."""
        try:
            self.verify(key)
        except CertificateError as error:
            self._log.emit(events.CERTIFICATE_UNUSABLE, operator=key, text=error.message, fix=error.hint)
        else:
            self.warn_of_expiry(key)

    def warn_of_expiry(self, key: str) -> None:
        """Log that the certificate ends soon."""
        try:
            facts = self.facts(key)
        except CertificateError:
            return  # being renewed: the next connection says what is wrong with it
        if facts is not None and expiry_warning(facts.days_left) is not None:
            self._log.emit(
                events.CERTIFICATE_EXPIRES, operator=key, days_left=facts.days_left, subject=facts.subject
            )
