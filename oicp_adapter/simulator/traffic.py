"""Counts calls per minute and sees which of them were open at the same time. Pure: the caller supplies the
time.

Hubject works on parallel pushes in parallel, so a small one may overtake a big one (docs/guarantees.md, P2). A
request is open from the first byte of its head until its answer is sent or its connection is closed, whatever
the server does.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping

_WINDOW = 60.0


class Rates:
    """Calls in a sliding window of 60 s per endpoint and caller; refused calls count as well."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._calls: dict[tuple[str, str], list[float]] = {}

    def call(self, endpoint: str, caller: str, now: float) -> float | None:
        """None if the call is within the limit, else the seconds to wait until one more would be."""
        limit = self._limits.get(endpoint)
        if limit is None:
            return None
        calls = self._calls.setdefault((endpoint, caller), [])
        if calls and calls[0] <= now - _WINDOW and len(calls) >= limit:
            del calls[: bisect_right(calls, now - _WINDOW)]
        recent = len(calls) - bisect_right(calls, now - _WINDOW)
        calls.append(max(now, calls[-1]) if calls else now)
        if recent < limit:
            return None
        return max(0.0, calls[len(calls) - limit] + _WINDOW - now)

    def clear(self) -> None:
        """Start with an empty window."""
        self._calls.clear()


class Call:
    """One push while it is open. `gone` tells whether its client has closed the connection, seen or not yet
    seen.
    """

    __slots__ = ("gone", "operator", "overlapped")

    def __init__(self, operator: str, gone: Callable[[], bool]) -> None:
        self.operator = operator
        self.gone = gone
        self.overlapped = False


class Overlaps:
    """Which pushes of one operator were open at the same time.

    A busy server learns late that a client closed its connection, so it asks (`gone`) before it accuses
    anybody.
    """

    def __init__(self) -> None:
        self._open: dict[str, set[Call]] = {}
        self._last_answered: dict[str, float] = {}

    def open(self, operator: str, first_byte: float, gone: Callable[[], bool] = lambda: False) -> Call:
        """Begin a call; it overlapped if another is open, or was when this one's first byte arrived."""
        call = Call(operator, gone)
        others = self._open.setdefault(operator, set())
        others.difference_update([other for other in others if other.gone()])
        if gone():
            return call
        for other in others:
            other.overlapped = True
        call.overlapped = bool(others) or self._last_answered.get(operator, float("-inf")) > first_byte
        others.add(call)
        return call

    def count(self) -> int:
        """How many calls are open, of all operators."""
        return sum(map(len, self._open.values()))

    def answered(self, call: Call, now: float) -> None:
        """End a call whose answer was sent; nothing happens if it had already ended."""
        others = self._open.get(call.operator, set())
        if call in others:
            others.remove(call)
            self._last_answered[call.operator] = now

    def abandoned(self, call: Call) -> None:
        """End a call whose connection was closed; when exactly its client let go is not known."""
        self._open.get(call.operator, set()).discard(call)
