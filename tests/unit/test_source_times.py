"""Times as backends write them: one moment from every form that means only one, and no guess at the others."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.model import NEVER
from oicp_adapter.sources.formats.collected import Cells, Collected
from oicp_adapter.sources.formats.times import TimeForms
from oicp_adapter.sources.formats.values import BadValue, Scalar

NOON = 1_775_131_200.0  # 2026-04-02T12:00:00Z
read = TimeForms().reader()


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
        "2026-04-02 14:00:00 +02:00",
        "2026-04-02 12:00:00.0000000 +00:00",
        "2026-04-02 12:00:00 UTC",
        "2026-04-02T12:00:00 GMT",
        "2026-04-02T12:00:00+00:00",
        "2026-04-02T12:00Z[UTC]",
        "2026-04-02T14:00:00.000+02:00[Europe/Berlin]",
        "2026-04-02 12:00:00 +0000 UTC",
        "2026-04-02 14:00:00.000000001 +0200 CEST m=+0.000012345",
        "20260402T120000Z",
        "Thu, 02 Apr 2026 12:00:00 GMT",
        "Thu, 02 Apr 2026 14:00:00 +0200",
        "2 Apr 2026 12:00 +0000",
        "Thu Apr  2 12:00:00 2026",
        " 2026-04-02T12:00Z ",
        1_775_131_200,
        1_775_131_200.0,
        1_775_131_200_000,
        1_775_131_200_000_000,
        1_775_131_200_000_000_000,
        "1775131200",
        "1775131200000",
        "1775131200.0",
        "1775131200000000",
        "1775131200000000000",
    ],
)
def test_one_moment_is_read_from_every_spelling(written: Scalar) -> None:
    # A misread zone or unit makes a stale copy of an EVSE win over the fresh one.
    assert read(written) == pytest.approx(NOON, abs=1e-6)


def test_a_time_without_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    # OCPI means UTC when it says nothing; local time would age every state by hours.
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert read("2026-04-02T12:00:00") == NOON
        assert read("Thu, 02 Apr 2026 12:00:00") == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


def test_fractions_of_seconds_are_kept() -> None:
    # Two states within one second would tie, and the wrong one could win.
    assert read("2026-04-02T12:00:00.25Z") == NOON + 0.25
    assert read(1_775_131_200_250) == NOON + 0.25


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_an_empty_time_is_no_time_and_no_fault(nothing: Scalar) -> None:
    # A charger that never sent a heartbeat would be reported as broken data in every cycle.
    assert read(nothing) is None


@pytest.mark.parametrize(
    "written",
    [
        0,
        "0",
        "0.0",
        0.75,
        "946684800",  # 2000: a clock whose battery is empty
        -62_135_596_800,
        "0000-00-00",
        "0000-00-00 00:00:00",
        "1970-01-01T00:00:00.75Z",
        "1970-01-01",
        "2000-01-01 00:00:00+02:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01 00:00:00 +0000 UTC",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "never",
        "NEVER",
    ],
)
def test_a_clock_that_was_never_set_is_never_and_not_no_time(written: Scalar) -> None:
    # The same fact in other spellings had other answers, and the dangerous one was "Available".
    assert read(written) == NEVER


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2026-04-02",
        "20260402",
        20260402,
        "20260402120000",
        "45989.61",  # a spreadsheet's day
        "02.04.2026 12:00",
        "28.11.2026 14:40:22",
        "03/04/2026 12:00:00",
        "11/28/2026 2:40 PM",
        "2026-04-02T25:00:00Z",
        "2026-04-02 12:00:00 CET",
        "Thu, 02 Apr 2026 12:00:00 CET",
        "Thu, 02 Apr 26 12:00:00 GMT",
        "2026-W14-4",
        "nan",
        "inf",
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        True,
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_what_is_not_surely_one_moment_is_none(written: Scalar) -> None:
    # 03/04/2026 is in March or in April: one of them keeps a dead charger on the map for a month.
    with pytest.raises(BadValue, match="is not a time"):
        read(written)


@pytest.mark.parametrize("day", [(3, 4), (28, 11), (11, 28)])
def test_day_and_month_are_not_guessed_even_where_todays_value_tells(day: tuple[int, int]) -> None:
    # It would be read on the 13th and refused, or turned round, on the 12th.
    with pytest.raises(BadValue):
        read(f"{day[0]:02}/{day[1]:02}/2026 12:00:00")


def test_a_form_that_a_setting_names_is_read_in_the_sources_zone() -> None:
    # The German export, written by hand or by a spreadsheet.
    berlin = TimeForms(zone="Europe/Berlin", formats=("%d.%m.%Y %H:%M:%S", "%d.%m.%y %H:%M")).reader()
    assert berlin("02.04.2026 14:00:00") == NOON
    assert berlin("02.04.26 14:00") == NOON
    assert berlin("2026-04-02 14:00:00") == NOON
    assert berlin("2026-04-02T12:00:00Z") == NOON
    assert TimeForms(formats=("%Y%m%d%H%M%S",)).reader()("20260402120000") == NOON
    assert TimeForms(formats=("%d.%m.%Y %H:%M %z",)).reader()("02.04.2026 14:00 +0200") == NOON


def test_a_local_time_that_a_clock_change_repeats_or_leaves_out_is_the_older() -> None:
    # The younger one keeps a dead charger alive for an hour.
    berlin = TimeForms(zone="Europe/Berlin").reader()
    assert berlin("2026-10-25 02:30:00") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    assert berlin("2026-03-29 02:30:00") == datetime(2026, 3, 29, 0, 30, tzinfo=UTC).timestamp()


@given(
    seconds=st.integers(1_262_400_000_000, 4_102_000_000_000).map(lambda ms: ms / 1000),
    zone=st.integers(-14 * 4, 14 * 4),
    form=st.sampled_from(["iso", "java", "go", "sql", "s", "ms", "us", "ns"]),
)
def test_whatever_is_written_in_a_known_form_is_read_as_that_moment(
    seconds: float, zone: int, form: str
) -> None:
    # A digit at the wrong place, once a year.
    local = datetime.fromtimestamp(seconds, UTC) + timedelta(minutes=15 * zone)
    sign, minutes = "+" if zone >= 0 else "-", abs(zone) * 15
    offset = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    text = {
        "iso": f"{local:%Y-%m-%dT%H:%M:%S.%f}{offset}",
        "java": f"{local:%Y-%m-%dT%H:%M:%S.%f}{offset}[Europe/Paris]",
        "go": f"{local:%Y-%m-%d %H:%M:%S.%f} {offset.replace(':', '')} XYZ",
        "sql": f"{local:%Y-%m-%d %H:%M:%S.%f}0 {offset}",
        "s": f"{seconds:.3f}",
        "ms": f"{round(seconds * 1e3)}",
        "us": f"{round(seconds * 1e3)}000",
        "ns": f"{round(seconds * 1e3)}000000",
    }[form]
    assert read(text) == pytest.approx(seconds, abs=1e-3)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans()))
def test_any_other_value_is_refused_in_one_way(value: Scalar) -> None:
    # One odd cell must cost its row a time, not the fleet its read.
    try:
        found = read(value)
    except BadValue:
        return
    assert found is None or found == NEVER or 1.2e9 < found < 4.2e9


@pytest.mark.parametrize(
    "word", ["NULL", "null", "\\N", "(null)", "None", "nan", "NaN", "n/a", "N/A", "-", " - "]
)
def test_what_database_clients_write_for_no_value_is_none(word: str) -> None:
    # `mysql -B` writes NULL: in `connection` it makes a healthy charger offline, in `evse_id` it is an id.
    into = Collected(Cells(words={"status": ("None",)}))
    into.add(("evse_id", "connection", "last_seen", "status"), (word, word, word, word), "line 2")
    (record,) = into.result().records
    assert (record.evse_id, record.connection, record.last_seen) == (None, None, None)
    # A word that the operator has given a meaning is a word, never empty.
    assert record.status == ("None" if word.casefold() == "none" else None)
