"""Which records of a refused request are at fault, and what to do with each (P5). Pure.

Hubject answers all-or-nothing: one bad record refuses the whole request. The danger is quarantining an innocent
EVSE, or letting one bad EVSE hold back the rest. So: what the answer names clearly is at fault; else the other
action is tried; else the request is halved until a single record is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from oicp_adapter.core.ids import stripped
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Change
from oicp_adapter.core.records import Presence
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.codes import DATA_ERROR, DUPLICATE_IDS, NO_EVSE_DATA

_OTHER = {ActionType.INSERT: ActionType.UPDATE, ActionType.UPDATE: ActionType.INSERT}


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Records that travel in one request, with one action."""

    action: ActionType
    changes: tuple[Change, ...]
    refusals: tuple[Answer, ...] = ()
    """Refusals that already spoke against each of these records with the other action in this cycle; at most one."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a refusal comes to."""

    quarantine: tuple[Change, ...] = ()
    already_gone: tuple[Change, ...] = ()
    """Removals refused because the EVSE is not there: done."""
    rest: Bundle | None = None
    """The innocent: to be sent at once."""
    again: tuple[Bundle, ...] = ()
    """Where the search goes on, in this order."""
    halved: bool = False
    """`again` are halves of a bundle in which nobody could be named."""


def isolate(bundle: Bundle, answer: Answer) -> Verdict:
    """Decide on a refused bundle."""
    positions = named([change.wire_id for change in bundle.changes], answer)
    at_fault = tuple(bundle.changes[position] for position in positions)
    if not at_fault and len(bundle.changes) == 1:
        at_fault = bundle.changes
    if at_fault:
        return _judge(bundle, at_fault, answer)
    unknown = all(change.presence is Presence.UNKNOWN for change in bundle.changes)
    if unknown and _other_may_help(bundle, answer):
        return Verdict(again=(_other_action(bundle, bundle.changes, answer),))
    if unknown:
        # Refused whole with both actions: some are there and some are not, so no single record is at fault yet.
        bundle = msgspec.structs.replace(bundle, refusals=())
    return Verdict(again=halves(bundle), halved=True)


def halves(bundle: Bundle) -> tuple[Bundle, ...]:
    """The bundle in two parts."""
    middle = len(bundle.changes) // 2
    return tuple(
        msgspec.structs.replace(bundle, changes=part)
        for part in (bundle.changes[:middle], bundle.changes[middle:])
        if part
    )


def singles(bundle: Bundle) -> tuple[Bundle, ...]:
    """The bundle record by record."""
    return tuple(msgspec.structs.replace(bundle, changes=(change,)) for change in bundle.changes)


def named(sent: Sequence[str], answer: Answer) -> tuple[int, ...]:
    """Positions of the EvseIDs that a refusal names, in the request with `sent`; in a full load, too.

    None when it names something that is not, or not clearly, in the request: without separators two DIN ids may be one
    text, and taking one for the other deletes a charger that is well.
    """
    if answer.indexes:
        return () if max(answer.indexes) >= len(sent) else tuple(sorted(set(answer.indexes)))
    texts = [stripped(wire_id) for wire_id in sent]
    spelled = Counter(texts)
    said = {stripped(text) for text in answer.named_ids}
    if any(spelled[text] != 1 for text in said):
        return ()
    return tuple(position for position, text in enumerate(texts) if text in said)


def _judge(bundle: Bundle, at_fault: tuple[Change, ...], answer: Answer) -> Verdict:
    keys = {change.key for change in at_fault}
    rest = tuple(change for change in bundle.changes if change.key not in keys)
    innocent = msgspec.structs.replace(bundle, changes=rest) if rest else None
    again: tuple[Bundle, ...] = ()
    gone = tuple(change for change in at_fault if _already_gone(change, answer))
    done = {change.key for change in gone}
    others = tuple(change for change in at_fault if change.key not in done)
    if others and _other_may_help(bundle, answer):
        again = (_other_action(bundle, others, answer),)
        others = ()
    return Verdict(quarantine=others, already_gone=gone, rest=innocent, again=again)


def _already_gone(change: Change, answer: Answer) -> bool:
    """A removal refused because the EVSE is not there is done. A bare code may mean anything: it is taken for that only
    where we did not know better, or where nobody sees the EVSE anyway."""
    if not change.removal:
        return False
    unsure = change.presence is not Presence.PRESENT or change.previous is EvseStatus.EVSE_NOT_FOUND
    return answer.not_there or (unsure and answer.code == DATA_ERROR)


def _other_may_help(bundle: Bundle, answer: Answer) -> bool:
    """A record is judged once per action and cycle; a removal is never turned into an insert."""
    if bundle.refusals or answer.indexes or answer.code in (NO_EVSE_DATA, DUPLICATE_IDS):
        return False
    return bundle.action in _OTHER and not any(change.removal for change in bundle.changes)


def _other_action(bundle: Bundle, changes: tuple[Change, ...], answer: Answer) -> Bundle:
    return Bundle(action=_OTHER[bundle.action], changes=changes, refusals=(*bundle.refusals, answer))
