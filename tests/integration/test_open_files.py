"""Too few open files: each part says so, with the fix, instead of blaming permissions or the network."""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oicp_adapter import open_files
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.errors import AdapterError, CertificateError, ConfigurationError, LedgerError, SourceError
from oicp_adapter.hub import HubClient, HubOptions, TlsOptions
from oicp_adapter.hub.tls import build_context
from oicp_adapter.ledger import faults
from oicp_adapter.ledger.lock import OperatorLock
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.oicp.answers import Reaction
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.settings.load import load_settings
from oicp_adapter.simulator import Certificates
from oicp_adapter.sources.file import FileOptions, FileSource
from tests.acceptance.running import Verb
from tests.fakes.clock import HurriedClock

SPARE = 8
"""Files that can still be opened when all are taken: the limit counts numbers, of which the lowest are in use."""


@contextmanager
def all_taken() -> Iterator[None]:
    """This process cannot open one more file."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + SPARE, before[1]))
    try:
        while len(taken) < 10_000:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for file in taken:
            os.close(file)


def says_so(error: AdapterError) -> bool:
    return error.hint == open_files.ADVICE and "oo many" in error.message


def test_a_process_knows_when_it_has_run_out() -> None:
    # Libraries hide the reason; and a check that always says yes would hide every other one.
    assert not open_files.ran_out()
    with all_taken():
        assert open_files.ran_out()
    assert not open_files.ran_out()


def test_the_source_says_so(tmp_path: Path) -> None:
    # "check the disk or network share" at 03:00.
    (tmp_path / "fleet.csv").write_text("evse_id,status\nDE*ABC*E1,AVAILABLE\n")
    source = FileSource(FileOptions(path=tmp_path / "fleet.csv"))
    with all_taken(), pytest.raises(SourceError) as caught:
        source.read(0.0)
    assert says_so(caught.value)


def test_the_ledger_says_so(tmp_path: Path) -> None:
    # SQLite says "unable to open database file", and people look at the owner of the directory.
    SqliteStore.open(tmp_path / "ledger.db", now=0.0).close()
    with all_taken(), pytest.raises(LedgerError) as opened:
        SqliteStore.open(tmp_path / "ledger.db", now=0.0)
    with all_taken(), pytest.raises(LedgerError) as locked:
        OperatorLock(tmp_path / "lock", holder="run", now=lambda: 0.0).acquire()
    assert says_so(opened.value)
    assert says_so(locked.value)


def test_the_certificate_files_say_so(tmp_path: Path) -> None:
    # "check that this user may read it".
    files = Certificates().write(tmp_path, "DE*ABC")
    tls = TlsOptions(ca_file=files.ca, cert_file=files.certificate, key_file=files.key)
    with all_taken(), pytest.raises(CertificateError) as caught:
        build_context(tls, now=HurriedClock().now())
    assert says_so(caught.value)


def test_the_configuration_says_so(tmp_path: Path) -> None:
    # SIGHUP to a daemon that has run out.
    (tmp_path / "adapter.toml").write_text("")
    with all_taken(), pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "adapter.toml", {})
    assert says_so(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_way_to_hubject_says_so(host: str) -> None:
    # "check name resolution, firewall and proxy"; a name cannot even be looked up then.
    request = PushRequest(
        action=ActionType.UPDATE,
        operator_id="DE*ABC",
        operator_name="ABC",
        records=[("DE*ABC*E1", EvseStatus.AVAILABLE)],
    )
    hub = HubClient(HubOptions(base_url=f"http://{host}:9/api/oicp", attempts=1), clock=HurriedClock())
    hub.push(request)  # what is imported when first needed is there by now
    with all_taken():
        answer = hub.push(request)
    hub.close()
    assert (answer.reaction, answer.hint) == (Reaction.UNREACHABLE, open_files.ADVICE)


RAISING = """
import resource
from oicp_adapter.open_files import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for soft, limit in ((64, 128), (100, 128), (128, 128)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, limit), limit))
    raise_limit()
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    # Two hundred operators do not fit into the 1,024 that a service is given.
    with Verb([sys.executable, "-c", RAISING], cwd=Path.cwd(), env=os.environ) as process:
        assert process.ended().out.splitlines() == ["128 128"] * 3


@pytest.mark.parametrize(
    ("code", "explained"),
    [
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_IOERR_SHMOPEN, False),
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_READONLY, True),
    ],
)
def test_what_sqlite_does_explain_stays_what_it_is(code: int, explained: bool) -> None:
    # Two things at once: the disk is full as well, and "raise the limit" alone would not help.
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_SOMETHING"
    with all_taken():
        told = faults.from_sqlite(error, Path("/state/ledger.db"))
    assert (told.hint != open_files.ADVICE) is explained
