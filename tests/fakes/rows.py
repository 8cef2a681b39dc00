"""A row of the ledger as most tests begin with it."""

from __future__ import annotations

from typing import Any

import msgspec

from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.records import EvseRow, Presence


def row(name: str, /, **more: Any) -> EvseRow:
    """An EVSE that Hubject shows as Available, which the source says; `more` changes fields."""
    known = EvseRow(
        key=name,
        wire_id=name,
        source_id=name,
        presence=Presence.PRESENT,
        status=EvseStatus.AVAILABLE,
        desired=EvseStatus.AVAILABLE,
    )
    return msgspec.structs.replace(known, **more)
