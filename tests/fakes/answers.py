"""Hubject's answers by the words operators use, for scripts of `tests.fakes.hub.FakeHub`."""

from __future__ import annotations

from oicp_adapter.oicp.answers import Answer, Reaction
from tests.fakes.hub import Crash, Scripted

IN_DOUBT = Answer(reaction=Reaction.IN_DOUBT, text="timeout after sending", duration=30.0)
APPLIED_LATE = Scripted(IN_DOUBT, applies=True)
"""Hubject applies it, and its answer is lost."""
UNREACHABLE = Answer(reaction=Reaction.UNREACHABLE, text="connection refused")
TRANSIENT = Answer(reaction=Reaction.TRANSIENT, code="021", text="system error", http_status=200)
STOPPED = Answer(reaction=Reaction.STOPPED, code="017", text="certificate", hint="renew it", http_status=401)
TOO_LARGE = Answer(reaction=Reaction.TOO_LARGE, text="too large", http_status=413)
THROTTLED = Answer(reaction=Reaction.THROTTLED, text="too many calls", http_status=429, retry_after=120.0)
KILLED = Scripted(Crash)
"""kill -9 before Hubject saw it."""
KILLED_AFTER = Scripted(Crash, applies=True)
"""kill -9 after Hubject applied it."""


def refused(code: str, *named: str, indexes: tuple[int, ...] = (), not_there: bool = False) -> Answer:
    """Nothing applied; `named` as Hubject writes them."""
    return Answer(
        reaction=Reaction.REFUSED,
        code=code,
        text=f"refused {code}",
        http_status=200,
        process_id="P-1",
        named_ids=named,
        indexes=indexes,
        not_there=not_there or code == "603",
    )
