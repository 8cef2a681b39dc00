"""Configuration files for the settings tests: the minimal one, and what a broken one is told."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from oicp_adapter.errors import ConfigurationError
from oicp_adapter.settings import Settings, load_settings

# The file every reader of the README starts from.
MINIMAL = """\
[hubject]
base_url = "http://127.0.0.1:9400/api/oicp"   # or environment = "qa" | "prod"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "60s"

[operators.slb]                               # the key is yours, the id is Hubject's
id = "DE*SLB"
name = "SWLB"
evse_id_prefixes = ["DE*SLB"]                 # default: the operator's own id
source = { type = "file", path = "fleet.json", format = "ocpi-locations", vocabulary = "ocpi" }
schedule = { delta = "2s", reconcile = "60s", full = "03:00" }
"""

_LINE = re.compile(r"^  (\S+|\S+\"[^\"]*\"\S*)(?: \(from \w+\))?: (.+)$")


def load(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load a file of this text."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "adapter.toml")
        file.write_text(text, encoding="utf-8")
        return load_settings(file, environ or {})


def refusal(text: str, environ: Mapping[str, str] | None = None) -> ConfigurationError:
    """The error this text is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ)
    return caught.value


def problems(text: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Path → what is wrong; every line after the first must be a problem with a path of its own."""
    _, *lines = refusal(text, environ).message.splitlines()
    found = [(match[1], match[2]) for line in lines if (match := _LINE.match(line))]
    assert len(found) == len(lines), lines
    told = dict(found)
    assert len(told) == len(found), f"told twice: {found}"
    return told


def changed(old: str, new: str) -> str:
    """The minimal file with one passage replaced."""
    assert old in MINIMAL
    return MINIMAL.replace(old, new)
