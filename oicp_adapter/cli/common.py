"""What every verb shares: where the configuration is, how errors and data are printed, exit codes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias, TypeVar

import typer

from oicp_adapter.errors import AdapterError, worst_exit_code

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from oicp_adapter.core.model import Remark, UnmappedValue
    from oicp_adapter.settings import Settings
    from oicp_adapter.settings.operator import MappingSettings
    from oicp_adapter.wiring import Wiring

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file; else $OICP_ADAPTER_CONFIG, else config/adapter.toml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OperatorArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[OPERATOR]", help="Key of one operator in the file; all if left out.", show_default=False
    ),
]

UNCONFIGURED = (
    "Hubject shows {shown} EVSEs of {name}, which is not in the configuration: nobody looks after them"
)
UNCONFIGURED_FIX = "docs/operations.md, An operator that is not in the configuration any more"
PIPE_WIDTH = 220
"""Columns of a table that goes into a file or a pipe; text is not wrapped at all there."""

Verb = TypeVar("Verb", bound=Callable[..., int | None])
Facts: TypeAlias = Mapping[str, object]
"""What `--json` prints of one operator."""


def verb(function: Verb) -> Verb:
    """Turn a verb's return value and the program's own errors into exit codes."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> NoReturn:
        try:
            code = function(*args, **kwargs)
        except AdapterError as error:
            talk(f"oicp-adapter: {error}")
            raise typer.Exit(error.exit_code) from None
        raise typer.Exit(code or 0)

    return wrapped  # type: ignore[return-value]  # typer reads the signature that functools.wraps keeps


def settings_of(context: typer.Context, config: Path | None) -> Settings:
    """Load the configuration; `--config` counts before or after the verb."""
    from oicp_adapter.settings import load_settings

    return load_settings(config or context.obj, os.environ)


def chosen(settings: Settings, operator: str | None) -> list[str]:
    """The operators a verb works on. Raises ConfigurationError for one the file does not have."""
    from oicp_adapter.errors import ConfigurationError

    if operator is None:
        return list(settings.operators)
    if operator not in settings.operators:
        known = ", ".join(settings.operators)
        raise ConfigurationError(f"no operator {operator!r} in the configuration", hint=f"one of: {known}")
    return [operator]


def who() -> str:
    """Who asks, for the audit: user@host."""
    import getpass
    import socket

    from oicp_adapter.core.text import one_line

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    return one_line(f"{user}@{socket.gethostname()}", limit=100)


def named_fields(given: list[str]) -> dict[str, str]:
    """`--field status=ChargerState`, repeated: our field → theirs. Raises ConfigurationError."""
    from oicp_adapter.errors import ConfigurationError

    fields = {}
    for one in given:
        ours, equals, theirs = one.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--field {one} has no =", hint="write it like --field status=ChargerState"
            )
        fields[ours.strip()] = theirs.strip()
    return fields


def for_each(keys: Sequence[str], do: Callable[[str], tuple[int, Facts]], *, as_json: bool) -> int:
    """Do it for every operator: one that fails is told, and keeps no other from it. Returns the worst exit code.

    `do` returns an exit code and what there is to know, which `as_json` prints: one object, by operator.
    """
    codes, told, found = [], set(), {}
    for key in keys:
        facts: Facts
        try:
            code, facts = do(key)
        except AdapterError as error:
            code, facts = error.exit_code, {"error": error.message, "fix": error.hint}
            if str(error) not in told:  # a damaged ledger is nobody's in particular
                talk(f"oicp-adapter: {key}: {error}" if len(keys) > 1 else f"oicp-adapter: {error}")
                told.add(str(error))
        codes.append(code)
        found[key] = {"exit_code": code, **facts}
    if as_json:
        data_json(found)
    return worst_exit_code(codes)


def unmapped_text(
    unmapped: Sequence[UnmappedValue], *, key: str, mapping: MappingSettings | None = None
) -> str:
    """Values no table knows, each with its fix; several with the tables that say what they mean, to be copied as they
    are. `mapping`: what its operator says today, which stays in them."""
    lines = []
    several = sum(bool(one.setting) for one in unmapped) > 1
    for one in unmapped:
        what = one.value
        if one.vocabulary:
            column = "" if one.column == "status" else f"{one.column} "
            what = f"unmapped: {one.vocabulary} {column}{one.value!r}"
        lines.append(f"{what} ({one.count} records){' → Unknown' if one.decides else ', decides nothing'}")
        if not several or not one.setting or " to one of " not in one.hint:
            lines.append(f"  fix: {one.hint}")
    if several:
        lines.append(
            "  fix: say what each of them means; these tables can be copied as they are, then corrected:"
        )
        lines += [f"    {line}" for line in _tables(unmapped, key=key, mapping=mapping)]
    return "\n".join(lines)


def _tables(unmapped: Sequence[UnmappedValue], *, key: str, mapping: MappingSettings | None) -> Iterator[str]:
    """TOML: whole tables, in place of those that may be there."""
    from oicp_adapter.core.rules import table_key
    from oicp_adapter.core.verdicts import NO_VALUE, setting_of

    for column in dict.fromkeys(one.column for one in unmapped if one.setting):
        where, meanings = setting_of(column)
        today: Mapping[str, str] = {}
        if mapping is not None:
            today = mapping.overrides if column == "status" else mapping.words.get(column, {})
        proposed = {
            "" if one.value == NO_VALUE else one.value: one.proposal
            for one in unmapped
            if one.column == column and one.setting
        }
        yield f"[operators.{key}.{where}]   # {', '.join(meanings)}"
        for word, meaning in {
            **today,
            **{word: proposed[word] for word in proposed if word not in today},
        }.items():
            yield f'{table_key(word) if word else _EMPTY} = "{meaning}"'


_EMPTY = '""'


def talk_remarks(remarks: Sequence[Remark]) -> None:
    """What a person should know of a read beside its statuses."""
    for one in remarks:
        talk(f"note: {one.text}" + (f"\n  fix: {one.fix}" if one.amiss else ""))


def talk(text: str) -> None:
    """Say something to the person: stderr, never mixed with data. A full disk costs the words, not the exit code."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one place for talk


def data(text: str) -> None:
    """Print data: stdout."""
    print(text, flush=True)  # noqa: T201 - the one place for data


def data_json(value: object) -> None:
    """Print data as JSON."""
    import msgspec

    data(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def console(*, stderr: bool = False, markup: bool = False) -> Console:
    """A rich console. Its lines are never broken: a command that is can not be copied. Tables: `show`.

    What stands in brackets or between colons is text, for it may be a path or a word of the source: `line` has the
    colours. `markup`: the other way round, for words that are all our own.
    """
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else PIPE_WIDTH
    return Console(
        stderr=stderr, highlight=False, markup=markup, emoji=markup, width=width, soft_wrap=not stderr
    )


def line(*parts: str | tuple[str, str]) -> Text:
    """One line for the console: texts, and (text, style)."""
    from rich.text import Text

    return Text.assemble(*parts)


def show(rows: Table) -> None:
    """Print a table on stdout, as wide as the terminal."""
    out = console()
    out.print(rows, soft_wrap=not out.is_terminal)


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table; long words are folded, never cut."""
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(title=title, box=SIMPLE, title_justify="left", pad_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def looking(settings: Settings) -> Wiring:
    """What reading verbs use: no lock, nothing written, only warnings said."""
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.wiring import Wiring, configure_log

    log = configure_log(settings, stream=sys.stderr, quiet=True)
    return Wiring(settings, clock=SystemClock(), log=log, read_only=True)
