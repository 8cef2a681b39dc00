"""The kinds of value a setting can have: read strictly, explained in words, never repeated in a message.

`Kind` names a type for people; the generated documentation shows it.
"""

from __future__ import annotations

import codecs
import ipaddress
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr

from oicp_adapter.core.claims import PARTS
from oicp_adapter.core.columns import COLUMNS, INVERTED, with_role
from oicp_adapter.core.evse_pattern import EvsePattern, parse_evse_pattern
from oicp_adapter.core.ids import InvalidId, parse_operator_id, parse_prefix
from oicp_adapter.core.model import Role
from oicp_adapter.core.vocabulary import WORD_COLUMNS, Target, meanings_of, vocabulary_names
from oicp_adapter.settings import schedule
from oicp_adapter.settings.duration import parse_duration

_SHORTEST_POLL = 0.5
_SHORTEST_FULL = 600.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value looks like, for people."""

    text: str


def default(text: str | None) -> Any:
    """A default written as in the configuration file, so that the documentation can show it as it is."""
    return Field(default=text, validate_default=True)


def _unless(word: str, read: Callable[[object], float]) -> Callable[[object], float | None]:
    return lambda value: None if value is None or value == word else read(value)


def _no_bool(value: object) -> object:
    """`max_withdrawal_share = true` would read as 1 and switch a guard off."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _poll(value: schedule.Schedule) -> schedule.Schedule:
    if value.shortest_gap < _SHORTEST_POLL:
        raise ValueError("must not be shorter than 500ms")
    return value


def _full(value: schedule.Schedule) -> schedule.Schedule:
    if value.shortest_gap < _SHORTEST_FULL:
        raise ValueError(
            "runs more often than every 10min; a full load replaces everything, once a day is usual"
        )
    return value


def _operator_id(value: str) -> str:
    try:
        return parse_operator_id(value).wire
    except InvalidId:
        raise ValueError(
            "is not an OperatorID; write it as Hubject gave it, like DE*ABC or +49*123"
        ) from None


def _prefix(value: str) -> str:
    try:
        return parse_prefix(value).text
    except InvalidId:
        raise ValueError("is not an EvseID prefix; write it like DE*ABC, DE*ABC*E12 or +49*123") from None


def _evse_pattern(value: object) -> EvsePattern:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    if value.strip().endswith("*"):
        raise ValueError("ends in *, which is only a separator of EvseIDs; write % for any characters")
    try:
        return parse_evse_pattern(value)
    except InvalidId:
        raise ValueError(
            'is not an EvseID pattern; write an EvseID, or its beginning and % for any characters, like "DE*ABC*E12%"'
        ) from None


def _as_list(value: object) -> object:
    """One text is a list of one. It is not split: source values may contain commas."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError("must be text in quotes, or a list of such")
    if not value:
        raise ValueError("is empty; name at least one")
    return value


def _numbers(value: object) -> object:
    """Connectors and codes may be written as numbers."""
    given = value if isinstance(value, list | tuple) else [value]
    told = [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in given]
    return _as_list(tuple(told))


def _rule_column(value: str) -> str:
    name = _field_name(value)
    own = {"status": "value", "evse_id": "evse_id"}
    if name in own:
        raise ValueError(f"has a key of its own in a rule: {own[name]}")
    if COLUMNS[name].role is Role.TIME:
        raise ValueError("is a time, which no rule looks at")
    return name


def _shared(value: object) -> object:
    if value in ("off", "station"):
        return value
    return tuple(_evse_pattern(one) for one in _as_list(value))  # type: ignore[attr-defined]


def _path(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("is not a path; name a file")
    return value


def _vocabulary(value: str) -> str:
    if value not in vocabulary_names():
        raise ValueError(f"is not a vocabulary; known are {', '.join(vocabulary_names())}")
    return value


def _target(value: object) -> Target:
    try:
        return Target(str(value))
    except ValueError:
        raise ValueError(f"is not a status to map to; write one of {', '.join(Target)}") from None


def _field_name(value: str) -> str:
    if value not in COLUMNS:
        raise ValueError(
            f'is not a field of ours; write our_field = "their name", ours are {", ".join(COLUMNS)}'
        )
    return value


def _renames(value: dict[str, str]) -> dict[str, str]:
    for ours, theirs in value.items():
        if theirs.startswith(INVERTED) and not COLUMNS[ours].flag:
            flags = " and ".join(name for name, column in COLUMNS.items() if column.flag)
            raise ValueError(f"turns {ours} round, which is no flag; only {flags} may begin with !")
    return value


def _word_column(value: str) -> str:
    if value not in WORD_COLUMNS:
        hint = "; the words of the status stand in mapping.overrides" if value == "status" else ""
        raise ValueError(f"is no column with words of its own; those are {', '.join(WORD_COLUMNS)}{hint}")
    return value


def _words(value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    for column, words in value.items():
        for meaning in words.values():
            if meaning == Target.AVAILABLE:
                raise ValueError(
                    f'has "Available" for {column}, which would free busy chargers; a word that keeps nobody from '
                    'charging "says nothing"'
                    if column != "connection"
                    else 'has "Available" for connection; write "online" or "offline"'
                )
            if meaning not in meanings_of(column):
                raise ValueError(
                    f"has a meaning for {column} that is none of {', '.join(meanings_of(column))}"
                )
    return value


def _template(value: str) -> str:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
    except ValueError:
        names = {""}
    if not names or not names <= set(PARTS):
        raise ValueError(
            'is not a template; write it like "DE*ABC*E{station_id}*{connector_id}", with any of '
            + ", ".join(f"{{{name}}}" for name in PARTS)
        )
    return value


def _encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError('is not an encoding; write it like "cp1252" or "utf-16"') from None
    return value


def _time_format(value: str) -> str:
    probe = datetime(2031, 11, 28, 17, tzinfo=UTC)
    try:
        back = datetime.strptime(probe.strftime(value), value)  # noqa: DTZ007 - only its parts count
    except ValueError:
        back = datetime.min  # noqa: DTZ901
    if (back.year, back.month, back.day, back.hour) != (2031, 11, 28, 17):
        raise ValueError(
            'is not a form of a time; write it for strptime with year, month, day and hour, like "%d.%m.%Y %H:%M:%S"'
        )
    return value


def _time_column(value: str) -> str:
    if value not in with_role(Role.TIME):
        raise ValueError(f"is not a time of a record; those are {', '.join(with_role(Role.TIME))}")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError('is not a time zone; write "UTC" or a name like "Europe/Berlin"') from None
    return value


def _address(value: str) -> SplitResult:
    """Raises ValueError with a text of its own: urllib's may repeat a password."""
    try:
        address = urlsplit(value)
        usable = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        usable = False
    if not usable or any(blank in value for blank in " \t\r\n"):
        raise ValueError("is not an address; write it like https://host/path")
    return address


