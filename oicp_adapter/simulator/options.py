"""Everything about the simulated Hubject that can be chosen before it starts, with the stern choice as
default.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oicp_adapter.simulator.certificates import Certificates
from oicp_adapter.simulator.clock import Clock
from oicp_adapter.simulator.state import Semantics

DEFAULT_PORT = 9400
"""The port `oicp-adapter simulate` uses."""

CALLS_PER_MINUTE: Mapping[str, int] = {"status": 2000, "data": 375, "pull-by-id": 300, "pull-by-operator": 75}
"""Hubject's acceptable use policy, per operator or provider (docs/oicp-notes.md "Limits")."""


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """How the stand-in is set up. Nothing here is read from a file or the environment."""

    host: str = "127.0.0.1"
    """Loopback only."""
    port: int = 0
    """0 picks a free one; a restarted simulator keeps the port it had."""
    prefix: str = "/api/oicp"
    operators: Mapping[str, Sequence[str]] | Sequence[str] = ()
    """Known OperatorIDs, with the EvseID prefixes of each (a plain list: its own id only). Empty: any
    operator is known, with its own id as prefix.
    """
    providers: Sequence[str] = ()
    """ProviderIDs that may read back. None by default: a plain CPO may not."""
    semantics: Semantics = "strict"
    evse_data: Iterable[str] | None = None
    """EVSEs that have EVSE data; all others are answered with 603. None: not checked."""
    names_ids: bool = True
    """Whether AdditionalInfo of code 022 names the EVSEs at fault."""
    mutual_tls: bool = False
    certificates: Certificates | None = None
    """Authority to use; None makes a new one when the simulator is built."""
    missing_certificate: Literal["tls", "answer"] = "tls"
    """Where a client without certificate is refused: by the TLS layer, or with the 400 page."""
    expired_certificate: Literal["tls", "answer"] = "answer"
    """Where an expired client certificate is refused: by the TLS layer, or with 401 code 017."""
    tls_maximum: Literal["1.2", "1.3"] = "1.3"
    body_limit: int = 100_000_000
    """Bytes on the wire; more is answered with 413 (Hubject's own limit is not documented)."""
    gzip: bool = False
    """Whether a body with `Content-Encoding: gzip` is understood (not documented by Hubject)."""
    calls_per_minute: Mapping[str, int] = field(default_factory=lambda: dict(CALLS_PER_MINUTE))
    """By endpoint; an endpoint left out is not limited."""
    late_at_most: float | None = None
    """Seconds from a request's last byte in which it may still be applied although nobody waits for it any more;
    afterwards it is dropped ("overdue" in the journal). For rigs that rely on assumption A1: starved of processor
    time, a stand-in applies what its client gave up long ago. None: however late.
    """
    seed: int = 0
    """Of the generator behind `Fault.probability`."""
    clock: Clock | None = None
    """Time of windows, journal and late applies. None: real time, and late applies come by themselves."""
    journal_size: int = 100_000
    journal_records: int = 100
    """How many of a request's records the journal keeps."""
