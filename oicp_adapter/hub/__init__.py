"""The way to Hubject: HTTPS with mutual TLS, retries where they are safe, pacing."""

from oicp_adapter.hub.client import HubClient
from oicp_adapter.hub.notices import Notices
from oicp_adapter.hub.options import HubOptions, TlsOptions
from oicp_adapter.hub.tls import CertificateFacts, certificate_facts, expiry_warning

__all__ = [
    "CertificateFacts",
    "HubClient",
    "HubOptions",
    "Notices",
    "TlsOptions",
    "certificate_facts",
    "expiry_warning",
]