def _base_url(value: str) -> str:
    address = _address(value)
    if address.scheme not in ("https", "http") or address.query or address.fragment or "@" in address.netloc:
        raise ValueError("must be a plain https:// address without user, query or fragment")
    if address.scheme == "http" and not _is_loopback(address.hostname or ""):
        raise ValueError("is plain http; write https:// (http is allowed on loopback addresses only)")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy(value: SecretStr) -> SecretStr:
    try:
        scheme = _address(value.get_secret_value()).scheme
    except ValueError:
        scheme = ""
    if scheme != "http":
        raise ValueError(
            "is not a proxy's address; write http://host:port or http://user:${PASSWORD}@host:port"
        )
    return value


def _ledger_url(value: str) -> str:
    name = unquote(value.removeprefix(LEDGER_SCHEME))
    if not value.startswith(LEDGER_SCHEME) or not name or "\0" in name:
        raise ValueError(
            'is not a ledger\'s address; write "sqlite:///ledger.db", or "sqlite:////var/x.db" (absolute)'
        )
    return value


LEDGER_SCHEME = "sqlite:///"

Duration: TypeAlias = Annotated[float, PlainValidator(parse_duration), Kind("duration")]
OptionalDuration: TypeAlias = Annotated[
    float | None, PlainValidator(_unless("off", parse_duration)), Kind('duration or "off"')
]
UnlessNever: TypeAlias = Annotated[
    float | None, PlainValidator(_unless("never", parse_duration)), Kind('duration or "never"')
]
_Schedule = Annotated[schedule.Schedule, PlainValidator(schedule.parse_schedule), Kind("schedule")]
PollSchedule: TypeAlias = Annotated[_Schedule, AfterValidator(_poll)]
FullSchedule: TypeAlias = Annotated[_Schedule, AfterValidator(_full)]
OperatorIdText: TypeAlias = Annotated[str, AfterValidator(_operator_id), Kind("OperatorID")]
Prefixes: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_prefix)], ...],
    Field(min_length=1),
    BeforeValidator(_as_list),
    Kind("list of EvseID prefixes"),
]
OneOf: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_list), Kind("text or list of texts")]
OneNumber: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(_numbers), Kind("text or number, or list of them")
]
RuleColumns: TypeAlias = Annotated[
    dict[Annotated[str, AfterValidator(_rule_column)], OneOf],
    Kind("table: our field = text or list of texts"),
]
Shared: TypeAlias = Annotated[
    Literal["off", "station"] | tuple[EvsePattern, ...],
    PlainValidator(_shared),
    Kind('"off", "station", EvseID pattern or list of them'),
]
EvsePatterns: TypeAlias = Annotated[
    tuple[Annotated[EvsePattern, PlainValidator(_evse_pattern)], ...],
    BeforeValidator(_as_list),
    Kind("EvseID pattern or list of them"),
]
RuleName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]
FilePath: TypeAlias = Annotated[Path, BeforeValidator(_path), Kind("path")]
VocabularyName: TypeAlias = Annotated[str, AfterValidator(_vocabulary), Kind("vocabulary")]
TargetText: TypeAlias = Annotated[Target, PlainValidator(_target)]
FieldName: TypeAlias = Annotated[str, AfterValidator(_field_name)]
EvseIdTemplate: TypeAlias = Annotated[str, AfterValidator(_template), Kind("template")]
Encoding: TypeAlias = Annotated[str, AfterValidator(_encoding), Kind("encoding")]
Renames: TypeAlias = Annotated[
    dict[FieldName, str],
    AfterValidator(_renames),
    Kind("table: our field = their name"),
]
WordTables: TypeAlias = Annotated[
    dict[Annotated[str, AfterValidator(_word_column)], dict[str, str]],
    AfterValidator(_words),
    Kind("tables: column = { word = meaning }"),
]
TimeFormats: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_time_format)], ...],
    BeforeValidator(_as_list),
    Kind("strptime format or list of them"),
]
TimeColumns: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_time_column)], ...],
    BeforeValidator(_as_list),
    Kind("list of time fields"),
]
Words: TypeAlias = Annotated[tuple[str, ...], Kind("list of texts")]
IdPart: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9*+]*$")]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_time_zone), Kind("time zone")]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url), Kind("address")]
ProxyUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_proxy), Kind("address")]
LedgerUrl: TypeAlias = Annotated[str, AfterValidator(_ledger_url), Kind("address")]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1), BeforeValidator(_no_bool), Kind("share, 0 to 1")]
Whole: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Kind("whole number")]
