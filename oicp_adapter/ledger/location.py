"""Where the ledger is: the `[ledger] url` of the configuration as a path.

The danger: a mistyped address taken for a new file is a first run, so only the documented form is accepted. And a file
with two names has two locks, which is two pushes in parallel, so every path of it is made here, without symbolic links.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from oicp_adapter.errors import ConfigurationError

_SCHEME = "sqlite:///"


def parse_url(url: str, *, directory: Path) -> Path:
    """`sqlite:///ledger.db` is relative to `directory`, `sqlite:////var/lib/x.db` absolute.

    Symbolic links are followed. Raises ConfigurationError for anything else. The address is not repeated: it may hold
    a password.
    """
    name = unquote(url.removeprefix(_SCHEME))
    if (
        not url.startswith(_SCHEME)
        or not name
        or name.endswith("/")
        or "\0" in name
        or ":memory:" in name
        or "?" in url
    ):
        raise ConfigurationError(
            "ledger.url is not an address of a ledger file",
            hint='write url = "sqlite:///ledger.db", or "sqlite:////var/lib/oicp-adapter/ledger.db" (absolute)',
        )
    return resolved(directory / name)


def resolved(path: Path) -> Path:
    """The file's one name. Links in a circle stay as they are: opening them says so."""
    return Path(os.path.realpath(path))
