"""Which answers are taken for the answer to a request."""

from __future__ import annotations

import pytest

from oicp_adapter.hub.binding import Exchange, ProcessIds, bound
from oicp_adapter.oicp.answers import Answer, Reaction

WHOLE = Exchange(complete=True, sent=500, unheard=0, left_over=0)
ACTED_UPON = sorted(set(Reaction) - {Reaction.IN_DOUBT, Reaction.UNREACHABLE})
SAID_AT_THE_HEAD = {Reaction.TOO_LARGE, Reaction.THROTTLED, Reaction.STOPPED}


def reaction(answered: Reaction, exchange: Exchange, *, repeated: bool = False) -> Reaction:
    answer = Answer(
        reaction=answered,
        text="said",
        hint="do",
        process_id="p",
        named_ids=("E1",),
        indexes=(0,),
        retry_after=3.0,
    )
    made = bound(answer, exchange, repeated=repeated)
    if made.reaction is Reaction.IN_DOUBT:
        # What is not this request's answer accuses nobody and asks for nothing; support still gets the Process-ID.
        assert (made.named_ids, made.indexes, made.hint, made.retry_after) == ((), (), "", None)
        assert made.process_id == "p"
        assert "said" in made.text
    else:
        assert made == answer
    return made.reaction


@pytest.mark.parametrize("answered", ACTED_UPON)
def test_an_answer_to_a_whole_request_with_nothing_behind_it_counts(answered: Reaction) -> None:
    # Doubt without a reason costs each EVSE a minute.
    assert reaction(answered, WHOLE) is answered


@pytest.mark.parametrize("answered", ACTED_UPON)
@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(complete=True, sent=500, unheard=0, left_over=1),
        Exchange(complete=True, sent=500, unheard=500, left_over=0),
        Exchange(complete=True, sent=500, unheard=529, left_over=0),  # with the bytes that TLS adds
    ],
)
def test_an_answer_that_may_be_anothers_is_doubt_whatever_it_says(
    answered: Reaction, exchange: Exchange
) -> None:
    # A refusal quarantines the innocent, a "too large" or a "wait" says that nothing was applied.
    assert reaction(answered, exchange) is Reaction.IN_DOUBT


@pytest.mark.parametrize("answered", ACTED_UPON)
def test_the_process_id_of_the_answer_before_is_doubt(answered: Reaction) -> None:
    # The same answer again: the first request has had it.
    assert reaction(answered, WHOLE, repeated=True) is Reaction.IN_DOUBT


@pytest.mark.parametrize("answered", ACTED_UPON)
@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(complete=False, sent=2000, unheard=0, left_over=0),
        Exchange(complete=False, sent=2000, unheard=2000, left_over=7),
        Exchange(complete=True, sent=2000, unheard=1, left_over=0),
    ],
)
def test_before_the_body_only_a_front_end_can_have_spoken(answered: Reaction, exchange: Exchange) -> None:
    # 413 comes at the head, and must split. "Applied" and "this EVSE is at fault" need a body that was read.
    expected = answered if answered in SAID_AT_THE_HEAD else Reaction.IN_DOUBT
    assert reaction(answered, exchange) is expected


def test_a_process_id_that_comes_again_tells_where_they_differ() -> None:
    # Hubject gives each call its own.
    ids = ProcessIds()
    assert [ids.repeated(name) for name in ("a", "b", "b", "c", None, "c", "b")] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_peer_whose_process_ids_are_all_alike_is_believed_and_told_once() -> None:
    # A stand-in that always writes the same would never have anything acknowledged.
    ids = ProcessIds()
    told = []
    for name in (None, "a", "a", "a", None, "a"):
        told.append(ids.news(name))
        assert not ids.repeated(name)
    assert told == [False, False, True, False, False, False]


def test_where_they_differ_a_repetition_is_no_news_but_doubt() -> None:
    # Both at once would say that it does not matter.
    ids = ProcessIds()
    ids.repeated("a")
    ids.repeated("b")
    assert not ids.news("b")
    assert ids.repeated("b")
