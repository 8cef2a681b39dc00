"""`map`: try the mapping on a value, a record, a fleet file, or read a whole table. Sends nothing, needs no ledger."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from oicp_adapter.cli.common import (
    ConfigOption,
    JsonOption,
    data_json,
    named_fields,
    settings_of,
    talk,
    verb,
)
from oicp_adapter.cli.mapping_shown import show_entries, show_fleet, show_outcome, show_rejected
from oicp_adapter.core.columns import COLUMNS
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from oicp_adapter.core.model import SourceRead, SourceRecord
    from oicp_adapter.core.rules import MappingRules
    from oicp_adapter.settings.operator import OperatorSettings


Verb = TypeVar("Verb", bound=Callable[..., Any])


def _with_columns(function: Verb) -> Verb:
    """An option for every column of a record but those that map has in another way: --last-heartbeat, --vendor."""
    own = inspect.signature(function, eval_str=True)
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    metavar="TEXT",
                    help=column.about,
                    show_default=False,
                    rich_help_panel="The rest of the record",
                ),
            ],
        )
        for name, column in COLUMNS.items()
        if name not in ("status", "vocabulary")
    ]
    kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    return function


@_with_columns
@verb
def map_values(
    context: typer.Context,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help='Source value; "" is a record without.')
    ] = None,
    vocabulary: Annotated[
        str | None, typer.Option("--vocabulary", metavar="V", help="Whose words. Default: the operator's.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="A record, or a list of records, as JSON from stdin.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FLEET", help="Count what a fleet file would become.")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="V", help="Print a vocabulary.", show_default=False)
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", metavar="OPERATOR", help="Use this operator's rules and source settings."),
    ] = None,
    kind: Annotated[
        FileFormat, typer.Option("--format", help="Of --file; auto goes by the suffix.")
    ] = FileFormat.AUTO,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="OURS=THEIRS", help="Of --file: a field's name there; repeatable."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--evse-id-template", metavar="TEXT", help="Of --file, for rows without EvseID."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    **columns: str | None,
) -> int:
    """Try the mapping: what becomes of a value, by which rule and why, and which setting changes it.

    Where there is a configuration (--config, $OICP_ADAPTER_CONFIG, config/adapter.toml), its operator's words, rules
    and source settings count; of several, --operator names one. Else the tables as delivered: docs/mapping.md.

    Examples: oicp-adapter map Preparing --vocabulary ocpp1.6 · oicp-adapter map --table greenflux ·
    oicp-adapter map --file fleet.csv --vocabulary ocpp1.6 --field status=ChargerState ·
    oicp-adapter map Faulted --error-code WeakSignal --operator slb
    """
    if sum(one is not None for one in (value, file, table)) + record != 1:
        raise ConfigurationError(
            "map needs one thing to try", hint="a VALUE, --record, --file FLEET or --table V"
        )
    key, chosen = _operator(context, config, operator, named=table or vocabulary)
    if table is not None:
        return show_entries(table, _rules(table, chosen, []), as_json=as_json)
    if file is not None:
        fields = named_fields(field or [])
        read = _read_file(file, chosen, kind=kind, fields=fields, vocabulary=vocabulary)
        ids = [one.evse_id for one in read.records]
        rules = _rules(vocabulary, chosen, ids, template=template, fields=fields)
        mapping = chosen.mapping if chosen is not None else None
        return show_fleet(read, rules, key=key, mapping=mapping, as_json=as_json)
    rows = _from_stdin() if record else [{"status": value, **columns}]
    return _show_records(rows, vocabulary, chosen, as_json=as_json)


def _operator(
    context: typer.Context, config: Path | None, operator: str | None, *, named: str | None
) -> tuple[str, OperatorSettings | None]:
    """The operator whose settings count, with its key; None where there is no configuration, or several operators.
    `named`: a vocabulary, which is enough to try the tables as delivered."""
    from oicp_adapter.settings.load import DEFAULT

    told = operator or config or context.obj or os.environ.get("OICP_ADAPTER_CONFIG")
    if not told and not DEFAULT.exists():
        return "KEY", None
    try:
        operators = settings_of(context, config).operators
    except ConfigurationError as error:
        if told or named is None:
            raise
        talk(f"note: the tables as delivered, because {error}")
        return "KEY", None
    if operator is None and len(operators) == 1:
        return next(iter(operators.items()))
    if operator is None and named is not None:
        talk(
            f"note: the tables as delivered; an operator's own rules count with --operator: {', '.join(operators)}"
        )
        return "KEY", None
    if operator not in operators:
        raise ConfigurationError(
            f"no operator {operator!r} in the configuration"
            if operator
            else "the configuration has several operators",
            hint=f"name one with --operator: {', '.join(operators)}",
        )
    return operator, operators[operator]


def _rules(
    vocabulary: str | None,
    chosen: OperatorSettings | None,
    evse_ids: Iterable[str | None],
    *,
    template: str | None = None,
    fields: Mapping[str, str] = {},
) -> MappingRules:
    import msgspec

    from oicp_adapter.core.trial import without_operator
    from oicp_adapter.core.vocabulary import WORD_COLUMNS, load_vocabulary, vocabulary_names

    if vocabulary is not None:
        load_vocabulary(vocabulary)  # for the error that names the known ones
    named = tuple(name for name in WORD_COLUMNS if fields.get(name))
    if chosen is not None:
        rules = chosen.mapping_rules
        return msgspec.structs.replace(
            rules,
            vocabulary=vocabulary or rules.vocabulary,
            evse_id_template=template or rules.evse_id_template,
            configured=(*rules.configured, *named),
        )
    if vocabulary is None:
        raise ConfigurationError(
            "--vocabulary is missing: the same word means different things in different systems",
            hint=f"one of {', '.join(vocabulary_names())}",
        )
    rules = without_operator(vocabulary, evse_ids, template=template)
    return msgspec.structs.replace(rules, configured=named)


def _read_file(
    file: Path,
    chosen: OperatorSettings | None,
    *,
    kind: FileFormat,
    fields: dict[str, str],
    vocabulary: str | None,
) -> SourceRead:
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.wiring import fleet_file

    if chosen is not None:
        kind = chosen.source.format if kind is FileFormat.AUTO else kind
        fields = {**chosen.source.fields, **fields}
    try:
        source = fleet_file(file, kind=kind, fields=fields, vocabulary=vocabulary, operator=chosen)
        return source.read(SystemClock().now())
    except (SourceError, ConfigurationError) as error:
        if chosen is not None:
            raise
        hint = f"{error.hint}; without a configuration: --field OURS=THEIRS, --format F"
        raise type(error)(error.message, hint=hint) from None


def _from_stdin() -> list[dict[str, Any]]:
    """One record or a list of them, under our own field names."""
    import msgspec

    try:
        given = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, Any] | list[dict[str, Any]])
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, no record, without end
        raise SourceError(
            f"stdin is not a record: {error}",
            hint='write JSON like {"evse_id": "DE*ABC*E1", "status": "Charging"}',
        ) from None
    records = given if isinstance(given, list) else [given]
    unknown = sorted({name for one in records for name in one} - COLUMNS.keys())
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)}: not a field of ours", hint=f"the fields are {', '.join(COLUMNS)}"
        )
    return records


def _show_records(
    rows: list[dict[str, Any]],
    vocabulary: str | None,
    chosen: OperatorSettings | None,
    *,
    as_json: bool,
) -> int:
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.core.trial import attempt, sample_id

    rules = _rules(vocabulary, chosen, [str(row.get("evse_id") or "") for row in rows])
    for row in rows:
        if not row.get("evse_id") and not row.get("station_id"):
            row["evse_id"] = sample_id(rules)
    trial = attempt(_decoded(rows, chosen), rules, now=SystemClock().now())
    if as_json:
        data_json(trial)
        return 0
    for outcome in trial.outcomes:
        show_outcome(outcome, named=trial.evses > 1)
    show_rejected(trial)
    return 0


def _decoded(rows: list[dict[str, Any]], chosen: OperatorSettings | None) -> list[SourceRecord]:
    """JSON records as a source reads them: numbers for ids, all kinds of times."""
    import msgspec

    from oicp_adapter.wiring import fleet_text

    return fleet_text(msgspec.json.encode(rows), operator=chosen).records
