"""The operator's choices that steer the mapping, as the core wants them: no defaults that guess a fleet."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from oicp_adapter.core.ids import Prefix
from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.vocabulary import Target


class MappingRules(msgspec.Struct, frozen=True, kw_only=True):
    """How one operator's source is mapped. Durations in seconds."""

    vocabulary: str
    """Of records that name none."""
    prefixes: tuple[Prefix, ...]
    """EvseID prefixes of the operator; an EVSE outside of them is rejected."""
    overrides: Mapping[str, Target] = {}
    """Source value → target, in every vocabulary, instead of the table's row. "": a record without status."""
    reserved: EvseStatus = EvseStatus.OCCUPIED
    """What "reserved" is published as."""
    evse_id_template: str | None = None
    """For records without EvseID: "DE*ABC*E{station_id}*{connector_id}"."""
    heartbeat_interval: float = 900.0
    missed_heartbeats: int = 3
    """A charger without a sign of life for longer than so many intervals is offline."""
    offline_out_of_service_after: float | None = None
    """After this long without a sign of life OutOfService instead of Unknown. None: never."""
    stale_after: float | None = None
    """Only for a source that restamps every record: an older `updated_at` makes it Unknown. None: never."""
