"""Several records, one EvseID: do they surely mean one charger? Pure.

The danger: separators do not count in an ISO EvseID, so connector 11 of station 1 and connector 1 of station 11 are
both E111: one's status is then published for the other. What the source itself writes alike is one EVSE wherever it
stands. An identity that a template made, or that is written in two ways, is only one if nothing speaks against it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from oicp_adapter.core.claims import Claim
from oicp_adapter.core.model import Ambiguity

SHOWN = 3
"""Claimants named; the rest is counted."""

Claimants = Mapping[str, Sequence[Claim]]
"""What may be chargers of their own, in words → what is said of each."""


def claimants(claims: Sequence[Claim], template: str | None) -> Claimants:
    """The claims on one identity by the charger they may mean. One entry: they surely mean the same."""
    first = claims[0]
    text = first.record.evse_id if first.record else None
    if text and not text.isspace() and all(one.record and one.record.evse_id == text for one in claims):
        return {first.wire: claims}  # the usual case, kept fast
    spelled = {_spelled(claim) for claim in claims if not claim.made}
    if len(spelled) == 1 and not any(claim.made for claim in claims):
        return {first.wire: claims}
    per_connector = "{connector_id}" in (template or "")
    if len(spelled) <= 1 and _one_address(claims, per_connector=per_connector):
        return {first.wire: claims}
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        name = _made_of(claim, per_connector=per_connector) if claim.made else f"written {_spelled(claim)}"
        found.setdefault(name, []).append(claim)
    return found


def _spelled(claim: Claim) -> str:
    """The EvseID as the source writes it. Case, and the plus of a DIN id, are no other spelling."""
    assert claim.record is not None
    return (claim.record.evse_id or "").strip().upper().removeprefix("+")


def _one_address(claims: Sequence[Claim], *, per_connector: bool) -> bool:
    """Whether nothing says that they stand in two places; what is not told speaks for no other."""
    told: list[set[str]] = [
        {claim.wire.removeprefix("+") for claim in claims},
        {claim.station for claim in claims if claim.station},
        {claim.number for claim in claims if claim.number},
    ]
    if per_connector:
        told.append({claim.connector for claim in claims if claim.made})
    return all(len(one) <= 1 for one in told)


def _made_of(claim: Claim, *, per_connector: bool) -> str:
    named = (
        ("station", claim.station),
        ("EVSE", claim.number),
        ("connector", claim.connector if per_connector else ""),
    )
    return ", ".join(f"{name} {given}" for name, given in named if given)


def ambiguity(key: str, wire: str, found: Claimants, statuses: Collection[str]) -> Ambiguity:
    """Who claims the identity. `statuses`: what they say of it; one means that they agree."""
    names = sorted(found)
    made = any(claim.made for claims in found.values() for claim in claims)
    agree = len(statuses) == 1
    says = f"they agree: {next(iter(statuses))}" if agree else f"they say {', '.join(sorted(statuses))}"
    may_be = f"{wire} may be {len(names)} chargers"
    return Ambiguity(
        key=key,
        evse_id=wire,
        text=f"{may_be}: {_some([f'{name} ({_origin(found[name])})' for name in names])}; {says}",
        reason=f"{may_be}: {_some(names)}; {says}",
        origin=", ".join(_origin(found[name]) for name in names[:SHOWN]),
        fix=(
            "write evse_id_template so that each charger gets an id of its own (separators do not count), or give the "
            "records an evse_id"
            if made
            else "write the EvseID of one charger in one way throughout the source (separators do not count)"
        ),
        agree=agree,
    )


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN
    return "; ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _origin(claims: Sequence[Claim]) -> str:
    origins = sorted({claim.record.origin for claim in claims if claim.record is not None})
    return origins[0] + (f" and {len(origins) - 1} more" if len(origins) > 1 else "") if origins else ""
