"""When a standing condition is worth a log line: when it begins, when it changes, then at intervals. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from oicp_adapter.core.records import Notice, OperatorState

HOUR, DAY = 3600.0, 86_400.0


def noticed(
    state: OperatorState,
    name: str,
    signature: str,
    *,
    now: float,
    every: float = HOUR,
    text: str = "",
    fix: str = "",
) -> tuple[OperatorState, bool]:
    """The condition stands, described by `signature`. Returns the new state and whether to log it now."""
    before = state.notices.get(name)
    due = before is None or before.signature != signature or not 0 <= now - before.logged_at < every
    if before is not None and not due:
        return state, False
    since = before.since if before is not None else now
    notice = Notice(signature=signature, since=since, logged_at=now, text=text, fix=fix)
    return replace(state, notices={**state.notices, name: notice}), True


def growing(before: Notice | None, kind: str, count: int) -> str:
    """The signature of what grows and shrinks all day: another one when it is of another kind, or has doubled."""
    if before is not None:
        told, _, size = before.signature.rpartition(" ")
        if told == kind and count < 2 * int(size):
            return before.signature
    return f"{kind} {count}"


def cleared(state: OperatorState, name: str) -> tuple[OperatorState, bool]:
    """The condition does not stand. Returns the new state and whether it did before."""
    if name not in state.notices:
        return state, False
    return replace(state, notices={key: value for key, value in state.notices.items() if key != name}), True
