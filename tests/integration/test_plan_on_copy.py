"""`plan --ledger COPY`: what an upgrade would change, beside the old daemon and without touching its ledger."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app

VERSION_1 = Path(__file__).with_name("ledger_v1.sql")
CONFIGURATION = """\
[hubject]
base_url = "http://127.0.0.1:9/api/oicp"

[operators.abc]
id = "DE*ABC"
name = "ABC Charging"
source = { type = "file", path = "fleet.csv", vocabulary = "ocpp1.6" }
"""
ROW = """
INSERT INTO evse (
    operator_id, key, wire_id, presence, status, status_at, source_id, desired, cause, value, rule, withheld
) VALUES (
    1, 'DEABCE{0}', 'DE*ABC*E{0}', 'present', 'Available', 1.5, 'DE*ABC*E{0}', 'Available', 'reported', 'Available',
    'ocpp1.6 Available', ''
)
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of the first version, which knows twenty EVSEs as Available."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter.toml").write_text(CONFIGURATION)
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text("utf-8"))
        connection.execute("UPDATE operator SET base_url = 'http://127.0.0.1:9/api/oicp'")
        for table in ("push_record", "evse"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE push SET finished_at = 2.5, outcome = 'applied'")
        for number in range(20):
            connection.execute(ROW.format(number))
        connection.commit()
    return path


def fleet(tmp_path: Path, *odd: str) -> None:
    rows = list(odd) + [f"DE*ABC*E{number},Available,Online" for number in range(len(odd), 20)]
    (tmp_path / "fleet.csv").write_text("evse_id,status,connection\n" + "".join(f"{row}\n" for row in rows))


def plan(*words: str) -> Result:
    return CliRunner().invoke(app, ["plan", *words, "--config", "adapter.toml"])


def facts(*words: str) -> Any:
    result = plan("--json", *words)
    return json.loads(result.stdout)["abc"]


def test_what_would_differ_is_listed_and_nothing_is_touched(copy: Path, tmp_path: Path) -> None:
    # The upgrade turned twenty chargers at once, and nobody had seen it coming.
    fleet(tmp_path, "DE*ABC*E0,Available,Offline", "DE*ABC*E1,Kaputt,Online")
    before = copy.read_bytes()
    result = plan("--ledger", "copy.db")
    assert result.exit_code == 0, result.output
    assert "offline: connection is Offline" in result.stdout
    assert [(one["evse_id"], one["from"], one["to"]) for one in facts("--ledger", "copy.db")["changes"]] == [
        ("DE*ABC*E0", "Available", "Unknown"),
        ("DE*ABC*E1", "Available", "Unknown"),
    ]
    assert copy.read_bytes() == before
    assert not list(tmp_path.glob("ledger*"))


def test_what_a_guard_would_withhold_is_listed_with_its_rule(copy: Path, tmp_path: Path) -> None:
    # "12 withheld" does not say which, nor what they would be.
    fleet(tmp_path, *(f"DE*ABC*E{number},Frei,Online" for number in range(12)))
    result = plan("--ledger", "copy.db")
    assert result.exit_code == 3
    assert result.stdout.count("mass_unknown: unmapped Frei") == 12
    (one, *others) = facts("--ledger", "copy.db")["kept_back"]
    assert len(others) == 11
    assert one == {
        "evse_id": "DE*ABC*E0",
        "from": "Available",
        "would_be": "Unknown",
        "guard": "mass_unknown",
        "reason": "unmapped Frei",
    }


def test_the_old_ledger_itself_says_how_to_compare(copy: Path, tmp_path: Path) -> None:
    # The new version beside the old daemon must not bring its ledger up to date.
    fleet(tmp_path)
    copy.rename(tmp_path / "ledger.db")
    result = plan()
    assert result.exit_code == 1
    assert "plan --ledger COPY" in result.stderr
    refused = plan("--ledger", "nowhere.db")
    assert refused.exit_code == 1
    assert "nowhere.db" in refused.stderr
