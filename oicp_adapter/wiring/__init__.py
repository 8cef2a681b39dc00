"""The composition root: settings → concrete objects. Only this package names concrete classes."""

from oicp_adapter.sources.header import Header
from oicp_adapter.wiring.parts import base_url, fleet_file, fleet_text, look_into, reading_anew
from oicp_adapter.wiring.root import Wiring, configure_log, daemon_at

__all__ = [
    "Header",
    "Wiring",
    "base_url",
    "configure_log",
    "daemon_at",
    "fleet_file",
    "fleet_text",
    "look_into",
    "reading_anew",
]
