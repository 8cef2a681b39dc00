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
        "postgresql://me:secret@db/ledger",
    ],
)
def test_any_other_address_is_refused_without_repeating_it(url: str) -> None:
    # A guess would start with an empty ledger; a repeated address may print a password into a log.
    with pytest.raises(ConfigurationError, match=r"ledger\.url") as refused:
        parse_url(url, directory=HERE)
    assert "sqlite:///ledger.db" in refused.value.hint
    assert "secret" not in str(refused.value)
