"""The page a newcomer follows is true: its commands run in order and print what it shows, and nothing breaks a rule."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from oicp_adapter.settings import load_settings
from tests.acceptance.page import HURRY, Session, Step, alike, steps
from tests.patience import AT_MOST

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def test_every_step_of_the_page_prints_what_the_page_shows(tmp_path: Path) -> None:
    # In the field: the first ten minutes; one step that does not work as told, and nobody goes on.
    # If what is printed has changed for the better: python -m tests.acceptance.page docs/getting-started.md
    session = Session(tmp_path, **HURRY)
    try:
        for step in steps(PAGE.read_text(encoding="utf-8")):
            assert alike(session.play(step)) == alike(step.text), step.text.splitlines()[0]
        for page, expected in (("rules", []), ("statuses", {"DE*ABC": PUBLISHED})):
            with urllib.request.urlopen(f"{session.simulator}/_sim/{page}", timeout=AT_MOST) as answer:
                assert json.load(answer) == expected
    finally:
        ended = session.close()
    assert [code for code, _ in ended] == [0, 0]
    assert "Traceback" not in "".join(shown for _, shown in ended)


PUBLISHED = {
    "DE*ABC*E0001*1": "Occupied",
    "DE*ABC*E0001*2": "Occupied",
    "DE*ABC*E0002*1": "Occupied",
    "DE*ABC*E0003*1": "Occupied",
    "DE*ABC*E0004*1": "OutOfService",
    "DE*ABC*E0005*1": "OutOfService",
}
"""What the simulated Hubject holds when the page ends."""


def test_the_configuration_for_the_test_system_is_one(tmp_path: Path) -> None:
    # In the field: the step from the simulator to Hubject is made by copying it.
    (block,) = re.findall(
        r"```toml\n(\[hubject\]\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    file = tmp_path / "adapter.toml"
    source = '[operators.abc.source]\ntype = "file"\npath = "export.csv"\nvocabulary = "ocpp1.6"\n'
    file.write_text(block + source, encoding="utf-8")
    assert load_settings(file, {}).hubject.environment == "qa"


def test_the_page_has_the_whole_way_in_order() -> None:
    # A step that lost its mark is not tested any more.
    verbs = re.findall(
        r"^\$ oicp-adapter (\w+(?: list)?)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    way = ["simulate", "init", "map", "check", "plan", "sync", "explain", "quarantine list", "run", "resync"]
    assert sorted(set(verbs) & set(way), key=verbs.index) == way
    played = [
        step for step in steps(PAGE.read_text(encoding="utf-8")) if step.mark in ("session", "stays", "soon")
    ]
    assert sum(step.text.count("$ oicp-adapter") for step in played) == len(verbs)


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ("abc: read 8 records in 0.1 s", True),
        ("abc: read 8 records in 12.0 s", True),
        ("abc: read 9 records in 0.1 s", False),
        ("abc: read 8 records", False),
    ],
)
def test_only_what_differs_from_run_to_run_is_not_compared(shown: str, same: bool) -> None:
    # The check that cannot fail.
    assert (alike(shown) == alike("abc: read 8 records in 0.3 s")) == same


def test_the_marks_of_a_page_are_read() -> None:
    # A page whose blocks are not found is always true.
    page = "text\n<!-- file: a.csv -->\n```\nx\n```\n<!-- replace: x → y -->\n\n"
    page += "<!-- session -->\n```console\n$ a\nb\n```\n"
    found = [Step(step.mark, step.what, step.text, 0) for step in steps(page)]
    assert found == [
        Step("file", "a.csv", "x\n", 0),
        Step("replace", "x", "y", 0),
        Step("session", "", "$ a\nb\n", 0),
    ]
