"""Single values as backends write them; times have a file of their own."""

from __future__ import annotations

import pytest

from oicp_adapter.sources.formats.values import BadValue, Scalar, to_text


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
