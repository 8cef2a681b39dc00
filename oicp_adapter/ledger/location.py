"""Where the ledger is: the `[ledger] url` of the configuration as a path.

The danger: a mistyped address taken for a new file is a first run. So only the documented form is accepted.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from oicp_adapter.errors import ConfigurationError

_SCHEME = "sqlite:///"


def parse_url(url: str, *, directory: Path) -> Path:
    """`sqlite:///ledger.db` is relative to `directory`, `sqlite:////var/lib/x.db` absolute.

    Raises ConfigurationError for anything else. The address is not repeated: it may hold a password.
    """
    name = unquote(url.removeprefix(_SCHEME))
    if not url.startswith(_SCHEME) or not name or name.endswith("/") or ":memory:" in name or "?" in url:
        raise ConfigurationError(
            "ledger.url is not an address of a ledger file",
            hint='write url = "sqlite:///ledger.db", or "sqlite:////var/lib/oicp-adapter/ledger.db" (absolute)',
        )
    return directory / name
