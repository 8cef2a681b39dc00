"""Is this the answer to that request? If not, the request is in doubt, whatever the answer says. Pure.

The danger: a second copy of the last answer, or one that was given before the request had been read, acknowledges a
status that Hubject does not hold; and a refusal that is not meant for a request quarantines an innocent EVSE.
"""

from __future__ import annotations

import msgspec

from oicp_adapter.oicp.answers import Answer, Reaction

_SAID_AT_THE_HEAD = frozenset({Reaction.TOO_LARGE, Reaction.THROTTLED, Reaction.STOPPED})
"""What a front end says before it has read the body, and closes. Nothing is applied of a body that is not read."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What the connection showed of one request and its answer. Counts are bytes."""

    complete: bool
    """The request was handed to the kernel to its last byte before an answer had come."""
    sent: int
    """Of the request, handed to the kernel."""
    unheard: int
    """Not yet acknowledged by the other side's kernel when the answer began: it was given without them."""
    left_over: int
    """More came behind the answer."""


class ProcessIds:
    """Whether an answer carries the Process-ID of the answer before it.

    Hubject gives each call its own. Somebody in its place may always give the same one: as long as no two different
    ones were seen, that says nothing.
    """

    def __init__(self) -> None:
        self._last: str | None = None
        self._vary = False
        self._told = False

    def repeated(self, process_id: str | None) -> bool:
        """Take note of an answer's Process-ID; True if it belongs to the answer before it."""
        if process_id is None:
            return False
        same, self._vary = process_id == self._last, self._vary or self._last not in (None, process_id)
        self._last = process_id
        return same and self._vary

    def news(self, process_id: str | None) -> bool:
        """Whether to tell, once, that this peer repeats its Process-ID: ask before `repeated`."""
        if self._told or self._vary or process_id is None or process_id != self._last:
            return False
        self._told = True
        return True


def bound(answer: Answer, exchange: Exchange, *, repeated: bool) -> Answer:
    """The answer, if it is bound to the request; else the same answer as doubt.

    `repeated`: it carries the Process-ID of the answer before it.
    """
    flaw = _flaw(answer.reaction, exchange, repeated=repeated)
    if not flaw:
        return answer
    return msgspec.structs.replace(
        answer,
        reaction=Reaction.IN_DOUBT,
        text=f"not taken for the answer to this request: {flaw} ({answer.text})",
        hint="",
        retry_after=None,
        named_ids=(),
        indexes=(),
    )


def _flaw(reaction: Reaction, exchange: Exchange, *, repeated: bool) -> str:
    """Why the answer is not bound to the request; "" if it is."""
    if repeated:
        return "it carries the Process-ID of the answer before it"
    if exchange.complete and exchange.unheard >= exchange.sent > 0:
        return "it was given before anything of the request had arrived"
    if not exchange.complete or exchange.unheard:
        early = "it was given before the request had been sent completely"
        return "" if reaction in _SAID_AT_THE_HEAD else early
    return f"{exchange.left_over} more bytes came behind it" if exchange.left_over else ""
