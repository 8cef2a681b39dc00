"""`init`: a first configuration, from flags or by asking; never over a file that is there."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from oicp_adapter.cli.common import ConfigOption, data, named_fields, talk, verb
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.text import one_line
from oicp_adapter.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from oicp_adapter.settings.starter import Answers
    from oicp_adapter.wiring import Header

Environment: TypeAlias = Literal["qa", "prod"]

COLUMNS = {"evse_id": "EvseID", "status": "state"}
"""What is asked about the file's columns: our field → what it holds."""
SHOWN = 2000
"""Characters of a list of columns."""
NAMED = (FileFormat.OCPI_LOCATIONS, FileFormat.OICP)
"""Formats whose members have names of their own."""
TLS_FILES = {
    "certificate": ("Client certificate", "client.pem"),
    "key_file": ("Its key", "client.key"),
    "ca_file": ("CA of Hubject's server certificate", "hubject-ca.pem"),
}
"""Answer → question and default."""

Text: TypeAlias = str | None


@verb
def init(
    context: typer.Context,
    config: ConfigOption = None,
    operator_id: Annotated[Text, typer.Option(metavar="ID", help="OperatorID, like DE*ABC.")] = None,
    name: Annotated[Text, typer.Option(help="Operator name, as Hubject knows it.")] = None,
    source: Annotated[Text, typer.Option(metavar="FILE", help="The file your backend writes.")] = None,
    kind: Annotated[
        FileFormat, typer.Option("--format", help="Of the file; auto: by its suffix.")
    ] = FileFormat.AUTO,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="OURS=THEIRS", help="A field's name in the file; repeatable."),
    ] = None,
    vocabulary: Annotated[
        Text, typer.Option(help='Whose words the states are in; "oicp" if they are your own.')
    ] = None,
    environment: Annotated[Environment | None, typer.Option(help="Hubject's system; else qa.")] = None,
    base_url: Annotated[
        Text, typer.Option(metavar="URL", help="Another address, such as the simulator's.")
    ] = None,
    certificate: Annotated[
        Text, typer.Option(metavar="FILE", help="Client certificate; else client.pem.")
    ] = None,
    key: Annotated[Text, typer.Option(metavar="FILE", help="Its key; else client.key.")] = None,
    ca_file: Annotated[
        Text, typer.Option(metavar="FILE", help="CA of Hubject's server; else hubject-ca.pem.")
    ] = None,
) -> int:
    """Write a commented configuration, from flags or by asking; never overwrites.

    Nothing is asked if --operator-id, --name, --source and --vocabulary are given.

    Examples: oicp-adapter init · oicp-adapter init --operator-id 'DE*ABC' --name 'ABC Charging'
    --source fleet.csv --vocabulary ocpp1.6 --base-url http://127.0.0.1:9400/api/oicp
    """
    from oicp_adapter.settings.load import DEFAULT

    path = Path(config or context.obj or os.environ.get("OICP_ADAPTER_CONFIG") or DEFAULT)
    if path.exists():
        raise _taken(path)
    given = {"--operator-id": operator_id, "--name": name, "--source": source, "--vocabulary": vocabulary}
    files = {"certificate": certificate, "key_file": key, "ca_file": ca_file}
    ask = _Interview([flag for flag, value in given.items() if value is None])
    answers = _answers(
        ask,
        {**given, "system": base_url or environment, **files},
        path=path,
        kind=kind,
        fields=named_fields(field or []),
    )
    _write(path, answers)
    _next_steps(path, answers)
    return 0


class _Interview:
    """Asks what no flag told. Raises ConfigurationError for a missing flag where nobody can be asked."""

    def __init__(self, missing: list[str]) -> None:
        if missing and not sys.stdin.isatty():
            raise ConfigurationError(
                f"{', '.join(missing)}: missing, and nobody can be asked",
                hint="give them, or run `oicp-adapter init` on a terminal",
            )
        self.asks = bool(missing)

    def __call__(
        self,
        given: str | None,
        question: str,
        default: str | None = None,
        check: Callable[[str], str] = str.strip,
    ) -> str:
        """The flag's value, or the person's answer, or the default. A wrong answer is asked for again."""

        def checked(text: str) -> str:
            try:
                return check(text)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None

        if given is None and self.asks:
            return str(typer.prompt(question, default=default, err=True, value_proc=checked))
        return (given if given is not None else default) or ""


