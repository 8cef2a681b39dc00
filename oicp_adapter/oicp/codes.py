"""OICP status codes as data: what each means for a status push, and what a person can do about it.

The danger: a permanent refusal taken for a passing one hammers Hubject, a passing one taken for permanent
stops the fleet. Source: OICP 2.3 eRoamingStatusCode, and answers seen in the field (docs/oicp-notes.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from oicp_adapter.oicp.answers import Reaction


class Meaning(msgspec.Struct, frozen=True):
    """What an answer comes to, in our own words. `hint` is set where a person must act."""

    reaction: Reaction
    text: str
    hint: str = ""


SUCCESS = "000"
NO_EVSE_DATA = "603"
DUPLICATE_IDS = "018"
DATA_ERROR = "022"
"""Also the answer to an insert of what exists and an update of what does not."""

_CERTIFICATE_HINT = (
    "compare the operator's id in the configuration with the client certificate, renew the certificate if it "
    "has expired; if both are right, give Hubject support the Process-ID"
)

CODES: Mapping[str, Meaning] = MappingProxyType(
    {
        SUCCESS: Meaning(Reaction.APPLIED, "applied"),
        "001": Meaning(Reaction.TRANSIENT, "Hubject system error"),
        "002": Meaning(Reaction.TRANSIENT, "Hubject database error"),
        "009": Meaning(Reaction.TRANSIENT, "Hubject could not complete the transaction"),
        "017": Meaning(
            Reaction.STOPPED,
            "the OperatorID does not belong to the client certificate, or the certificate has expired",
            _CERTIFICATE_HINT,
        ),
        DUPLICATE_IDS: Meaning(
            Reaction.REFUSED,
            "an EvseID occurs twice, or lies outside the operator's EvseID prefixes",
            "correct the id, or have Hubject register its prefix for the operator",
        ),
        "021": Meaning(Reaction.TRANSIENT, "Hubject system error"),
        DATA_ERROR: Meaning(Reaction.REFUSED, "a record is invalid, or the action does not fit what is held"),
        "210": Meaning(
            Reaction.STOPPED,
            "no active subscription for this service",
            "ask Hubject to activate the EVSE status service for this operator in this environment",
        ),
        "300": Meaning(
            Reaction.STOPPED,
            "Hubject does not know this operator",
            "check the operator's id, and that it is registered in this environment (qa or prod)",
        ),
        "310": Meaning(Reaction.TRANSIENT, "a service behind Hubject did not respond"),
        "320": Meaning(Reaction.TRANSIENT, "a service behind Hubject is not available"),
        NO_EVSE_DATA: Meaning(
            Reaction.REFUSED,
            "Hubject has no EVSE data for some of these EVSEs",
            "upload the EVSE data (PushEVSEData) of the named EVSEs",
        ),
    }
)
"""By code. Any other code is a refusal (nothing applied) that no table knows."""

WRONG_PATH = Meaning(
    Reaction.STOPPED,
    "Hubject has no such service",
    "check hubject.base_url: it ends with /api/oicp, without a version",
)
"""Code 001 with `WRONG_PATH_MARK`: unlike other 001 it does not pass."""
WRONG_PATH_MARK = "oicp service not found"

BY_STATUS: Mapping[int, Meaning] = MappingProxyType(
    {
        400: Meaning(
            Reaction.STOPPED,
            "the TLS front end refuses us",
            "check the client certificate: issued by Hubject's CA, complete chain, not expired",
        ),
        401: Meaning(Reaction.STOPPED, "not authorised", _CERTIFICATE_HINT),
        403: Meaning(
            Reaction.STOPPED,
            "this machine's address is not on Hubject's allow-list",
            "ask Hubject to allow the public IP address that this machine's calls come from",
        ),
        404: WRONG_PATH,
        408: Meaning(Reaction.IN_DOUBT, "Hubject says the request took too long"),
        413: Meaning(Reaction.TOO_LARGE, "the request is larger than Hubject accepts"),
        429: Meaning(Reaction.THROTTLED, "over Hubject's call limit"),
    }
)
"""What an HTTP status means when no OICP answer came with it; see `by_status` for the others."""


def by_status(http_status: int) -> Meaning:
    """What an HTTP status means when no OICP answer came with it."""
    if known := BY_STATUS.get(http_status):
        return known
    if 300 <= http_status < 400:
        return Meaning(Reaction.STOPPED, "redirected", "check hubject.base_url; redirects are not followed")
    if 400 <= http_status < 500:
        return Meaning(
            Reaction.STOPPED, "refused before OICP", "check hubject.base_url and any proxy in between"
        )
    return Meaning(Reaction.IN_DOUBT, "no readable answer")
