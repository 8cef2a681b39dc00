"""What others wrote is shown as it is written: no markup, no escape sequence, no megabytes."""

from __future__ import annotations

import json
import sqlite3

from tests.acceptance.fleet import fleet, replace
from tests.acceptance.house import House

ESCAPE = "\x1b"
PLACE = "exports [eu] [/x] :car:"


def _shows(house: House, *words: str) -> str:
    ended = house.call(*words)
    assert ESCAPE not in ended.said, words
    return ended.said


def test_texts_of_the_source_are_shown_as_they_are_and_command_no_terminal(house: House) -> None:
    # In the field: `status` ends with a traceback just when the export in "exports [/x]" is broken; a path loses its
    # "[eu]"; a status value clears the screen; one of 200 MB fills the ledger.
    path = house.place / PLACE / "fleet.json"
    path.parent.mkdir(parents=True)
    house.configure(
        source=f'{{ type = "file", path = "{PLACE}/fleet.json", format = "json", vocabulary = "ocpi" }}'
    )
    good = [{"evse_id": name, "status": "AVAILABLE"} for name in fleet(8)]
    odd = [
        {"evse_id": "DE*SLB*E0100*1", "status": "[bold]FREE[/x]\x1b[2J"},
        {"evse_id": "DE*SLB*E0101*1", "status": "B" * 3_000_000},
        {"evse_id": "[red]\x1b]0;hello\x07DE*SLB", "status": "AVAILABLE"},
    ]
    replace(path, json.dumps([*good, *odd]))
    assert house.call("sync").code == 0
    for words in (("plan",), ("status",), ("quarantine", "list"), ("check",)):
        _shows(house, *words)
    assert "[bold]FREE[/x]" in _shows(house, "explain", "DE*SLB*E0100*1")
    assert "[red]\ufffd]0;hello\ufffdDE*SLB" in _shows(house, "quarantine", "list")
    assert house.ledger.stat().st_size < 1_000_000
    with sqlite3.connect(house.ledger) as connection:
        longest = connection.execute("SELECT max(length(value)), max(length(rule)) FROM evse").fetchone()
    assert max(longest) < 500
    path.unlink()
    assert house.call("sync").code == 5
    assert f"{PLACE}/fleet.json: cannot be read" in _shows(house, "status")


def test_a_reason_and_a_progress_are_texts_too(house: House) -> None:
    # In the field: `pause --reason "[/x]"`, and status fails until somebody resumes without having seen it.
    house.configure()
    house.published(fleet(3))
    assert house.call("pause", "slb", "--reason", "works [/x] \x1b[2J :car:").code == 0
    shown = _shows(house, "status")
    assert "works [/x] [2J :car:" in shown
    assert "works [/x] [2J :car:" in _shows(house, "sync")