def _answers(
    ask: _Interview, given: dict[str, str | None], *, path: Path, kind: FileFormat, fields: dict[str, str]
) -> Answers:
    from oicp_adapter.core.vocabulary import vocabulary_names
    from oicp_adapter.settings.load import base_directory
    from oicp_adapter.settings.starter import Answers

    base = base_directory(path)
    operator_id = ask(given["--operator-id"], "OperatorID at Hubject, like DE*ABC", check=_operator_id)
    name = ask(given["--name"], "Operator name, as Hubject knows it")
    source = ask(given["--source"], "File with the states of your EVSEs")
    words = ", ".join(vocabulary_names())
    vocabulary = ask(
        given["--vocabulary"], f"Whose words the states are in ({words}; your own: oicp)", check=_vocabulary
    )
    seen = _look(source, kind, vocabulary) if ask.asks else None
    if seen is not None and seen.format is not kind:
        kind = FileFormat(ask(None, "Its format", seen.format.value, _format))
        seen = _look(source, kind, vocabulary)
    if seen is not None and seen.records:
        seen = _records(ask, seen, source, kind, vocabulary)
    if not fields and kind not in NAMED:
        fields = _fields(ask, seen)
    encoding = seen.encoding if seen is not None else "utf-8"
    if encoding != "utf-8":
        encoding = ask(None, "Its encoding, as it is no UTF-8", encoding, _encoding)
    for sentence in seen.said(fields) if seen is not None else ():
        talk(one_line(sentence, limit=SHOWN))
    system = ask(given["system"], "Hubject's system: qa, prod, or an address", "qa", check=_system)
    another = system if "://" in system else None
    files = {}
    for file, (question, default) in TLS_FILES.items():
        skipped = another is not None and another.lower().startswith("http://")
        answer = default if skipped else ask(given[file], question, default)
        files[file] = answer if answer == default else _seen_from(base, answer)
    return Answers(
        key=re.sub(r"[^a-z0-9]", "", operator_id.lower())[2:] or "operator",
        operator_id=operator_id,
        name=name,
        environment="prod" if system == "prod" else "qa",
        base_url=another,
        path=_seen_from(base, source),
        format=kind.value,
        fields={ours: theirs for ours, theirs in fields.items() if ours != theirs},
        vocabulary=vocabulary,
        records=seen.records if seen is not None else "",
        encoding=encoding,
        **files,
        paths_start="this file's directory"
        if base == path.absolute().parent
        else "the directory above this file's",
    )


def _look(source: str, kind: FileFormat, vocabulary: str) -> Header | None:
    """What is in the file; None if it is not there yet, or names nothing. What is wrong with it is said, and no more:
    it may be written anew before anybody reads it."""
    from oicp_adapter.core.vocabulary import vocabulary_names
    from oicp_adapter.wiring import look_into

    path = Path(source)
    if kind in NAMED or not path.exists() or vocabulary not in vocabulary_names():
        return None
    try:
        seen = look_into(path, kind=kind, vocabulary=vocabulary)
    except (SourceError, ConfigurationError) as error:
        talk(f"note: {source}: {error.message}\n  fix: {error.hint}")
        return None
    return seen if seen.names or seen.format is not kind else None


def _records(ask: _Interview, seen: Header, source: str, kind: FileFormat, vocabulary: str) -> Header:
    """Asks where the records are, and looks there."""
    from oicp_adapter.wiring import look_into

    found = [seen]

    def look(text: str) -> str:
        try:
            found.append(look_into(Path(source), kind=kind, vocabulary=vocabulary, records=text.strip()))
        except (SourceError, ConfigurationError) as error:
            raise ValueError(error.message) from None
        return text.strip()

    ask(None, "Where its records are", seen.records, look)
    return found[-1]


