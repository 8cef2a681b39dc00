"""When a push is repeated, how long it waits, and when it must not be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oicp_adapter.hub.options import HubOptions
from oicp_adapter.hub.retry import RETRYABLE, push_with_retries
from oicp_adapter.oicp.answers import Answer, Reaction
from tests.fakes.clock import ManualClock

APPLIED = Answer(reaction=Reaction.APPLIED, code="000")
UNREACHABLE = Answer(reaction=Reaction.UNREACHABLE, text="connection refused")


class Attempts:
    """Gives the answers in order, the last one for ever; counts."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.made = 0

    def __call__(self) -> Answer:
        self.made += 1
        return self.answers[min(self.made, len(self.answers)) - 1]


def run(
    attempts: Attempts,
    clock: ManualClock,
    *,
    may_send: Callable[[], bool] = lambda: True,
    seen: list[tuple[Answer, float]] | None = None,
    count: int = 4,
    total: float = 20.0,
) -> Answer:
    return push_with_retries(
        attempts,
        options=HubOptions(base_url="http://127.0.0.1", attempts=count, retry_total=total),
        clock=clock,
        may_send=may_send,
        on_retry=None if seen is None else lambda answer, wait: seen.append((answer, wait)),
    )


@pytest.mark.parametrize("reaction", sorted(set(Reaction) - RETRYABLE))
def test_nothing_that_may_have_been_applied_or_cannot_pass_is_repeated(reaction: Reaction) -> None:
    # A push in doubt, repeated at once, can be overtaken by itself: an old status wins.
    attempts = Attempts(Answer(reaction=reaction))
    answer = run(attempts, ManualClock())
    assert (answer.reaction, answer.attempts, attempts.made) == (reaction, 1, 1)


@pytest.mark.parametrize("reaction", sorted(RETRYABLE))
def test_what_passes_by_itself_is_repeated_until_it_has(reaction: Reaction) -> None:
    # Hubject's instances rotate every few days; a single 001 must not delay a status by a whole cycle.
    answer = run(Attempts(Answer(reaction=reaction), Answer(reaction=reaction), APPLIED), ManualClock())
    assert (answer.reaction, answer.attempts) == (Reaction.APPLIED, 3)


def test_it_ends_after_the_attempts_with_the_last_answer() -> None:
    # Without an end it is a hot loop; with an exception the reason is lost.
    attempts = Attempts(UNREACHABLE)
    answer = run(attempts, ManualClock(), total=1e9)
    assert (answer.text, answer.attempts, attempts.made) == ("connection refused", 4, 4)


def test_it_ends_after_the_total_time() -> None:
    # The push lock is held all the while: other changes wait.
    clock = ManualClock()
    run(Attempts(UNREACHABLE), clock, count=1000, total=20.0)
    assert 10.0 <= sum(clock.sleeps) <= 20.0


def test_slow_attempts_use_up_the_total_too() -> None:
    # Four connect timeouts must not take longer than the operator was told.
    clock = ManualClock()

    def slow() -> Answer:
        clock.step(15.0)
        return UNREACHABLE

    answer = push_with_retries(
        slow, options=HubOptions(base_url="http://127.0.0.1"), clock=clock, may_send=lambda: True
    )
    assert answer.attempts == 2


def test_a_long_wait_for_the_first_place_leaves_time_for_retries() -> None:
    # After a burst the pacer may hold a push for most of a minute; that is not the retry's time.
    clock = ManualClock()

    def paced() -> bool:
        if not clock.sleeps:
            clock.step(55.0)
        return True

    assert run(Attempts(UNREACHABLE, APPLIED), clock, may_send=paced).reaction is Reaction.APPLIED


def test_waits_grow_and_are_jittered() -> None:
    # Two hundred operators that retry in step hit Hubject as one wave.
    waits: list[list[float]] = [[], [], []]
    for _ in range(200):
        clock = ManualClock()
        run(Attempts(UNREACHABLE), clock, total=1e9)
        for place, wait in enumerate(clock.sleeps):
            waits[place].append(wait)
    for limit, sample in zip((0.5, 1.0, 2.0), waits, strict=True):
        assert all(0.0 <= wait <= limit for wait in sample)
        assert max(sample) - min(sample) > limit / 2


def test_retry_after_is_waited_out() -> None:
    # Coming back early is what gets an address blocked.
    clock = ManualClock()
    run(Attempts(Answer(reaction=Reaction.THROTTLED, retry_after=7.0), APPLIED), clock)
    assert clock.sleeps == [7.0]


def test_a_retry_after_beyond_the_total_is_left_to_the_caller() -> None:
    # An hour's wait inside a push would hold the operator's lock for an hour.
    clock = ManualClock()
    answer = run(Attempts(Answer(reaction=Reaction.THROTTLED, retry_after=60.0), APPLIED), clock)
    assert (answer.reaction, answer.retry_after, answer.attempts) == (Reaction.THROTTLED, 60.0, 1)
    assert clock.sleeps == []


def test_a_stop_during_the_wait_is_seen_before_the_next_attempt() -> None:
    # One more push after SIGTERM runs into the kill and is in doubt after the restart.
    attempts, stopped = Attempts(UNREACHABLE, APPLIED), []
    clock = ManualClock(on_sleep=lambda: stopped.append(True))
    answer = run(attempts, clock, may_send=lambda: not stopped)
    assert (answer.reaction, answer.attempts, attempts.made) == (Reaction.UNREACHABLE, 1, 1)
    assert len(clock.sleeps) == 1


def test_a_stop_before_the_first_attempt_sends_nothing() -> None:
    # The ledger must learn that its intent never left.
    attempts = Attempts(APPLIED)
    answer = run(attempts, ManualClock(), may_send=lambda: False)
    assert (answer.reaction, answer.attempts, attempts.made) == (Reaction.UNREACHABLE, 0, 0)


def test_each_retry_is_told_with_its_answer_and_wait() -> None:
    # The log line "retrying in 3 s because ..." is what the on-call engineer sees of an outage.
    seen: list[tuple[Answer, float]] = []
    clock = ManualClock()
    run(Attempts(UNREACHABLE, UNREACHABLE, APPLIED), clock, seen=seen)
    assert [wait for _, wait in seen] == clock.sleeps
    assert all(answer.text == "connection refused" for answer, _ in seen)
