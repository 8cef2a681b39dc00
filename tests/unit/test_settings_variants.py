"""A table whose `type` says which one it is: told, documented and set by the environment like any other."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from oicp_adapter.settings.environment import Overrides
from oicp_adapter.settings.problems import explained
from oicp_adapter.settings.table import Table
from oicp_adapter.settings.tree import dotted, fields_of, leaves, variants


class Paper(Table):
    """A source on paper."""

    type: Literal["paper"]
    """The kind."""
    shelf: int = Field(ge=1)
    """Where it lies."""


class Phone(Table):
    """A source that is called."""

    type: Literal["phone", "fax"]
    """The kind."""
    number: str
    """Whom to call."""


class Root(Table):
    """A configuration."""

    sources: dict[str, Annotated[Paper | Phone, Field(discriminator="type")]]
    """By name."""


def problems(table: dict[str, object]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Root.model_validate({"sources": {"one": table}})
    return {problem.path: problem.text for problem in explained(caught.value, Root)}


def test_every_variant_is_known_with_all_its_keys() -> None:
    # A setting of the second kind is "not a setting", or has no line in the documentation.
    kind = Root.model_fields["sources"].annotation.__args__[1]  # type: ignore[union-attr]
    assert variants(kind) == {"paper": Paper, "phone": Phone, "fax": Phone}
    assert list(fields_of(kind) or {}) == ["type", "number", "shelf"]
    assert variants(Root) == variants(str) == variants(dict[str, Paper]) == variants(int | None) == {}


def test_a_problem_names_the_key_as_people_write_it() -> None:
    # sources.one.paper.shelf stands nowhere in the file.
    assert problems({"type": "paper", "shelf": 0}) == {"sources.one.shelf": "must be at least 1"}
    assert "did you mean" in problems({"type": "phone", "number": "1", "numbr": "2"})["sources.one.numbr"]
    assert problems({"type": "phone"})["sources.one.number"].startswith("is missing")
    letters: list[dict[str, object]] = [{"type": "letter"}, {"shelf": 1}]
    for wrong in letters:
        assert problems(wrong) == {"sources.one.type": "must be one of 'paper', 'phone', 'fax'"}


def test_the_environment_sets_the_keys_of_every_variant() -> None:
    # The second kind of source cannot be configured in a container.
    environ = {"OICP_ADAPTER__SOURCES__ONE__NUMBER": "112", "OICP_ADAPTER__SOURCES__ONE__SHELF": "2"}
    overrides = Overrides(environ, file={}, root=Root)
    assert overrides.problems == []
    assert overrides.table == {"sources": {"ONE": {"number": "112", "shelf": "2"}}}
    wrong = Overrides({"OICP_ADAPTER__SOURCES__ONE__COLOUR": "red"}, file={}, root=Root)
    assert "known here" in wrong.problems[0].text


def test_every_key_of_every_variant_is_a_leaf() -> None:
    # A test that goes through all settings leaves some out.
    assert {dotted(location) for location, _ in leaves(Root)} == {
        "sources.KEY.type",
        "sources.KEY.number",
        "sources.KEY.shelf",
    }
