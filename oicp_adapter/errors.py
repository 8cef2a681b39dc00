"""Every way the adapter can fail, once: is it worth retrying, which exit code, what fixes it.

A message says what happened and where; `hint` says how to fix it. Neither ever carries a secret.

    AdapterError                    1
    ├── ConfigurationError          2   settings, files they name, certificates
    │   └── CertificateError        2   missing, expired, not matching its key, unreadable
    ├── SourceError                 5   the backend could not be read; the last picture stays
    ├── LedgerError                 1   our own record cannot be used
    │   ├── LedgerForeign           1   not a ledger of ours, or of a newer version
    │   ├── LedgerUnreadable        1   damaged
    │   ├── LedgerNotWritable       2   directory missing or read-only
    │   └── LedgerFull              1   disk full
    ├── LockHeld                    1   another process pushes for this operator
    ├── GuardRefused                3   a guard says no; the hint prints the override
    └── HubFailed                   4   unreachable, rejecting or in doubt

What Hubject answers is not an exception: it is an `oicp_adapter.oicp.answers.Answer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

# With several outcomes the worst decides, in this order.
_EXIT_ORDER = (2, 5, 4, 3, 1, 0)


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code of a run with several outcomes: the first of 2, 5, 4, 3, 1, 0 that occurred."""
    found = set(codes)
    return next((code for code in _EXIT_ORDER if code in found), 0)


class AdapterError(Exception):
    """Base of all failures of this program. `exit_code` and `retryable` belong to the class."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.hint}" if self.hint else self.message


class ConfigurationError(AdapterError):
    """The configuration, or a file it names, cannot be used."""

    exit_code = 2


class CertificateError(ConfigurationError):
    """A certificate, key or CA bundle is missing, unreadable, expired or does not match."""


class SourceError(AdapterError):
    """The backend's states could not be read. Never means an empty fleet."""

    exit_code = 5
    retryable = True


class LedgerError(AdapterError):
    """The ledger cannot be used; nothing is pushed without it."""


class LedgerForeign(LedgerError):
    """The file is not a ledger of this program, or was written by a newer version."""


class LedgerUnreadable(LedgerError):
    """The ledger exists but is damaged. It is never treated as a first run."""


class LedgerNotWritable(LedgerError):
    """The ledger's directory is missing or cannot be written."""

    exit_code = 2


class LedgerFull(LedgerError):
    """The disk is full: nothing is sent, because an intent could not be made durable."""

    retryable = True


class LockHeld(AdapterError):
    """Another process holds the right to push for this operator."""

    retryable = True


class GuardRefused(AdapterError):
    """A guard refused; the hint prints the override command."""

    exit_code = 3


class HubFailed(AdapterError):
    """Hubject is unreachable, rejects us as a whole, or left a push in doubt."""

    exit_code = 4
    retryable = True
