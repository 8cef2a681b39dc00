"""What the hub client can be told, with the defaults and why.

The danger: a deadline too short puts pushes in doubt that Hubject was about to answer, one too long blocks the
operator's other changes behind a dead connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsOptions:
    """The files of mutual TLS, all PEM. Verification cannot be switched off."""

    ca_file: Path
    """What Hubject's server certificate is checked against: it is not publicly trusted."""
    cert_file: Path
    """The client certificate, own certificate first, then the chain."""
    key_file: Path
    key_password_file: Path | None = None
    """Its first line is the key's password; None for a key without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubOptions:
    """One operator's way to Hubject. Times are seconds."""

    base_url: str
    tls: TlsOptions | None = None
    """Needed for https; plain http is accepted on loopback only."""
    proxy: str | None = field(default=None, repr=False)
    """http://[user:password@]host:port of a CONNECT proxy. Proxy variables of the environment are ignored:
    they would silently change the address that Hubject's allow-list sees."""
    connect_timeout: float = 5.0
    """For TCP and TLS to be up, each."""
    timeout: float = 30.0
    """From the connect (after name resolution) to the last byte of the answer, for insert, update, delete."""
    full_load_timeout: float = 300.0
    """The same for a fullLoad: a million records are 56 MB."""
    attempts: int = 4
    """Of one push, where repeating is safe. 1 never repeats."""
    retry_total: float = 20.0
    """No wait for another attempt ends later than this after the first began."""
    calls_per_minute: int = 1900
    """Attempts in any 60 s; Hubject allows 2000 and counts by its own clock."""
