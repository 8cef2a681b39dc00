"""What the client has to tell besides its answers. By default it tells nobody."""

from __future__ import annotations

from oicp_adapter.errors import CertificateError
from oicp_adapter.hub.tls import CertificateFacts
from oicp_adapter.oicp.answers import Answer


class Notices:
    """Override what should be told; called in the middle of a push, so it must not raise."""

    def retried(self, answer: Answer, wait: float) -> None:
        """Another attempt follows after so many seconds."""

    def process_ids_alike(self, answer: Answer) -> None:
        """This peer has given every answer the same Process-ID so far: it says nothing about whose answer it is.
        Told once."""

    def certificate_renewed(self, facts: CertificateFacts) -> None:
        """The TLS files have changed on disk; this push is the first on a connection with the new ones."""

    def certificate_kept(self, error: CertificateError) -> None:
        """The TLS files have changed on disk and will not do; the old ones stay in use. Told once for each change."""
