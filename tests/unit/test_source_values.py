"""Single values as backends write them."""

from __future__ import annotations

import time

import pytest

from oicp_adapter.sources.formats.values import BadValue, Scalar, parse_time, to_text

NOON = 1_775_131_200.0  # 2026-04-02T12:00:00Z


@pytest.mark.parametrize(
    "written",
    [
        "2026-04-02T12:00:00Z",
        "2026-04-02T12:00:00",
        "2026-04-02 12:00:00",
        "2026-04-02t12:00:00z",
        "2026-04-02T12:00:00.000000000Z",
        "2026-04-02T14:00:00+02:00",
        "2026-04-02 14:00:00+02",
        " 2026-04-02T12:00Z ",
        1_775_131_200,
        1_775_131_200.0,
        1_775_131_200_000,
        "1775131200",
        "1775131200000",
        "1775131200.0",
    ],
)
def test_one_moment_is_read_from_every_spelling(written: Scalar) -> None:
    # A misread zone or unit makes a stale copy of an EVSE win over the fresh one.
    assert parse_time(written) == NOON


def test_a_time_without_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    # OCPI means UTC when it says nothing; local time would age every state by hours.
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time("2026-04-02T12:00:00") == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


def test_fractions_of_seconds_are_kept() -> None:
    # Two states within one second would tie, and the wrong one could win.
    assert parse_time("2026-04-02T12:00:00.25Z") == NOON + 0.25
    assert parse_time(1_775_131_200_250) == NOON + 0.25


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_an_empty_time_is_no_time_and_no_fault(nothing: Scalar) -> None:
    # A charger that never sent a heartbeat would be reported as broken data in every cycle.
    assert parse_time(nothing) is None


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2026-04-02",
        "20260402",
        "20260402120000",
        "02.04.2026 12:00",
        "2026-04-02T25:00:00Z",
        "2026-W14-4",
        "nan",
        "inf",
        0,
        -1,
        17,
        float("nan"),
        1e300,
        10**400,
        True,
    ],
)
def test_what_is_not_surely_a_time_is_refused(written: Scalar) -> None:
    # A date read as epoch seconds, or a counter read as a time, orders duplicates wrongly.
    with pytest.raises(BadValue):
        parse_time(written)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Available", "Available"),
        (" Available\n", "Available"),
        ("", None),
        ("   ", None),
        (None, None),
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        ("Ladesäule\u00a05", "Ladesäule\u00a05"),
        ("a\tb", "a\tb"),
    ],
)
def test_scalars_become_the_text_people_mean(written: Scalar, text: str | None) -> None:
    # connector 1 written as a number, or as 1.0 by a spreadsheet, would be another connector than "1".
    assert to_text(written) == text


@pytest.mark.parametrize("written", ["Avail\0able", "Available\nDE*ABC*E2", "a\rb", "Stra\udcdfe"])
def test_characters_no_status_can_have_are_refused(written: str) -> None:
    # A line break inside a value is a lost quote: the EVSEs behind it were swallowed.
    with pytest.raises(BadValue):
        to_text(written)


def test_a_value_that_is_not_utf8_says_so() -> None:
    # A state of a German export, read as ISO-8859-1 bytes: a lone surrogate on the screen names no cause.
    with pytest.raises(BadValue, match=r"^'St\ufffdrung' is not UTF-8: save the export as UTF-8$"):
        to_text("St\udcf6rung")
