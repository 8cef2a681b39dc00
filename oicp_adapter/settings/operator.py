"""The settings of one operator: who it is at Hubject, where its states come from, how they are read, and when.

The danger: a wrong vocabulary or threshold sends drivers to dead chargers, so nothing that decides about a fleet is
guessed. The docstring after each field is its documentation (docs/configuration.md is made from them).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from oicp_adapter.core.columns import EMPTY_VALUES
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.ids import OperatorId, Prefix, parse_operator_id, parse_prefix
from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.rules import MappingRules, OverrideRule
from oicp_adapter.core.vocabulary import WORD_COLUMNS, Target
from oicp_adapter.settings.fields import (
    Duration,
    Encoding,
    EvseIdTemplate,
    EvsePatterns,
    FilePath,
    FullSchedule,
    IdPart,
    Kind,
    OneNumber,
    OneOf,
    OperatorIdText,
    OptionalDuration,
    PollSchedule,
    Prefixes,
    Renames,
    RuleColumns,
    RuleName,
    Shared,
    TargetText,
    TimeColumns,
    TimeFormats,
    TimeZone,
    VocabularyName,
    Whole,
    Words,
    WordTables,
    default,
)
from oicp_adapter.settings.table import Table


class SourceSettings(Table):
    """Where the operator's EVSE states come from."""

    type: Literal["file"] = Field(examples=["file"])
    """The kind of source. `file`: one file that the backend rewrites, best by writing beside it and renaming."""
    path: FilePath = Field(examples=["fleet.json"])
    """The file; a name ending in `.gz` is unpacked. Relative to the directory of the configuration file."""
    format: FileFormat = FileFormat.AUTO
    """`auto` goes by the suffix (.json, .ndjson, .jsonl, .csv, each also with .gz); `ocpi-locations` are OCPI
    Location objects (2.1.1 to 2.3.0), bare, in an answer, in `items`, or one a line; `oicp` is what is pushed to
    Hubject or pulled from it."""
    vocabulary: VocabularyName = Field(examples=["ocpi"])
    """Whose words the states are in, for records that name none. There is no default: the same word means different
    things in different systems."""
    fields: Renames = Field(default={})
    """Renames: `status = "ChargerState"`. JSON members may be dotted paths. Other fields are looked for under our own
    names, in any case, with or without blanks, `_` and `-`; all of them stand at the top of docs/configuration.md.
    `""` leaves a field unread. `connection = "!inactive"` turns a flag round: `connection` and `charging` may stand
    there the other way. A column with words needs to have some, in the vocabulary or in `mapping.words`; else
    `mapping.overrides` are its words, and a word for Available says nothing there."""
    records: Annotated[str, Field(min_length=1)] | None = None
    """Where the records of a JSON document are, as a JMESPath expression: `"stations[].outlets[]"`. A field may then
    begin with `^`, for what the record lies in: `station_id = "^.id"`. Default: an array at the top, or under `evses`,
    `data` or `records`."""
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """Between the columns of a CSV file. Default: the one that finds most columns in the header."""
    header_row: Whole | None = Field(default=None, ge=1)
    """The line of a CSV file that names the columns, from 1. Default: the first of the first 30 that can be one."""
    encoding: Encoding = "utf-8"
    """How the file's characters are written: "utf-8", "utf-16", "cp1252" (Windows), "latin-1"."""
    evse_id_template: EvseIdTemplate | None = None
    """How to make an EvseID for records that have none, from `{station_id}`, `{evse_number}` and `{connector_id}`:
    `"DE*ABC*E{station_id}*{connector_id}"`. OCPP 2.x numbers connectors per EVSE and OICP has one status per EVSE:
    `"DE*ABC*E{station_id}*{evse_number}"`. Two chargers that come out alike (separators do not count) are told, and not
    published unless they agree. Without it such records are listed as refused."""
    evse_id_replace: Annotated[
        dict[Annotated[str, Field(min_length=1)], IdPart], Kind("table: text = text of an EvseID")
    ] = Field(default={})
    """What to replace in the source's EvseIDs, and in the parts the template puts in: `{ "-" = "*", " " = "" }`. All at
    once, the longest first, with regard to case. Two ids that come out alike are told as above."""
    time_zone: TimeZone = "UTC"
    """Of times that name no zone themselves, such as "Europe/Berlin". Where a clock change makes a local time happen
    twice or not at all, the older moment is meant."""
    time_format: TimeFormats | None = None
    """How times are written, as Python's strptime wants it: "%d.%m.%Y %H:%M:%S"; several if they differ. RFC 3339, mail
    and HTTP dates, SQL's, Go's and Java's forms, and seconds, milliseconds, microseconds or nanoseconds since 1970 are
    known without. A date whose day and month could change places never is."""
    empty_values: Words = EMPTY_VALUES
    """Words that mean "no value" in every column, in any case. A word that `mapping` gives a meaning is not empty."""
    max_age: OptionalDuration = default("off")
    """A file last written longer ago counts as unreadable. Off, because some backends write only on a change; above
    15 minutes there is a warning in any case."""
    unknown_after: OptionalDuration = default("24h")
    """When the source has been unreadable for so long, its EVSEs are published as Unknown until the next good read. A
    day, because a short outage of an export should not empty the map, and a dead one must not keep it frozen for
    days."""


