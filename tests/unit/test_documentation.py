"""What people wrote by hand is still true: links, verbs, options, events, settings, files, exit codes.

The pages that scripts/generate_docs.py writes are compared with the code in test_docs_drift.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import typer.main

from oicp_adapter.cli.main import app
from oicp_adapter.errors import AdapterError, worst_exit_code
from oicp_adapter.settings import Settings, load_settings
from oicp_adapter.settings.tree import leaves
from oicp_adapter.telemetry.events import CATALOGUE

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "oicp_adapter"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATIONS = ROOT / "docs" / "operations.md"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _fenced(page: Path) -> list[str]:
    """The lines of the code blocks, also of those inside a list."""
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```$", _text(page), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _spans(page: Path) -> list[str]:
    """The pieces of inline code."""
    prose = re.sub(r"^ *```.*?^ *```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def _anchors(page: Path) -> set[str]:
    """The headings as a web page names them."""
    headings = re.findall(r"^#+ (.+)$", _text(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    # At 03:00 the page with the cure is "not found".
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


Verb = tuple[str, ...]


def _commands(command: Any, verb: Verb = ()) -> Iterator[tuple[Verb, set[str]]]:
    """Every verb with its options. Any: typer brings a click of its own, or uses the one that is installed."""
    yield verb, {name for parameter in command.params for name in parameter.opts} | {"--help"}
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*verb, name))


VERBS = dict(_commands(typer.main.get_command(app)))
GROUPS = {verb[:-1] for verb in VERBS if verb}
OPTIONS = set().union(*VERBS.values())


def _calls(page: Path) -> Iterator[str]:
    """What follows the program's name wherever it is called, and pieces of code that begin with a verb."""
    for code in (*_fenced(page), *_spans(page)):
        for call in re.findall(r"oicp-adapter +([^`·]+)", code):
            if re.match(r"[a-z]+\b|--", call):
                yield call
    for span in _spans(page):
        if (span.split()[0],) in VERBS and "--" in span:
            yield span


@pages
def test_every_verb_and_option_exists(page: Path) -> None:
    # The command that cures it, typed at 03:00, is answered with "No such option".
    for call in _calls(page):
        words = call.split()
        if words[0] == "oicp-adapter":  # docker run … oicp-adapter oicp-adapter …
            continue
        verb: Verb = ()
        for word in words:
            if (*verb, word) not in VERBS:
                break
            verb = (*verb, word)
        options = {word.strip("()[],.") for word in words if re.match(r"\[?--[a-z]", word)}
        assert verb not in GROUPS or words[len(verb) :][:1] == [] or words[0].startswith("--"), call
        assert options <= VERBS[verb], call
    for span in _spans(page):
        if re.match("--[a-z]", span):
            assert span.split()[0].split("=")[0] in OPTIONS | {"--upgrade"}, span


def test_the_check_of_verbs_and_options_can_fail() -> None:
    # The check that cannot fail.
    assert ("quarantine", "list") in VERBS
    assert ("quarantine", "lost") not in VERBS
    assert "--adopt" in VERBS["resync",]
    assert "--adopt" not in VERBS["sync",]
    assert any(call.startswith("resync abc --adopt") for call in _calls(ROOT / "README.md"))


PATHS = [tuple(str(part) for part in location) for location, _ in leaves(Settings)]
SETTINGS = {".".join(path[-count:]) for path in PATHS for count in range(1, len(path) + 1)}
FAMILIES = {name.split(".")[0] for name in CATALOGUE}
TABLES = {path[0] for path in PATHS}


@pages
def test_every_event_and_setting_exists(page: Path) -> None:
    # An alert waits for an event that never comes; a setting from the page is refused.
    for span in _spans(page):
        if re.fullmatch(r"[a-z_]+\.[a-z_]+", span) and span.split(".")[0] in FAMILIES | TABLES:
            assert span in CATALOGUE or span in SETTINGS or span.endswith((".db", ".toml")), span
        if table := re.match(r"\[(\w+)\] (\w+)", span):
            assert ".".join(table.groups()) in SETTINGS, span


