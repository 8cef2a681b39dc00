"""A first configuration file, commented, from a few answers. Pure.

The danger: a starting point that publishes by accident. So it is QA unless PROD was asked for, and the first full
load waits for a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What `init` asks. Texts are as a person would write them into the file."""

    key: str
    """The operator's name in this file, in logs and on the command line."""
    operator_id: str
    name: str
    environment: Literal["qa", "prod"]
    base_url: str | None
    """Another address instead of the environment, such as the simulator's; plain http needs no certificates."""
    path: str
    format: str
    vocabulary: str
    ca_file: str
    certificate: str
    key_file: str


def starter(answers: Answers) -> str:
    """The file's text (TOML)."""
    return "\n".join(
        [*_hubject(answers), "", *_ledger(), "", *_operator(answers), *_source(answers), *_schedule()]
    )


def _hubject(answers: Answers) -> list[str]:
    lines = [
        "# Configuration of oicp-adapter. Every key: config/adapter.example.toml or docs/configuration.md.",
        "# Relative paths start at this file's directory. Try it: oicp-adapter check, then plan (sends nothing).",
        "",
        "[hubject]",
    ]
    if answers.base_url is not None:
        lines.append(f"base_url = {_text(answers.base_url)}")
        if answers.base_url.lower().startswith("http://"):
            return lines
    else:
        lines.append(f'environment = "{answers.environment}"             # "qa" or "prod"')
    lines.append(f"ca_file = {_text(answers.ca_file)}   # the CA of Hubject's server certificate")
    return lines


def _ledger() -> list[str]:
    return [
        "[ledger]",
        "# What Hubject is known to hold. Keep it on a local disk, and keep it.",
        'url = "sqlite:///ledger.db"',
    ]


def _operator(answers: Answers) -> list[str]:
    lines = [
        f"[operators.{answers.key}]",
        f"id = {_text(answers.operator_id)}             # as Hubject gave it",
        f"name = {_text(answers.name)}",
        f"# evse_id_prefixes = [{_text(answers.operator_id)}]   # name sub-operators too, if you push for any",
        '# first_full_load = "automatic"   # only if nobody else ever pushed for this operator',
    ]
    if answers.base_url is None or not answers.base_url.lower().startswith("http://"):
        lines += [
            f"certificate = {_text(answers.certificate)}",
            f"key = {_text(answers.key_file)}",
            '# key_password_file = "key.password"',
        ]
    return lines


def _source(answers: Answers) -> list[str]:
    return [
        "",
        f"[operators.{answers.key}.source]",
        'type = "file"',
        f"path = {_text(answers.path)}",
        f"format = {_text(answers.format)}             # auto: by suffix (.json, .ndjson, .csv, each also .gz)",
        f"vocabulary = {_text(answers.vocabulary)}",
        "",
        "# Your own column names: our field = your column. Others: updated_at, last_heartbeat, connection, ...",
        f"# [operators.{answers.key}.source.fields]",
        '# evse_id = "EVSE"',
        '# status = "State"',
        "",
        "# Values the vocabulary does not know, or that mean something else with you.",
        f"# [operators.{answers.key}.mapping.overrides]",
        '# "In repair" = "OutOfService"',
        "",
        f"[operators.{answers.key}.schedule]",
    ]


def _schedule() -> list[str]:
    return [
        'delta = "10s"        # read the source, push what changed',
        'reconcile = "5min"   # retry what was refused or in doubt',
        'full = "03:00"       # replace everything once a day (UTC; see time_zone)',
        "",
    ]


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False)