class RuleSettings(Table):
    """A rule of your own, for what one word does not tell. All that it names must match; the first that matches, in the
    order of the file, comes before `overrides` and the vocabulary. A rule that looks at what is reported (`value`,
    `connector`, `error_code`, `vendor_error_code`, `info`) reads a report anew, so an offline charger stays Unknown;
    one without says what the EVSE is, connected or not, whatever it reports. In all of them but `value`, `%` stands for
    any characters.
    """

    to: TargetText = Field(examples=["OutOfService"])
    """The status, as in `overrides`. `Available` needs `value`: a charger that reports nothing is never free."""
    value: OneOf | None = None
    """The source's value, spelled exactly; `""` is a record without a status."""
    connector: OneNumber | None = None
    """The record's `connector_id`, so that a word of connector 0, OCPP's whole station, is read otherwise than the same
    word of another one. A record of the whole station has no EvseID: name the station in `columns`, not `evse_id`."""
    error_code: OneOf | None = None
    """The record's `error_code`, in any case."""
    vendor_error_code: OneNumber | None = None
    """The record's `vendor_error_code`, in any case."""
    info: OneOf | None = None
    """The record's `info`, in any case: `"%safe mode%"`."""
    vendor: OneOf | None = None
    """The record's `vendor`, in any case."""
    model: OneOf | None = None
    """The record's `model`, in any case."""
    evse_id: EvsePatterns | None = None
    """An EvseID, in which `%` stands for any characters: `"DE*ABC*E12%"`. Its `*` are separators, which ISO ids ignore
    like case."""
    columns: RuleColumns | None = None
    """Any other column by our name for it: `{ station_id = "S12%" }`."""
    vocabulary: VocabularyName | None = None
    """Only records in this vocabulary."""
    lasting: Duration | None = Field(default=None, alias="for")
    """Only when the value has stood for so long since the adapter first saw it: `"30min"`. A restart does not end the
    wait; another value, a jump of the clock or 15 minutes (three intervals) without a read do. What turns more than
    half of the published EVSEs (and more than 5) to Available within an hour is withheld."""

    @model_validator(mode="after")
    def _is_narrow_enough(self) -> Self:
        if not (self.value or self.evse_id or self.conditions):
            raise ValueError(
                "matches every EVSE; add value, connector, error_code, vendor_error_code, info, vendor, model, evse_id "
                "or columns"
            )
        if self.to is Target.AVAILABLE and not self.value:
            raise ValueError('would publish dead and busy chargers as free; add the value that means "free"')
        return self

    @property
    def conditions(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Columns beside the status, each with what may stand there."""
        own = {
            "connector_id": self.connector,
            "error_code": self.error_code,
            "vendor_error_code": self.vendor_error_code,
            "info": self.info,
            "vendor": self.vendor,
            "model": self.model,
        }
        given = [(column, wanted) for column, wanted in own.items() if wanted]
        return (*given, *(self.columns or {}).items())

    def named(self, name: str) -> OverrideRule:
        """The rule as the core wants it."""
        return OverrideRule(
            name=name,
            to=self.to,
            values=self.value or (),
            columns=self.conditions,
            lasting=self.lasting,
            evse_ids=self.evse_id or (),
            vocabulary=self.vocabulary or "",
        )


class MappingSettings(Table):
    """How states become OICP statuses; the tables themselves come with the vocabulary (docs/mapping.md)."""

    overrides: Annotated[dict[str, TargetText], Kind("table: value = status")] = Field(default={})
    """Source value → `Available`, `Occupied`, `OutOfService`, `EvseNotFound`, `Unknown`, `Reserved` or `skip` (not
    published), instead of the vocabulary's row. The empty name `""` stands for a record without a status."""
    words: WordTables = Field(default={})
    """What words of other columns mean, before the vocabulary's: `words.connection.ja = "online"`. Of `connection` a
    word is `online` or `offline`; of `station_status`, `lifecycle` and `charging` a status as above, but `Available`,
    or `says nothing`: no objection. A word that nobody knows makes the EVSE Unknown, if the status depends on it."""
    rules: dict[RuleName, RuleSettings] = Field(default={})
    """Rules of your own, in the order in which they are tried."""
    reserved: Literal["Occupied", "Reserved"] = "Occupied"
    """What a reserved EVSE is published as. `Occupied`, because many consumers do not know OICP's `Reserved`."""
    restricted_parking: Words | None = None
    """What `parking_restrictions` says of an EVSE that is not for the public and so not published, in any case, like
    `["CUSTOMERS"]`. Default: what the vocabulary says, which is CUSTOMERS for greenflux and nothing elsewhere; `[]`:
    nothing. What `publish` or `publish_allowed_to` keep from the public is never published; where these columns mean
    something else, leave them unread: `fields = { publish = "" }`."""
    shared: Shared = "off"
    """EVSEs that share one charger, which serves one of them at a time: `"station"` for all EVSEs of one station, or
    EvseID patterns, each of which covers those of one charger. While one of them is in use, the free ones are Occupied.
    In OCPI the station is the Location, a whole site: use patterns there."""
    heartbeat_interval: Duration = default("15min")
    """How often a charger gives a sign of life; set it to the backend's own value."""
    missed_heartbeats: Whole = Field(default=3, ge=1, le=1000)
    """After so many intervals without a sign of life a charger is offline: Unknown. Three forgive a lost message."""
    signs_of_life: TimeColumns = ("last_heartbeat", "last_seen")
    """The times that say when a charger was last heard from; one that is fresh is enough. Add `updated_at` where the
    backend writes it for every message of the charger. `connection` always counts: offline is offline."""
    no_sign_of_life: Literal["ignored", "offline"] = "ignored"
    """What an EVSE is for which the source gives no such time at all: never offline, or `offline`, which is Unknown."""
    offline_out_of_service_after: OptionalDuration = default("off")
    """After so long without a sign of life OutOfService instead of Unknown. Off: silence is no proof of a
    fault; turn it on where consumers count Unknown as available."""
    stale_after: OptionalDuration = default("off")
    """Only for a source that restamps every record: an older `updated_at` makes the state Unknown. Off, because
    elsewhere it is the time of the last change, and a quiet charger is not a dead one."""
    hold_available: OptionalDuration = default("off")
    """A change to Available is published when the source has said so for this long. Off, because it keeps free chargers
    off the map; for chargers that flap. EVSEs that are new to Hubject do not wait."""


class ScheduleSettings(Table):
    """When the operator's jobs run: an interval ("10s"), a time of day ("03:00") or "cron: 0 3 * * mon-fri"."""

    delta: PollSchedule = default("10s")
    """Read the source and push what changed. 10 s keeps a change under the 15 s of US 23 CFR 680."""
    reconcile: PollSchedule = default("5min")
    """Compare everything with what Hubject acknowledged, and push again what was in doubt or refused."""
    full: FullSchedule = default("03:00")
    """Replace everything Hubject holds for the operator, at a quiet hour; Hubject advises once a day."""
    full_jitter: OptionalDuration = default("10min")
    """A full load at a time of day or by cron starts up to this much later, each operator by its own share of it, so
    that not all push at the same second. An interval has no jitter."""
    time_zone: TimeZone = "UTC"
    """In which times of day and cron are meant. UTC has no hour that happens twice or not at all in a year. Elsewhere a
    time of day runs once a day all the same; cron may run twice in an hour that comes twice."""


class OperatorSettings(Table):
    """One operator (CPO) at Hubject. The table's name is yours: it appears in logs and on the command line."""

    id: OperatorIdText = Field(examples=["DE*ABC"])
    """The OperatorID Hubject gave to the hub partner. It must belong to the client certificate."""
    name: str = Field(min_length=1, max_length=100, examples=["Example Charging"])
    """OperatorName of every push, at most 100 characters."""
    evse_id_prefixes: Prefixes | None = None
    """EvseIDs outside of these are refused here, before Hubject does it. Default: the operator's own id; name it too
    when sub-operators are added. No EvseID may belong to two operators of the file."""
    certificate: FilePath | None = None
    """PEM file: the client certificate signed by Hubject's CA, then its chain. Needed for https."""
    key: FilePath | None = None
    """PEM file: the key of the certificate. Needed for https."""
    key_password_file: FilePath | None = None
    """File whose first line is the key's password; leave it out for a key without one."""
    first_full_load: Literal["manual", "automatic"] = "manual"
    """A full load deletes what Hubject holds and the source does not know. `manual`: the first one waits for a person
    (`resync --adopt N`). `automatic`: it is sent by the schedule; only where nobody else has ever pushed for this
    operator."""
    mode: Literal["push", "observe"] = "push"
    """`observe`: every step but the push, and the log says what would have been sent; for a parallel run before the
    cut-over."""
    source: SourceSettings
    mapping: MappingSettings = MappingSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    @property
    def operator_id(self) -> OperatorId:
        """The id, parsed."""
        return parse_operator_id(self.id)

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """What an EvseID of this operator begins with, parsed."""
        return tuple(parse_prefix(text) for text in self.evse_id_prefixes or (self.id,))

    @property
    def mapping_rules(self) -> MappingRules:
        """How its source is mapped, as the core wants it."""
        mapping = self.mapping
        return MappingRules(
            vocabulary=self.source.vocabulary,
            prefixes=self.prefixes,
            overrides={value: Target(target) for value, target in mapping.overrides.items()},
            words=mapping.words,
            configured=tuple(name for name in WORD_COLUMNS if self.source.fields.get(name)),
            rules=tuple(rule.named(name) for name, rule in mapping.rules.items()),
            reserved=EvseStatus(mapping.reserved),
            restricted_parking=mapping.restricted_parking,
            shared=mapping.shared,
            evse_id_template=self.source.evse_id_template,
            evse_id_replace=self.source.evse_id_replace,
            heartbeat_interval=mapping.heartbeat_interval,
            missed_heartbeats=mapping.missed_heartbeats,
            signs_of_life=mapping.signs_of_life,
            no_sign_of_life=mapping.no_sign_of_life,
            offline_out_of_service_after=mapping.offline_out_of_service_after,
            stale_after=mapping.stale_after,
        )
