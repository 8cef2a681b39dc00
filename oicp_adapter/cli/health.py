"""`health`: is the daemon alive and working? What Docker and Kubernetes ask every half minute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from oicp_adapter.cli.common import (
    ConfigOption,
    JsonOption,
    OperatorArgument,
    chosen,
    data,
    data_json,
    looking,
    settings_of,
    talk,
    verb,
)
from oicp_adapter.errors import CertificateError, ConfigurationError

if TYPE_CHECKING:
    from oicp_adapter.wiring import Wiring

NOT_STARTED = (
    "it came into the configuration after the daemon's start, or has another id since; restart the daemon"
)


@verb
def health(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Is the daemon alive and working? For Docker and Kubernetes: exit 0 or 1.

    Healthy does not mean that Hubject is up, or that a certificate is good: a restart would not cure that, and would
    stop the other operators. Example: oicp-adapter health
    """
    try:
        settings = settings_of(context, config)
    except ConfigurationError as error:
        return _without_configuration(error, config or context.obj, as_json=as_json)
    found: dict[str, tuple[str | None, str | None]] = {}
    with looking(settings) as wiring:
        keys = chosen(settings, operator)
        runs = {key for key in keys if (holder := wiring.holder(key)) is not None and holder.verb == "run"}
        for key in keys:
            if runs and key not in runs:
                # The file has changed since the daemon's start, which took all locks: no fault of its.
                found[key] = (None, NOT_STARTED)
            else:
                found[key] = (_ailing(wiring, key), _cannot_push(wiring, key))
    if as_json:
        data_json(
            {key: {"healthy": why is None, "why": why, "note": note} for key, (why, note) in found.items()}
        )
    else:
        for key, (why, note) in found.items():
            data(f"{key}: {why or 'healthy'}" + (f"; nothing can be pushed: {note}" if note else ""))
    return 0 if all(why is None for why, _ in found.values()) else 1


def _without_configuration(error: ConfigurationError, config: Path | None, *, as_json: bool) -> int:
    """The file was spoilt after the start. A daemon that lives is left alive: a restart would end at the file."""
    from oicp_adapter.settings import ledger_url
    from oicp_adapter.wiring import daemon_at

    if not daemon_at(ledger_url(config, os.environ)):
        raise error
    if as_json:
        data_json({})  # nothing is known of any operator
    talk(f"oicp-adapter: the daemon runs, but could not start again: {error}")
    return 0


def _ailing(wiring: Wiring, key: str) -> str | None:
    from oicp_adapter.sync.facts import ailing

    holder, patience, now = wiring.holder(key), wiring.patience(), wiring.now()
    ledger = wiring.ledger(key) if wiring.has_ledger() else None
    return ailing(
        ledger.jobs() if ledger else [],
        running_since=holder.since if holder is not None and holder.verb == "run" else None,
        last_push=wiring.last_push(key) if ledger else None,
        patience=patience,
        now=now,
    )


def _cannot_push(wiring: Wiring, key: str) -> str | None:
    """What is wrong with the operator's certificate files, if anything."""
    try:
        wiring.certificates.verify(key)
    except CertificateError as error:
        return error.message
    return None