def _fields(ask: _Interview, seen: Header | None) -> dict[str, str]:
    """Asks for the columns; of a file that was looked into, the ones that seem to be meant are the defaults."""
    if seen is None:
        return {ours: ask(None, f"Its column with the {what}", ours) for ours, what in COLUMNS.items()}
    columns = seen.columns({})
    meant = {ours: theirs for theirs, ours in (*columns.nearly, *columns.read) if one_line(theirs) == theirs}
    talk(one_line(f"its columns: {', '.join(seen.names)}", limit=SHOWN))
    if any(name.startswith("^") for name in seen.names):
        talk("(with ^: of what a record lies in)")
    fields = {}
    for ours, what in COLUMNS.items():
        # The vocabulary's exports have columns of other names for it, such as one for each connector's state.
        if ours in seen.headings.values() and ours in meant and meant[ours] in seen.headings:
            continue
        fields[ours] = ask(None, f"Its column with the {what}", meant.get(ours))
        if fields[ours] not in seen.names:
            talk(f"note: it has no column {fields[ours]!r}")
    return fields


def _format(text: str) -> str:
    names = [one.value for one in FileFormat]
    if text.strip() not in names:
        raise ValueError(f"one of {', '.join(names)}")
    return text.strip()


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text.strip()).name
    except LookupError:
        raise ValueError("no encoding; write it like cp1252") from None


def _operator_id(text: str) -> str:
    from oicp_adapter.core.ids import parse_operator_id

    return parse_operator_id(text.strip()).wire


def _vocabulary(text: str) -> str:
    from oicp_adapter.core.vocabulary import vocabulary_names

    if text.strip() not in vocabulary_names():
        raise ValueError(f"one of {', '.join(vocabulary_names())}")
    return text.strip()


def _system(text: str) -> str:
    if text.strip() not in ("qa", "prod") and not re.match("https?://", text.strip(), re.IGNORECASE):
        raise ValueError("qa, prod, or an address that begins with https://")
    return text.strip()


def _seen_from(base: Path, text: str) -> str:
    """A path typed on the command line, as it must stand in a file whose relative paths start at `base`."""
    if base == Path.cwd() or Path(text).is_absolute():
        return text
    typed = Path.cwd() / text
    return str(typed.relative_to(base) if typed.is_relative_to(base) else typed)


def _write(path: Path, answers: Answers) -> None:
    """Write it if it is one that loads, and if nobody else wrote one meanwhile."""
    from oicp_adapter.settings import load_settings
    from oicp_adapter.settings.starter import starter

    try:
        text = starter(answers).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            "an answer is not UTF-8 text", hint="check the terminal's encoding"
        ) from None
    with tempfile.TemporaryDirectory() as place:
        draft = Path(place) / "draft.toml"
        draft.write_bytes(text)
        try:
            load_settings(draft, {})
        except ConfigurationError as error:
            told = error.message.replace(str(draft), f"{path}, not written,")
            raise ConfigurationError(told, hint="correct the flags or answers, then run it again") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(text)
    except OSError as error:
        if path.exists():
            raise _taken(path) from None
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="name another file with --config"
        ) from None


def _taken(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} exists and is not overwritten", hint="name another file with --config, or move it away"
    )


def _next_steps(path: Path, answers: Answers) -> None:
    from oicp_adapter.settings.load import DEFAULT, base_directory

    data(str(path))
    source = shlex.quote(os.path.relpath(base_directory(path) / answers.path))
    flag = "" if path == DEFAULT else f" --config {path}"
    talk(
        f"written for operator {answers.key}. Next:\n"
        f"  oicp-adapter map{flag} --operator {answers.key} --file {source}\n"
        f"                            what becomes of your states, and why\n"
        f"  oicp-adapter check{flag}        is everything there?\n"
        f"  oicp-adapter plan{flag}         what would be sent, and why; sends nothing\n"
        f"  oicp-adapter run{flag}          the daemon"
    )
