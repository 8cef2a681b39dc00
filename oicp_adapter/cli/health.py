"""`health`: is the daemon alive and working? What Docker and Kubernetes ask every half minute."""

from __future__ import annotations

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
    verb,
)
from oicp_adapter.errors import CertificateError

if TYPE_CHECKING:
    from oicp_adapter.wiring import Wiring


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
    settings = settings_of(context, config)
    found = {}
    with looking(settings) as wiring:
        for key in chosen(settings, operator):
            found[key] = (_ailing(wiring, key), _cannot_push(wiring, key))
    if as_json:
        data_json(
            {key: {"healthy": why is None, "why": why, "note": note} for key, (why, note) in found.items()}
        )
    else:
        for key, (why, note) in found.items():
            data(f"{key}: {why or 'healthy'}" + (f"; nothing can be pushed: {note}" if note else ""))
    return 0 if all(why is None for why, _ in found.values()) else 1


def _ailing(wiring: Wiring, key: str) -> str | None:
    from oicp_adapter.sync.facts import ailing

    holder = wiring.holder(key)
    return ailing(
        wiring.ledger(key).jobs() if wiring.has_ledger() else [],
        running_since=holder.since if holder is not None and holder.verb == "run" else None,
        patience=wiring.patience(key),
        now=wiring.now(),
    )


def _cannot_push(wiring: Wiring, key: str) -> str | None:
    """What is wrong with the operator's certificate files, if anything."""
    try:
        wiring.certificates.verify(key)
    except CertificateError as error:
        return error.message
    return None
