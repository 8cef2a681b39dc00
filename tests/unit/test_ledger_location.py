"""The ledger's address: the documented form, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from oicp_adapter.errors import ConfigurationError
from oicp_adapter.ledger.location import parse_url

HERE = Path("/etc/adapter")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///ledger.db", "/etc/adapter/ledger.db"),
        ("sqlite:///state/ledger.db", "/etc/adapter/state/ledger.db"),
        ("sqlite:////var/lib/ledger.db", "/var/lib/ledger.db"),
        ("sqlite:///my%20ledger.db", "/etc/adapter/my ledger.db"),
    ],
)
def test_a_ledger_address_is_a_path_beside_the_configuration_or_an_absolute_one(url: str, path: str) -> None:
    # Relative to the working directory instead, a start from elsewhere would be a first run.
    assert parse_url(url, directory=HERE) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite:ledger.db",
        "sqlite://ledger.db",
        "sqlite:///",
        "sqlite:///state/",
        "sqlite:///:memory:",
        "sqlite:///ledger.db?mode=memory",
        "sqlite:///ledger%00.db",
        "postgresql://me:secret@db/ledger",
    ],
)
def test_any_other_address_is_refused_without_repeating_it(url: str) -> None:
    # A guess would start with an empty ledger; a repeated address may print a password into a log.
    with pytest.raises(ConfigurationError, match=r"ledger\.url") as refused:
        parse_url(url, directory=HERE)
    assert "sqlite:///ledger.db" in refused.value.hint
    assert "secret" not in str(refused.value)


def test_a_ledger_has_one_name_however_it_is_reached(tmp_path: Path) -> None:
    # A link to the ledger has a lock of its own, and two processes push for one operator.
    place = tmp_path / "disk"
    place.mkdir()
    (tmp_path / "ledger.db").symlink_to(place / "ledger.db")
    (tmp_path / "state").symlink_to(place)
    (tmp_path / "again.db").symlink_to("state/ledger.db")
    for made in (False, True):
        if made:
            (place / "ledger.db").touch()
        for name in ("disk/ledger.db", "ledger.db", "state/ledger.db", "again.db", "state/../disk/ledger.db"):
            assert parse_url(f"sqlite:///{name}", directory=tmp_path) == place / "ledger.db"


def test_links_in_a_circle_are_left_to_whoever_opens_them(tmp_path: Path) -> None:
    # A traceback at the start, where a sentence with the path would do.
    (tmp_path / "ledger.db").symlink_to("ledger.db")
    assert parse_url("sqlite:///ledger.db", directory=tmp_path) == tmp_path / "ledger.db"
