"""Wire messages (OICP 2.3 eRoamingPushEvseStatus): exactly the documented members, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from oicp_adapter.core.model import ActionType, EvseStatus


class PushRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One PushEvseStatus request, before encoding. `records` are (EvseID, EvseStatus) in wire order."""

    action: ActionType
    operator_id: str
    operator_name: str
    records: Sequence[tuple[str, EvseStatus]]
