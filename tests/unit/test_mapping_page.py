"""docs/mapping.md: what it tells people to write is accepted, and every disputed word is treated."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from oicp_adapter.core.vocabulary import load_vocabulary
from tests.unit.settings_files import MINIMAL, load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
TOPICS: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "scripts" / "disagreements.toml").read_text(encoding="utf-8")
)["topic"]
DISPUTED = (
    "Preparing",
    "Finishing",
    "Suspended",
    "Unavailable",
    "Offline",
    "Blocked",
    "Planned",
    "Removed",
    "Reserved",
)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic["title"])
def test_the_setting_of_a_disputed_word_is_one_and_changes_the_mapping(topic: dict[str, Any]) -> None:
    # The person who disagrees follows the page and is refused, or nothing changes.
    changed = load(f"{MINIMAL}[operators.slb.mapping]\n{topic['change']}\n").operators["slb"].mapping_rules
    usual = load(MINIMAL).operators["slb"].mapping_rules
    assert changed != usual
    words = {value for values in topic["words"].values() for value in values}
    for value, target in changed.overrides.items():
        assert value in words
        assert all(
            load_vocabulary(name).values[value].target is not target
            for name, values in topic["words"].items()
            if value in values
        )


@pytest.mark.parametrize("word", DISPUTED)
def test_every_word_that_platforms_read_differently_is_treated(word: str) -> None:
    # The first question of an integrator has no answer.
    assert any(topic["title"].startswith(word) for topic in TOPICS)


def test_the_examples_of_the_page_load() -> None:
    # What people copy is refused.
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        rules = (
            load(MINIMAL + block.replace("operators.example", "operators.slb")).operators["slb"].mapping_rules
        )
        assert rules.overrides or rules.rules or len(rules.words) == 3
