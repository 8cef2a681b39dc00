"""The configuration: one TOML file, overridden by the environment, all problems told at once.

The danger: a secret in an error, and a misspelt key that is silently ignored.
"""

from oicp_adapter.settings.load import ledger_url, load_settings
from oicp_adapter.settings.model import Settings

__all__ = ["Settings", "ledger_url", "load_settings"]
