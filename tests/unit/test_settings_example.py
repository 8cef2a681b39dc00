"""config/adapter.example.toml is what people copy: it must load, be complete, and tell the real defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from oicp_adapter.settings import Settings
from oicp_adapter.settings.tree import Location, dotted, leaves
from tests.unit.settings_files import load

EXAMPLE = (Path(__file__).parents[2] / "config" / "adapter.example.toml").read_text(encoding="utf-8")
UNCOMMENTED = re.sub(r"^#(?=[a-z_.]+ = )", "", EXAMPLE, flags=re.MULTILINE)
PROXY = {"PROXY_USER": "u", "PROXY_PASSWORD": "p"}
LEAVES = dict(leaves(Settings))


def value_at(location: Location) -> Any:
    """What the example has there; KeyError if nothing."""
    found: Any = tomllib.loads(UNCOMMENTED)
    for part in location:
        found = found["example" if part == "KEY" else part]
    return found


def test_the_example_loads_as_it_is() -> None:
    # The first thing a user copies is refused.
    load(EXAMPLE)


@pytest.mark.parametrize("alternative", ["environment", "base_url"])
def test_the_example_loads_with_every_key_in_use(alternative: str) -> None:
    # A user who uncomments a line is refused. The two addresses exclude each other.
    load(re.sub(rf"^{alternative} = .*$", "", UNCOMMENTED, flags=re.MULTILINE), PROXY)


@pytest.mark.parametrize("location", LEAVES, ids=dotted)
def test_the_example_shows_every_setting_and_its_default(location: Location) -> None:
    # A setting nobody finds, or a default that is not the one told.
    field, shown = LEAVES[location], value_at(location)
    if not field.is_required() and field.default not in (None, {}):
        assert (tuple(shown) if isinstance(shown, list) else shown) == field.default


@pytest.mark.parametrize("location", LEAVES, ids=dotted)
def test_every_setting_is_explained(location: Location) -> None:
    # docs/configuration.md has a key without a word about it.
    assert len(LEAVES[location].description or "") > 20


def test_every_line_of_the_example_is_a_setting_or_prose() -> None:
    # A commented key that no test uncomments may be wrong for years.
    for line in EXAMPLE.splitlines():
        assert re.match(r"$|# |#$|\[[a-z.]+\]$|#?[a-z_.]+ = \S", line), line
