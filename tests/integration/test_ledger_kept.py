"""Rows kept between two readings are those of the file, whoever wrote to it in between."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import EvseRow, IntentRecord, OperatorState, Presence, PushIntent, PushRow
from oicp_adapter.errors import LedgerError
from oicp_adapter.ledger import codec
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore

URL = "https://hub.example/api/oicp"
NOW = 1_800_000_000.0
STATE = OperatorState()


def row(number: int, status: EvseStatus = EvseStatus.AVAILABLE) -> EvseRow:
    name = f"DE*ABC*E{number}"
    return EvseRow(
        key=name.replace("*", ""), wire_id=name, source_id=name, presence=Presence.PRESENT, status=status
    )


steps = st.lists(
    st.tuples(
        st.sampled_from(["save", "forget", "push", "refused", "wiped", "load"]),
        st.integers(0, 1),
        st.integers(0, 4),
        st.sampled_from(EvseStatus),
    ),
    max_size=25,
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_what_is_loaded_is_what_stands_in_the_file(steps: list[tuple[str, int, int, EvseStatus]]) -> None:
    # A row that another process changed is planned as it was: the wrong status, for as long as nothing changes it.
    with tempfile.TemporaryDirectory() as place, SqliteStore.open(Path(place, "l.db"), now=NOW) as store:
        ledgers = [store.operator(URL, "DEABC") for _ in range(2)]
        for what, who, number, status in steps:
            _do(what, ledgers[who], row(number, status))
            if what == "load":
                _same(store, ledgers[:1])
        _same(store, ledgers)


def _same(store: SqliteStore, ledgers: list[SqliteLedger]) -> None:
    fresh = store.operator(URL, "DEABC")
    for ledger in ledgers:
        assert ledger.load().rows == fresh.load().rows
    fresh.close()


def _do(what: str, ledger: SqliteLedger, one: EvseRow) -> None:
    match what:
        case "save":
            ledger.save([one], STATE)
        case "forget":
            ledger.save([], STATE, forget=[one.key])
        case "push":
            records = (IntentRecord(one.key, one.status, ""),)
            intent = PushIntent(
                action=ActionType.UPDATE, cycle_id="c", started_at=NOW, count=1, records=records, rows=(one,)
            )
            push_id = ledger.begin(intent)
            done = PushRow(push_id=push_id, finished_at=NOW + 1, outcome="applied")
            ledger.finish(done, [replace(one, push_id=push_id)], STATE)
        case "refused":
            with pytest.raises(LedgerError):
                ledger.finish(PushRow(push_id=10**6, finished_at=NOW, outcome="applied"), [one], STATE)
        case "wiped":
            ledger.load().rows.clear()  # what is given out is the caller's


def test_a_fleet_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten thousand rows are decoded every ten seconds for nothing.
    with SqliteStore.open(tmp_path / "l.db", now=NOW) as store:
        ledger = store.operator(URL, "DEABC")
        ledger.save([row(number) for number in range(3)], STATE)
        assert len(ledger.load().rows) == 3
        read: list[int] = []
        real = codec.decoded

        def decoded(columns: Iterable[tuple[Any, ...]]) -> dict[str, EvseRow]:
            read.append(1)
            return real(columns)

        monkeypatch.setattr(codec, "decoded", decoded)
        ledger.save([row(1, EvseStatus.OCCUPIED)], STATE)
        ledger.save((), OperatorState(baseline="adopted"))
        picture = ledger.load()
        assert (picture.rows["DEABCE1"].status, picture.state.baseline) == (EvseStatus.OCCUPIED, "adopted")
        assert read == []
        store.operator(URL, "DEABC").save([row(1)], STATE)
        assert ledger.load().rows["DEABCE1"].status is EvseStatus.AVAILABLE
        assert read == [1]


def test_a_writing_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A full disk: the row counts as written in memory, and is not in the file.
    with SqliteStore.open(tmp_path / "l.db", now=NOW) as store:
        ledger = store.operator(URL, "DEABC")
        ledger.save([row(1)], STATE)
        ledger.load()

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteLedger, "_revised", full)
            with pytest.raises(LedgerError):
                ledger.save([row(1, EvseStatus.OCCUPIED)], STATE)
        assert ledger.load().rows["DEABCE1"].status is EvseStatus.AVAILABLE