@pages
def test_every_file_it_names_exists(page: Path) -> None:
    # Somebody looks for the proof, or for the place to change, and finds nothing.
    for span in _spans(page):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/([\w.-]+\.(py|sql|toml|yaml|md))?", span) and "NAME" not in span:
            ours = [root / span for root in (ROOT, PACKAGE, page.parent)]
            assert any(path.exists() for path in ours) or span == "config/adapter.toml", span


def _kinds(kind: type[AdapterError] = AdapterError) -> Iterator[type[AdapterError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    # A script retries what it should report, because the table says something else than the program.
    table = _text(OPERATIONS).split("\n## Exit codes\n")[1].split("\n## ")[0]
    meanings = {
        int(code): text for code, text in re.findall(r"^\| (\d) \| (.+) \|$", table, flags=re.MULTILINE)
    }
    assert {kind.exit_code for kind in _kinds()} | {0} == set(meanings)
    words = {0: "Done", 1: "Failed", 2: "configuration", 3: "guard", 4: "Hubject", 5: "source"}
    assert all(word in meanings[code] for code, word in words.items())
    order = re.search(r"in the order ([0-9, ]+)\.", table)
    assert order
    for worse, better in combinations([int(code) for code in order[1].split(",")], 2):
        assert worst_exit_code([better, worse]) == worse


def test_every_error_is_among_the_alerts() -> None:
    # A person must act, and nobody is called.
    table = _text(OPERATIONS).split("\n## What to alert on\n")[1].split("\n## ")[0]
    errors = {event.name for event in CATALOGUE.values() if event.level >= logging.ERROR}
    assert errors
    assert not {name for name in errors if f"`{name}`" not in table}


def test_the_configuration_of_the_readme_is_one(tmp_path: Path) -> None:
    # The first thing a newcomer copies is refused.
    block = re.search(r"```toml\n(.*?)```", _text(ROOT / "README.md"), flags=re.DOTALL)
    assert block
    assert len(block[1].splitlines()) <= 10
    file = tmp_path / "adapter.toml"
    file.write_text(block[1], encoding="utf-8")
    settings = load_settings(file, {})
    assert settings.hubject.environment == "qa"
    assert [operator.id for operator in settings.operators.values()] == ["DE*ABC"]


def test_every_table_of_the_ledger_is_explained() -> None:
    # Somebody opens the ledger at night and finds a table that no page knows.
    scripts = "".join(_text(script) for script in sorted((PACKAGE / "ledger" / "schema").glob("*.sql")))
    tables = re.findall(r"^CREATE TABLE (\w+)", scripts, flags=re.MULTILINE)
    explained = _text(ROOT / "docs" / "architecture.md").split("\n## The ledger's tables\n")[1]
    assert tables
    assert not [table for table in tables if f"| `{table}` |" not in explained]


def test_every_promise_names_its_proof() -> None:
    # A promise that nothing holds.
    promises = re.split(r"^## (?=P[1-8] )", _text(ROOT / "docs" / "guarantees.md"), flags=re.MULTILINE)[1:]
    assert [promise[:2] for promise in promises] == [f"P{number}" for number in range(1, 9)]
    for promise in promises:
        assert re.search(r"`tests/[\w/]+\.py`", promise.split("\n## ")[0]), promise[:40]


TEXTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("config/**/*"),
        *ROOT.glob("oicp_adapter/**/*.py"),
    )
    if path.suffix in (".md", ".toml", ".py")
)


def test_no_text_holds_a_command_that_would_empty_the_map() -> None:
    # Somebody copies it from the runbook at 03:00, and the map is empty.
    ready = re.compile(r"--adopt[ =]+0\b|--(adopt|allow-withdrawal)[ =]+\d+.*--empties-the-map")
    assert [
        (path.name, line) for path in TEXTS for line in path.read_text().splitlines() if ready.search(line)
    ] == []
    assert ready.search("oicp-adapter resync abc --allow-withdrawal 12 --empties-the-map")
    runbook = (ROOT / "docs" / "operations.md").read_text()
    assert "resync OPERATOR --allow-withdrawal N --empties-the-map" in runbook
