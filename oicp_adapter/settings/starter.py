"""A first configuration file, commented, from a few answers. Pure.

The danger: a starting point that publishes by accident. So it is QA unless PROD was asked for, and the first full
load waits for a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    fields: Mapping[str, str]
    """Our field → their column."""
    vocabulary: str
    records: str = ""
    """Where the records of a JSON document are (JMESPath); empty: where they are looked for."""
    encoding: str = "utf-8"
    ca_file: str
    certificate: str
    key_file: str
    paths_start: str
    """Where relative paths of this file start, in words."""

    @property
    def needs_certificates(self) -> bool:
        """Plain http, on loopback only, does without."""
        return self.base_url is None or not self.base_url.lower().startswith("http://")


def starter(answers: Answers) -> str:
    """The file's text (TOML)."""
    tables = (_hubject, _ledger, _operator, _source, _fields, _mapping, _schedule)
    return (
        "\n\n".join([_HEAD.format(start=answers.paths_start), *(table(answers) for table in tables)]) + "\n"
    )


_HEAD = """\
# Configuration of oicp-adapter. Every key: config/adapter.example.toml or docs/configuration.md.
# Relative paths start at {start}. Try it: oicp-adapter check, then plan (sends nothing)."""


def _hubject(answers: Answers) -> str:
    if answers.base_url is not None:
        lines = [f"base_url = {_text(answers.base_url)}"]
    else:
        lines = [f'environment = "{answers.environment}"   # "qa" or "prod"']
    if answers.needs_certificates:
        lines.append(f"ca_file = {_text(answers.ca_file)}   # the CA of Hubject's server certificate")
    return "\n".join(["[hubject]", *lines])


def _ledger(_: Answers) -> str:
    return """\
[ledger]
# What Hubject is known to hold. Keep it on a local disk, and keep it.
url = "sqlite:///ledger.db\""""


def _operator(answers: Answers) -> str:
    lines = [
        f"[operators.{answers.key}]",
        f"id = {_text(answers.operator_id)}   # as Hubject gave it",
        f"name = {_text(answers.name)}",
        f"# evse_id_prefixes = [{_text(answers.operator_id)}]   # name sub-operators too, if you push for any",
        '# first_full_load = "automatic"   # only if nobody else ever pushed for this operator',
        '# mode = "observe"                # does everything but push',
    ]
    if answers.needs_certificates:
        lines += [
            f"certificate = {_text(answers.certificate)}   # signed by Hubject, its chain after it",
            f"key = {_text(answers.key_file)}",
            '# key_password_file = "key.password"',
        ]
    return "\n".join(lines)


def _source(answers: Answers) -> str:
    separator = "*" if answers.operator_id[:1] in "+0123456789" else "*E"  # DIN ids know no E
    template = answers.operator_id + separator + "{station_id}*{connector_id}"
    more = f"records = {_text(answers.records)}\n" if answers.records else ""
    if answers.encoding != "utf-8":
        more += f"encoding = {_text(answers.encoding)}\n"
    return f"""\
[operators.{answers.key}.source]
type = "file"
path = {_text(answers.path)}
format = {_text(answers.format)}   # auto: by suffix (.json, .ndjson, .csv, each also .gz)
vocabulary = {_text(answers.vocabulary)}
{more}# evse_id_template = {_text(template)}   # for rows without an EvseID"""


def _fields(answers: Answers) -> str:
    given = [f"{ours} = {_text(theirs)}" for ours, theirs in answers.fields.items()]
    mark = "" if given else "# "
    examples = [] if given else ['# evse_id = "EVSE"', '# status = "State"']
    return "\n".join(
        [
            "# Your own column names: our field = your column. Others: station_id, connector_id, updated_at,",
            "# last_heartbeat, connection, error_code, vendor, model, ...",
            f"{mark}[operators.{answers.key}.source.fields]",
            *(given or examples),
        ]
    )


def _mapping(answers: Answers) -> str:
    return f"""\
# Values the vocabulary does not know, or that mean something else with you: value = status, one of Available,
# Occupied, OutOfService, EvseNotFound, Unknown, Reserved, skip.
# [operators.{answers.key}.mapping.overrides]
# "In repair" = "OutOfService\""""


def _schedule(answers: Answers) -> str:
    return f"""\
[operators.{answers.key}.schedule]
delta = "10s"        # read the source, push what changed
reconcile = "5min"   # retry what was refused or in doubt
full = "03:00"       # replace everything once a day (UTC; see time_zone)"""


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's, but JSON leaves DEL as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
