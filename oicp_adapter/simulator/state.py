"""What the simulated Hubject holds, and what the four actions do to it. Pure: no clock, no network.

Danger: a `fullLoad` replaces everything the operator has, and an empty one is legal (OICP PushEvseStatus,
docs/oicp-notes.md "The request"). How much it took away is counted, never silently done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from oicp_adapter.simulator.ids import evse_key, operator_key
from oicp_adapter.simulator.validate import StatusPush

Semantics = Literal["strict", "lenient"]
Shelf = dict[str, "Held"]


class Held(NamedTuple):
    """One EVSE as Hubject has it: the spelling it was first sent in, and its status."""

    wire: str
    status: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What one request did. `noop` counts records that said what was already held."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    noop: int = 0


@dataclass(frozen=True, slots=True)
class WrongAction:
    """The action does not fit what is held (code 022); `ids` are the wire ids at fault. Nothing was
    applied.
    """

    reason: str
    ids: tuple[str, ...]


class Holdings:
    """Statuses by operator and EVSE identity.

    `strict` is the published contract: `insert` and `update` abort whole on the first record that does or
    does not exist, as does `delete`. `lenient` is what is at times seen in practice: insert and update store
    either way.
    """

    def __init__(self) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._names: dict[str, str] = {}

    def shelf(self, operator: str) -> Shelf:
        """The operator's own records by EVSE key; made when first asked for."""
        key = operator_key(operator)
        if key is None:
            raise ValueError(f"{operator!r} is no OperatorID")
        self._names.setdefault(key, operator)
        return self._shelves.setdefault(key, {})

    def statuses(self, operator: str) -> dict[str, str]:
        """Wire id → status of one operator; empty if it never pushed."""
        return {
            held.wire: held.status for held in self._shelves.get(operator_key(operator) or "", {}).values()
        }

    def everything(self) -> dict[str, dict[str, str]]:
        """Wire id → status by OperatorID, in the spelling of its first push."""
        return {name: self.statuses(name) for name in self._names.values()}

    def knows(self, operator: str) -> bool:
        """Whether the operator ever pushed or was preloaded."""
        return operator_key(operator) in self._shelves

    def find(self, key: str) -> Held | None:
        """The record of one EVSE, whoever pushed it."""
        return next((shelf[key] for shelf in self._shelves.values() if key in shelf), None)

    def hold(self, operator: str, statuses: Mapping[str, str]) -> None:
        """Put records there as if they had been pushed long ago."""
        shelf = self.shelf(operator)
        for wire, status in statuses.items():
            key = evse_key(wire)
            if key is None:
                raise ValueError(f"{wire!r} is no EvseID")
            shelf[key] = Held(wire, status)

    def forget(self) -> None:
        """Hold nothing for anybody."""
        self._shelves.clear()
        self._names.clear()

    def apply(self, operator: str, push: StatusPush, semantics: Semantics) -> Applied | WrongAction:
        """Carry out one valid request without duplicates, whole or not at all."""
        shelf = self.shelf(operator)
        if push.action == "fullLoad":
            return _replace(shelf, push)
        if semantics == "strict" and (refused := _misfit(shelf, push)):
            return refused
        return _delete(shelf, push.keys) if push.action == "delete" else _store(shelf, push)


def _misfit(shelf: Shelf, push: StatusPush) -> WrongAction | None:
    wanted = push.action != "insert"
    ids = tuple(wire for key, (wire, _) in push.items() if (key in shelf) != wanted)
    if not ids:
        return None
    return WrongAction("EVSE does not exist" if wanted else "EVSE already exists", ids)


def _replace(shelf: Shelf, push: StatusPush) -> Applied:
    before = dict(shelf)
    shelf.clear()
    shelf.update((key, Held(wire, status)) for key, (wire, status) in push.items())
    kept = before.keys() & shelf.keys()
    changed = sum(before[key].status != shelf[key].status for key in kept)
    return Applied(added=len(shelf) - len(kept), changed=changed, removed=len(before) - len(kept))


def _store(shelf: Shelf, push: StatusPush) -> Applied:
    added = changed = noop = 0
    for key, (wire, status) in push.items():
        held = shelf.get(key)
        if held is None:
            added += 1
            shelf[key] = Held(wire, status)
        elif held.status == status:
            noop += 1
        else:
            changed += 1
            shelf[key] = Held(held.wire, status)
    return Applied(added=added, changed=changed, noop=noop)


def _delete(shelf: Shelf, keys: Sequence[str]) -> Applied:
    removed = sum(shelf.pop(key, None) is not None for key in keys)
    return Applied(removed=removed)


class EvseData:
    """Which EVSEs have EVSE data. `None` inside means the check is off (docs/oicp-notes.md, code 603)."""

    def __init__(self, evse_ids: Iterable[str] | None = None) -> None:
        self._known: set[str] | None = None
        self.set(evse_ids)

    def set(self, evse_ids: Iterable[str] | None) -> None:
        """Replace the whole set; None switches the check off."""
        self._known = None if evse_ids is None else {evse_key(text) or text for text in evse_ids}

    def missing(self, push: StatusPush) -> tuple[str, ...]:
        """Wire ids of the request that have no EVSE data."""
        known = self._known
        if known is None:
            return ()
        return tuple(wire for key, (wire, _) in push.items() if key not in known)

    def push(self, action: str, keys: Iterable[str], prefixes: tuple[str, ...]) -> None:
        """A data push: `fullLoad` first drops what the operator had. Ignored while the check is off."""
        if self._known is None:
            return
        if action == "fullLoad":
            self._known = {key for key in self._known if not key.startswith(prefixes)}
        if action == "delete":
            self._known.difference_update(keys)
        else:
            self._known.update(keys)
