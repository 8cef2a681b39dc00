"""Which records of a refused request are at fault: no innocent EVSE is quarantined, no bad one blocks others."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Change, Kind
from oicp_adapter.core.records import Presence
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.sync.isolation import Bundle, Verdict, isolate
from tests.fakes.answers import refused

INSERT, UPDATE = ActionType.INSERT, ActionType.UPDATE


def change(
    name: str, *, presence: Presence = Presence.PRESENT, action: ActionType = UPDATE, removal: bool = False
) -> Change:
    return Change(
        key=name,
        wire_id=name,
        action=action,
        status=EvseStatus.EVSE_NOT_FOUND if removal else EvseStatus.AVAILABLE,
        kind=Kind.STATUS,
        reason="",
        previous=None,
        presence=presence,
        since=None,
        held=removal,
        removal=removal,
    )


def removals(*names: str, presence: Presence = Presence.PRESENT) -> Bundle:
    changes = tuple(change(name, presence=presence, removal=True) for name in names)
    return Bundle(action=UPDATE, changes=changes)


def bundle(
    *names: str,
    action: ActionType = UPDATE,
    presence: Presence = Presence.PRESENT,
    refusals: tuple[Answer, ...] = (),
) -> Bundle:
    changes = tuple(change(name, presence=presence, action=action) for name in names)
    return Bundle(action=action, changes=changes, refusals=refusals)


def sent_next(verdict: Verdict) -> list[Bundle]:
    return [*([verdict.rest] if verdict.rest is not None else []), *verdict.again]


def again(verdict: Verdict) -> list[str]:
    return [
        f"{one.action.value} {' '.join(change.key for change in one.changes)}" for one in sent_next(verdict)
    ]


def quarantine(verdict: Verdict) -> list[str]:
    return [change.key for change in verdict.quarantine]


def test_what_603_names_is_quarantined_and_the_rest_sent_again_at_once() -> None:
    # One charger without EVSE data keeps the whole fleet from Hubject.
    given = bundle("DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3")
    verdict = isolate(given, refused("603", "DEABCE2"))
    assert quarantine(verdict) == ["DE*ABC*E2"]
    assert again(verdict) == ["update DE*ABC*E1 DE*ABC*E3"]


def test_an_index_names_the_record() -> None:
    # HTTP 400 says where the bad record stands; a neighbour is blamed.
    verdict = isolate(bundle("A", "B", "C"), refused("", indexes=(1, 1)))
    assert (quarantine(verdict), again(verdict)) == (["B"], ["update A C"])


def test_an_index_outside_the_request_blames_nobody() -> None:
    # An answer to something else quarantines a random EVSE.
    assert quarantine(isolate(bundle("A", "B"), refused("", indexes=(0, 2)))) == []


def test_a_name_that_is_not_in_the_request_blames_nobody_and_the_request_is_halved() -> None:
    # Hubject names an id we never sent; guessing would quarantine others.
    verdict = isolate(bundle("A", "B", "C"), refused("603", "A", "X"))
    assert (quarantine(verdict), again(verdict)) == ([], ["update A", "update B C"])


def test_a_name_that_fits_two_din_ids_blames_neither() -> None:
    # Without separators +4*912*31 and +49*123*1 are the same text.
    verdict = isolate(bundle("+4*912*31", "+49*123*1"), refused("603", "491231"))
    assert (quarantine(verdict), again(verdict)) == ([], ["update +4*912*31", "update +49*123*1"])


@pytest.mark.parametrize(("action", "other"), [(INSERT, "update"), (UPDATE, "insert")])
def test_a_single_record_refused_with_one_action_is_tried_with_the_other(
    action: ActionType, other: str
) -> None:
    # Somebody deleted or created it at Hubject: it stays wrong until the next full load.
    verdict = isolate(bundle("A", action=action), refused("022"))
    assert (quarantine(verdict), again(verdict)) == ([], [f"{other} A"])


def test_both_actions_refused_is_quarantine_with_both_answers() -> None:
    # The EVSE is tried back and forth for ever; or support is shown half of the story.
    first = refused("022")
    verdict = isolate(bundle("A", action=UPDATE, refusals=(first,)), refused("022"))
    assert (quarantine(verdict), again(verdict)) == (["A"], [])


@pytest.mark.parametrize("code", ["603", "018"])
def test_no_other_action_cures_missing_data_or_a_foreign_id(code: str) -> None:
    # Every bad EVSE costs a second useless request.
    assert quarantine(isolate(bundle("A", action=INSERT), refused(code))) == ["A"]


def test_records_of_unknown_presence_are_tried_whole_with_the_other_action_first() -> None:
    # A first run where Hubject already holds the fleet takes thousands of requests.
    given = bundle("A", "B", "C", action=INSERT, presence=Presence.UNKNOWN)
    assert again(isolate(given, refused("022"))) == ["update A B C"]


def test_an_unnamed_refusal_of_known_records_is_halved() -> None:
    # All of them are inserted although they are there, or all are quarantined.
    assert again(isolate(bundle("A", "B", "C"), refused("022"))) == ["update A", "update B C"]


@pytest.mark.parametrize("presence", list(Presence))
@pytest.mark.parametrize(
    "answer", [refused("603"), refused("022", not_there=True), refused("777", not_there=True)]
)
def test_a_removal_refused_because_the_evse_is_not_there_is_done(answer: Answer, presence: Presence) -> None:
    # What has long gone is removed anew every night.
    verdict = isolate(removals("A", presence=presence), answer)
    assert [change.key for change in verdict.already_gone] == ["A"]
    assert (quarantine(verdict), again(verdict)) == ([], [])


@pytest.mark.parametrize(
    ("presence", "gone"), [(Presence.PRESENT, []), (Presence.UNKNOWN, ["A"]), (Presence.ABSENT, ["A"])]
)
def test_a_bare_022_to_a_removal_is_taken_for_not_there_only_where_we_did_not_know(
    presence: Presence, gone: list[str]
) -> None:
    # Hubject answers 022 to everything for an hour: forty chargers are forgotten, and shown as Available for good.
    verdict = isolate(removals("A", presence=presence), refused("022"))
    assert [change.key for change in verdict.already_gone] == gone
    assert (quarantine(verdict), again(verdict)) == ([] if gone else ["A"], [])


def test_a_removal_refused_for_another_reason_is_not_done() -> None:
    # Hubject still shows it, and we believe it gone.
    verdict = isolate(removals("A", presence=Presence.UNKNOWN), refused("018"))
    assert (quarantine(verdict), verdict.already_gone) == (["A"], ())


def test_what_is_off_the_map_already_is_not_quarantined_for_a_bare_022() -> None:
    # A rolling resync says it again after a late full load has taken the record away: it is listed for ever.
    again_off = change("A", removal=True)
    again_off = msgspec.structs.replace(again_off, previous=EvseStatus.EVSE_NOT_FOUND)
    verdict = isolate(Bundle(action=UPDATE, changes=(again_off,)), refused("022"))
    assert (quarantine(verdict), len(verdict.already_gone)) == ([], 1)


def settle(given: Bundle, hubject: Callable[[Bundle], Answer | None]) -> tuple[list[str], list[str], int]:
    """Send until nothing is left. Returns what was acknowledged and quarantined, and how many requests it took."""
    queue, acked, bad, requests = [given], [], [], 0
    while queue:
        sent = queue.pop(0)
        requests += 1
        answer = hubject(sent)
        if answer is None:
            acked += [change.key for change in sent.changes]
            continue
        verdict = isolate(sent, answer)
        bad += quarantine(verdict)
        queue[:0] = sent_next(verdict)
    return sorted(acked), sorted(bad), requests


def strict(*held: str, bad: tuple[str, ...] = ()) -> Callable[[Bundle], Answer | None]:
    """A Hubject that refuses whole requests and names nobody."""

    def answer(sent: Bundle) -> Answer | None:
        keys = {change.key for change in sent.changes}
        wrong = keys & set(held) if sent.action is INSERT else keys - set(held)
        return refused("022") if wrong or keys & set(bad) else None

    return answer


NAMES = [f"E{number}" for number in range(16)]


@pytest.mark.parametrize("presence", list(Presence))
@pytest.mark.parametrize(
    "held", [NAMES, [], NAMES[:7], NAMES[::2], NAMES[3:4]], ids=["all", "none", "block", "every 2nd", "one"]
)
def test_whatever_hubject_holds_every_good_record_gets_through(presence: Presence, held: list[str]) -> None:
    # On a first run, or after a lost full load, innocent EVSEs are quarantined because others are there.
    action = UPDATE if presence is Presence.PRESENT else INSERT
    acked, bad, _ = settle(bundle(*NAMES, action=action, presence=presence), strict(*held))
    assert (acked, bad) == (sorted(NAMES), [])


@pytest.mark.parametrize("presence", list(Presence))
def test_a_hidden_bad_record_is_found_and_only_it(presence: Presence) -> None:
    # Hubject refuses without saying which, and the whole bundle is quarantined or blocked.
    action = UPDATE if presence is Presence.PRESENT else INSERT
    held = NAMES if presence is not Presence.ABSENT else []
    acked, bad, requests = settle(
        bundle(*NAMES, action=action, presence=presence), strict(*held, bad=("E5",))
    )
    assert bad == ["E5"]
    assert acked == sorted(set(NAMES) - {"E5"})
    assert requests <= 20


def test_isolation_ends_even_if_everything_is_refused() -> None:
    # A code nobody knows sends requests without end.
    everything = refused("999")
    acked, bad, requests = settle(
        bundle(*NAMES, action=INSERT, presence=Presence.UNKNOWN), lambda _: everything
    )
    assert (acked, bad) == ([], sorted(NAMES))
    assert requests <= 4 * len(NAMES)
