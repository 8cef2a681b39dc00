"""Hubject's addresses as data: what is called where, in which version, how often it may be called.

The danger: a wrong path is answered with "OICP service not found", and prod taken for qa publishes a test
fleet to drivers. Source: OICP 2.3 CPO and EMP interface descriptions; limits from Hubject's acceptable use
policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One OICP operation."""

    name: str
    """As Hubject's documents call it."""
    path: str
    """Below the base URL; `{partner_id}` is the OperatorID or ProviderID, percent-encoded."""
    calls_per_minute: int
    """Hubject's published limit; above it the answer is 429."""


PUSH_EVSE_STATUS = Endpoint(
    name="PushEVSEStatus",
    path="evsepush/v21/operators/{partner_id}/status-records",
    calls_per_minute=2000,
)
PUSH_EVSE_DATA = Endpoint(
    name="PushEVSEData",
    path="evsepush/v23/operators/{partner_id}/data-records",
    calls_per_minute=375,
)
PULL_EVSE_STATUS_BY_ID = Endpoint(
    name="PullEVSEStatusByID",
    path="evsepull/v21/providers/{partner_id}/status-records-by-id",
    calls_per_minute=300,
)
PULL_EVSE_STATUS_BY_OPERATOR_ID = Endpoint(
    name="PullEVSEStatusByOperatorID",
    path="evsepull/v21/providers/{partner_id}/status-records-by-operator-id",
    calls_per_minute=75,
)

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "qa": "https://service-qa.hubject.com/api/oicp",
        "prod": "https://service.hubject.com/api/oicp",
    }
)
"""By environment. qa is the default; prod is used only when it is set explicitly."""


def url(endpoint: Endpoint, *, base_url: str, partner_id: str) -> str:
    """The full address. `*` and `+` of an id are percent-encoded, as Hubject wants them in a path."""
    return f"{base_url.rstrip('/')}/{endpoint.path.format(partner_id=quote(partner_id, safe=''))}"
