"""The verbs of the first and of every day: init and health."""

from __future__ import annotations

import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import (
    ConfigOption,
    JsonOption,
    OperatorArgument,
    chosen,
    data,
    data_json,
    settings_of,
    talk,
    verb,
)

if TYPE_CHECKING:
    from oicp_adapter.settings.starter import Answers


class Environment(StrEnum):
    """Hubject's systems."""

    QA = "qa"
    PROD = "prod"


@verb
def init(
    context: typer.Context,
    config: ConfigOption = None,
    operator_id: Annotated[str | None, typer.Option(metavar="ID", help="OperatorID, like DE*ABC.")] = None,
    name: Annotated[str | None, typer.Option(help="Operator name, shown to partners.")] = None,
    source: Annotated[str | None, typer.Option(metavar="FILE", help="The file your backend writes.")] = None,
    source_format: Annotated[
        str, typer.Option("--format", help="auto, json, ndjson, csv or ocpi-locations.")
    ] = "auto",
    vocabulary: Annotated[
        str | None, typer.Option(help="Whose words the states are in, like ocpp1.6.")
    ] = None,
    environment: Annotated[Environment, typer.Option(help="Hubject's system.")] = Environment.QA,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another address, such as the simulator's.", show_default=False),
    ] = None,
    ca_file: Annotated[str, typer.Option(metavar="FILE", help="CA of Hubject's server.")] = "hubject-ca.pem",
    certificate: Annotated[str, typer.Option(metavar="FILE", help="Your client certificate.")] = "client.pem",
    key: Annotated[str, typer.Option(metavar="FILE", help="Its key.")] = "client.key",
) -> int:
    """Write a commented configuration, from flags or by asking; never overwrites.

    Examples: oicp-adapter init · oicp-adapter init --operator-id 'DE*ABC' --name 'ABC Charging'
    --source fleet.csv --vocabulary ocpp1.6 --base-url http://127.0.0.1:9400/api/oicp
    """
    from oicp_adapter.core.vocabulary import vocabulary_names
    from oicp_adapter.settings import load_settings
    from oicp_adapter.settings.starter import Answers, starter

    given = config or context.obj or os.environ.get("OICP_ADAPTER_CONFIG")
    path = Path(given or "config/adapter.toml")
    if path.exists():
        talk(f"oicp-adapter: {path} exists and is not overwritten\n  fix: name another file with --config")
        return 2
    operator_id = _asked(operator_id, "--operator-id", "OperatorID at Hubject (like DE*ABC)")
    answers = Answers(
        key=_key(operator_id),
        operator_id=operator_id,
        name=_asked(name, "--name", "Operator name"),
        environment=environment.value,
        base_url=base_url,
        path=_asked(source, "--source", "File with the EVSE states"),
        format=source_format,
        vocabulary=_asked(
            vocabulary, "--vocabulary", f"Vocabulary of the states ({', '.join(vocabulary_names())})"
        ),
        ca_file=ca_file,
        certificate=certificate,
        key_file=key,
    )
    text = starter(answers)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    try:
        load_settings(draft, {})
        os.link(draft, path)  # never over a file that appeared meanwhile
    finally:
        draft.unlink()
    _next_steps(path, answers)
    return 0


def _asked(value: str | None, flag: str, question: str) -> str:
    from oicp_adapter.errors import ConfigurationError

    if value is not None:
        return value
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{flag} is missing, and nobody can be asked", hint=f"give {flag}")
    return str(typer.prompt(question, err=True))


def _key(operator_id: str) -> str:
    """A short name for the operator: the letters of its party, like "abc" of DE*ABC."""
    return re.sub(r"[^a-z0-9]", "", operator_id.lower())[2:] or "operator"


def _next_steps(path: Path, answers: Answers) -> None:
    data(str(path))
    flag = "" if path == Path("config/adapter.toml") else f" --config {path}"
    talk(
        f"written for operator {answers.key}. Next:\n"
        f"  oicp-adapter check{flag}     is everything there?\n"
        f"  oicp-adapter plan{flag}      what would be sent, and why; sends nothing\n"
        f"  oicp-adapter run{flag}       the daemon"
    )


@verb
def health(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Is the daemon alive and working? For Docker and Kubernetes: exit 0 or 1.

    Healthy does not mean that Hubject is up: a restart would not cure that. Example: oicp-adapter health
    """
    settings = settings_of(context, config)
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.sync.facts import ailing
    from oicp_adapter.wiring import Wiring, configure_log

    log = configure_log(settings, stream=sys.stderr, quiet=True)
    clock = SystemClock()
    found = {}
    with Wiring(settings, clock=clock, log=log, read_only=True) as wiring:
        for key in chosen(settings, operator):
            holder = wiring.holder(key)
            found[key] = ailing(
                wiring.ledger(key).jobs() if wiring.has_ledger() else [],
                running_since=holder.since if holder is not None and holder.verb == "run" else None,
                patience=wiring.patience(key),
                now=clock.now(),
            )
    if as_json:
        data_json({key: {"healthy": why is None, "why": why} for key, why in found.items()})
    else:
        for key, why in found.items():
            data(f"{key}: {why or 'healthy'}")
    return 0 if all(why is None for why in found.values()) else 1
