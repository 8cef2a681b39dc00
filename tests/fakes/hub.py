"""A Hubject in memory: strict semantics, and answers on request. For the publisher's tests."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest


class Crash(BaseException):
    """The process dies while a push is in flight; the ledger has the intent and nothing else."""


class Scripted(msgspec.Struct, frozen=True):
    """The next answer, and whether the request is applied all the same (a lost answer)."""

    answer: Answer | type[Crash]
    applies: bool = False


class FakeHub:
    """Answers the scripted first, in order; after that as a strict Hubject would. Requests are recorded.

    `no_data`: EvseIDs without EVSE data (603). `names`: whether a refusal of a wrong action names the EVSEs.
    """

    def __init__(
        self, script: Iterable[Scripted | Answer] = (), *, held: dict[str, EvseStatus] | None = None
    ):
        self.script = list(script)
        self.held: dict[str, EvseStatus] = dict(held or {})
        self.no_data: set[str] = set()
        self.names = True
        self.requests: list[PushRequest] = []
        self.closed = False

    def push(self, request: PushRequest) -> Answer:
        self.requests.append(msgspec.structs.replace(request, records=tuple(request.records)))
        if not self.script:
            return self._strict(request)
        step = self.script.pop(0)
        if isinstance(step, Answer):
            return step
        if step.applies:
            self._strict(request)
        if isinstance(step.answer, Answer):
            return step.answer
        raise step.answer

    def close(self) -> None:
        self.closed = True

    def _strict(self, request: PushRequest) -> Answer:
        wanted = dict(request.records)
        if missing := sorted(self.no_data.intersection(wanted)):
            return _refused("603", "One or more EVSE data record not found!", missing)
        wrong = {
            ActionType.INSERT: [wire for wire in wanted if wire in self.held],
            ActionType.UPDATE: [wire for wire in wanted if wire not in self.held],
            ActionType.DELETE: [wire for wire in wanted if wire not in self.held],
        }.get(request.action, [])
        if wrong:
            there = request.action is ActionType.INSERT
            text = f"EVSE {'already exists' if there else 'does not exist'}" if self.names else "Data error"
            return _refused("022", text, wrong if self.names else [], not_there=self.names and not there)
        if request.action is ActionType.DELETE:
            self.held = {wire: status for wire, status in self.held.items() if wire not in wanted}
        else:
            kept = {} if request.action is ActionType.FULL_LOAD else self.held
            self.held = {**kept, **wanted}
        return Answer(
            reaction=Reaction.APPLIED, code="000", text="applied", http_status=200, process_id="fake"
        )


def _refused(code: str, text: str, named: list[str], *, not_there: bool = False) -> Answer:
    return Answer(
        reaction=Reaction.REFUSED,
        code=code,
        text=text,
        http_status=200,
        named_ids=tuple(named),
        not_there=not_there or code == "603",
    )
