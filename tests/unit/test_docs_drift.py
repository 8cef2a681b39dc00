"""What the documentation says is what the code does: generated pages, and the catalogue of events."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from oicp_adapter.settings import Settings
from oicp_adapter.settings.tree import leaves
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.events import CATALOGUE, Event

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "oicp_adapter"
TELEMETRY = PACKAGE / "telemetry"
CONSTANTS = {name: value for name, value in vars(events).items() if isinstance(value, Event)}


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _nodes() -> Iterator[tuple[Path, ast.AST]]:
    """All syntax of the package but telemetry."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if TELEMETRY not in file.parents:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                yield file.relative_to(ROOT), node


@cache
def _used() -> set[str]:
    return {
        node.attr
        for _, node in _nodes()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "events"
    }


def test_the_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    # People set what is no longer there. Run scripts/generate_docs.py.
    drifted = _script().main(["--check"])
    assert drifted == 0, capsys.readouterr().out


def test_a_drifted_page_is_noticed_with_a_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The check that cannot fail.
    script = _script()
    monkeypatch.setattr(script, "DOCS", tmp_path)
    assert script.main([]) == 0
    page = tmp_path / "configuration.md"
    page.write_text(page.read_text(encoding="utf-8").replace("`settle`", "`setle`"), encoding="utf-8")
    assert script.main(["--check"]) == 1
    assert "+- **`settle`**" in capsys.readouterr().out


MISTAKES = tomllib.loads((ROOT / "scripts" / "peers_mistakes.toml").read_text(encoding="utf-8"))["mistake"]


@pytest.mark.parametrize("test", sorted({test for mistake in MISTAKES for test in mistake["tests"]}))
def test_every_test_that_stands_against_a_peer_s_mistake_exists(test: str) -> None:
    # The page names a proof that was renamed, or removed.
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_promise_has_its_proofs_on_the_page_about_verification() -> None:
    # A promise whose paragraph is worded differently falls out of the table, and nobody misses it.
    page = _script().verification()
    promises = re.findall(
        r"^## (P\d .*)$", (ROOT / "docs" / "guarantees.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(promises) == 8
    assert all(f"| {promise} | `tests/" in page for promise in promises)


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_every_event_of_the_catalogue_is_logged_somewhere(name: str) -> None:
    # An alert waits for an event that never comes.
    assert name in _used()


def test_only_events_of_the_catalogue_are_used() -> None:
    # The daemon dies of an AttributeError at the moment it wants to report.
    known = set(vars(events))
    assert _used() <= known
    assert {name for name in _used() if name.isupper()} <= set(CONSTANTS) | {"CATALOGUE"}


def test_nothing_is_logged_past_the_catalogue() -> None:
    # A line that no documentation explains, and that no rule keeps free of secrets.
    for file, node in _nodes():
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(module.split(".")[0] == "structlog" for module in modules), file
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            assert name not in ("getLogger", "get_logger", "Event") or _is_threading_event(node), file
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("emit", "crash")
        ):
            assert node.args, file
            assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr), file


def _is_threading_event(node: ast.Attribute | ast.Name) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("threading", "asyncio")
    )


def test_every_event_has_a_name_of_its_own() -> None:
    # Two kinds of line that an alert cannot tell apart.
    assert len(CATALOGUE) == len(CONSTANTS)


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.name)
def test_an_event_names_only_settings_that_exist(event: Event) -> None:
    # The on-call engineer is told to raise a setting that is refused.
    tables = {(location[0], location[-1]) for location, _ in leaves(Settings)}
    for table, key in re.findall(r"`\[(\w+)\] (\w+)`", event.says + event.do):
        assert (table, key) in tables
