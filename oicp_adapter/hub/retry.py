"""Repeats a push where nothing can have been applied, and only there.

The danger: a push in doubt that is repeated at once overtakes itself, and a repeat after the program was
asked to stop runs into the kill. Backoff is exponential with full jitter (tenacity's
`wait_random_exponential`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import tenacity

from oicp_adapter.hub.options import HubOptions
from oicp_adapter.oicp.answers import Answer, Reaction

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

RETRYABLE = frozenset({Reaction.UNREACHABLE, Reaction.TRANSIENT, Reaction.THROTTLED})
"""Nothing was applied, and it may pass by itself."""

OnRetry = Callable[[Answer, float], None]
"""Called before a wait: the answer so far, and the seconds until the next attempt."""

_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=10)


def push_with_retries(
    attempt: Callable[[], Answer],
    *,
    options: HubOptions,
    clock: Clock,
    may_send: Callable[[], bool],
    on_retry: OnRetry | None = None,
) -> Answer:
    """Attempt until the answer is final, the policy spent, or `may_send` (asked before each attempt) says no.

    Returns the last answer, with the number of attempts made: 0 means that nothing was sent.
    """
    run = _Run(attempt, options=options, clock=clock, may_send=may_send)

    def announce(state: tenacity.RetryCallState) -> None:
        if on_retry is not None:
            on_retry(_answer(state), state.upcoming_sleep)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(run.worth_repeating),
        wait=_wait,
        stop=run.spent,
        sleep=clock.sleep,
        before_sleep=announce,
        retry_error_callback=_answer,
    )
    final: Answer = retrying(run)
    return msgspec.structs.replace(final, attempts=run.attempts)


class _Run:
    """One push: its attempts so far, and whether another may follow."""

    def __init__(
        self,
        attempt: Callable[[], Answer],
        *,
        options: HubOptions,
        clock: Clock,
        may_send: Callable[[], bool],
    ) -> None:
        self._attempt = attempt
        self._options = options
        self._clock = clock
        self._may_send = may_send
        self._last = Answer(
            reaction=Reaction.UNREACHABLE, text="not sent: the program was asked to stop", attempts=0
        )
        self._started: float | None = None
        self._stopped = False
        self.attempts = 0

    def __call__(self) -> Answer:
        if not self._may_send():
            self._stopped = True
            return self._last
        if self._started is None:
            self._started = self._clock.monotonic()
        self.attempts += 1
        self._last = self._attempt()
        return self._last

    def worth_repeating(self, answer: Answer) -> bool:
        return not self._stopped and answer.reaction in RETRYABLE

    def spent(self, state: tenacity.RetryCallState) -> bool:
        """Asked after the wait was chosen: a wait beyond the total is not begun."""
        elapsed = self._clock.monotonic() - (self._started or 0.0)
        too_late = elapsed + state.upcoming_sleep > self._options.retry_total
        return too_late or self.attempts >= self._options.attempts


def _wait(state: tenacity.RetryCallState) -> float:
    return max(_backoff(state), _answer(state).retry_after or 0.0)


def _answer(state: tenacity.RetryCallState) -> Answer:
    assert state.outcome is not None, "tenacity asks only after an attempt"
    answer: Answer = state.outcome.result()
    return answer
