"""Two claims on one thing: which one holds. Total, and the same whatever order they came in.

The danger: "last one wins" makes the status depend on the order of rows in an export.
"""

from __future__ import annotations

from collections.abc import Sequence

from oicp_adapter.core.claims import Claim
from oicp_adapter.core.signs_of_life import newest
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.core.words import Link

_SEVERITY = {
    Target.OUT_OF_SERVICE: 0,
    Target.OCCUPIED: 1,
    Target.RESERVED: 2,
    Target.UNKNOWN: 3,
    Target.AVAILABLE: 4,
    Target.EVSE_NOT_FOUND: 5,
    Target.SKIP: 6,
}
LOSERS = (Target.EVSE_NOT_FOUND, Target.SKIP)
"""What is gone, or not there yet: anything else holds."""
_NO_LINK = Link(unmapped=False, word="")


def settle(claims: Sequence[Claim]) -> Claim:
    """The claim that holds (docs/mapping.md).

    Removed and skipped lose to anything else; then the newest; claims without a time compete with the
    newest ones by severity.
    """
    if len(claims) == 1:
        return claims[0]
    candidates = [claim for claim in claims if claim.verdict.target not in LOSERS]
    latest = newest(*(claim.time for claim in candidates))
    candidates = [claim for claim in candidates if claim.time is None or claim.time == latest]
    return min(candidates or claims, key=_order)


def _order(claim: Claim) -> tuple[object, ...]:
    # Everything after the severity only makes the choice independent of the order.
    verdict = claim.verdict
    return (
        _SEVERITY[verdict.target],
        claim.time is None,
        -(claim.time or 0.0),
        claim.connection is None,
        claim.connection or _NO_LINK,
        claim.wire,
        verdict.value,
        verdict.rule.text,
        verdict.cause,
        [(state.connector, state.value, state.charging) for state in claim.states],
    )
