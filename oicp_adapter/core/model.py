"""The words everything else is said in: what a source reports, and what Hubject should hold.

All times are seconds since the Unix epoch, UTC, as float. `None` means "not known", never "now"; `NEVER` is what a
source calls never.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated

import msgspec

NEVER = float("-inf")
"""A time that is said to have never been: older than any other, and not the same as no time."""


class EvseStatus(StrEnum):
    """The EvseStatus values of OICP 2.3 (EvseStatusType)."""

    AVAILABLE = "Available"
    RESERVED = "Reserved"
    OCCUPIED = "Occupied"
    OUT_OF_SERVICE = "OutOfService"
    EVSE_NOT_FOUND = "EvseNotFound"
    UNKNOWN = "Unknown"


class ActionType(StrEnum):
    """The ActionType values of OICP 2.3 (eRoamingPushEvseStatus)."""

    FULL_LOAD = "fullLoad"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Cause(StrEnum):
    """Why a status came out as it did, as far as the mass guard has to know (P4)."""

    REPORTED = "reported"
    """The source said so."""
    STALE = "stale"
    """Given because signs of life or the state are too old."""
    UNMAPPED = "unmapped"
    """Unknown because no table knows the source's value."""
    STOOD = "stood"
    """Available because a value has stood for so long, by a rule of the operator."""


class Role(StrEnum):
    """What a column of a source is for."""

    IDENTITY = "identity"
    """Tells which EVSE, or which station: a source without any names nobody."""
    ADDRESS = "address"
    """Tells apart what belongs to one station."""
    STATE = "state"
    """May decide the status: a source without any says nothing."""
    TIME = "time"
    """Seconds since the epoch; orders duplicates or is a sign of life."""
    ACCESS = "access"
    """Tells who may see or use it: what is not for the public is not published."""
    MAKE = "make"
    """Tells what the charger is, whatever it reports."""
    DETAIL = "detail"
    """What rules may look at."""


class Column(msgspec.Struct, frozen=True, gc=False):
    """One field of `SourceRecord`, for everything that treats fields alike: readers, settings, `map`, documentation."""

    role: Role
    about: str
    """What it holds, in words for people."""
    flag: bool = False
    """It says yes or no, and may stand there the other way round."""
    loose: bool = False
    """Whatever stands there is taken and spoils no row: lists, objects and line breaks, too."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the operator's backend: an EVSE, or one connector of it. Spelled as the source spells it.

    The one list of columns: a field added here can be read, renamed, tried with `map` and is documented.
    """

    evse_id: Annotated[str | None, Column(Role.IDENTITY, "the EvseID")] = None
    """None when the source has none for this row."""
    station_id: Annotated[str | None, Column(Role.IDENTITY, "the charging station")] = None
    evse_number: Annotated[
        str | None, Column(Role.ADDRESS, "which EVSE of its station: OCPP 2.x's evseId, OCPI's uid")
    ] = None
    connector_id: Annotated[
        str | None, Column(Role.ADDRESS, "the connector; OCPP's 0 is the whole station")
    ] = None
    """Of its EVSE where there is an `evse_number`, else of its station."""
    status: Annotated[str | None, Column(Role.STATE, "the status")] = None
    vocabulary: Annotated[str | None, Column(Role.DETAIL, "whose words this row is in")] = None
    """Overrides the source's vocabulary for this row."""
    updated_at: Annotated[float | None, Column(Role.TIME, "when the status last changed")] = None
    """Orders duplicates; never ages a state by itself."""
    last_heartbeat: Annotated[float | None, Column(Role.TIME, "the charger's last heartbeat")] = None
    last_seen: Annotated[float | None, Column(Role.TIME, "when the charger was last heard from")] = None
    connection: Annotated[str | None, Column(Role.STATE, "whether the charger is online", flag=True)] = None
    station_status: Annotated[str | None, Column(Role.STATE, "what is said of the whole station")] = None
    charging: Annotated[str | None, Column(Role.STATE, "whether a session is running", flag=True)] = None
    lifecycle: Annotated[str | None, Column(Role.STATE, "whether the charger is in the field")] = None
    publish: Annotated[
        str | None, Column(Role.ACCESS, "whether the public may see it (OCPI)", flag=True, loose=True)
    ] = None
    publish_allowed_to: Annotated[
        str | None, Column(Role.ACCESS, "who may see it, where the public may not (OCPI)", loose=True)
    ] = None
    parking_restrictions: Annotated[
        str | None, Column(Role.ACCESS, "who may park there (OCPI)", loose=True)
    ] = None
    error_code: Annotated[str | None, Column(Role.DETAIL, "the error code")] = None
    vendor_error_code: Annotated[
        str | None, Column(Role.DETAIL, "the maker's own error code", loose=True)
    ] = None
    info: Annotated[
        str | None, Column(Role.DETAIL, "what the charger says beside its status", loose=True)
    ] = None
    vendor: Annotated[str | None, Column(Role.MAKE, "who made the charger")] = None
    model: Annotated[str | None, Column(Role.MAKE, "the charger's model")] = None
    unread: tuple[tuple[str, str], ...] = ()
    """Columns with a time that cannot be read, each with what stands there."""
    origin: str = ""
    """Where it stands in the source, for people: "line 17", "location 42, EVSE 3"."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns (or members) of a source, by what becomes of them; its own names, and ours."""

    read: tuple[tuple[str, str], ...] = ()
    """(theirs, ours), however it was recognised."""
    near: tuple[tuple[str, str], ...] = ()
    """Those among them that are read because their names fit nearly: without case, `_`, `-` and blanks."""
    doubtful: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Ours, and what it may be: several that fit alike, or one whose words are mostly unknown. Not read."""
    ignored: tuple[str, ...] = ()
    nearly: tuple[tuple[str, str], ...] = ()
    """Those among the ignored that look like a misspelt name of ours."""

    def plain(self, wordless: Collection[str] = ()) -> bool:
        """All is read, and called as we call it."""
        renamed = any(theirs != ours or ours in wordless for theirs, ours in self.read)
        return not (renamed or self.doubtful or self.ignored)

    def said(self, wordless: Collection[str] = ()) -> list[str]:
        """In words. `wordless`: our columns that are left out because the vocabulary has no words for them."""
        renamed = [f"{theirs} as {ours}" for theirs, ours in self.read if theirs != ours]
        left = [theirs for theirs, ours in self.read if ours in wordless]
        parts = [
            (
                "read: ",
                [theirs for theirs, ours in self.read if theirs == ours and ours not in wordless] + renamed,
            ),
            ("not read: ", list(self.ignored)),
            ("not read, because the vocabulary has no words for it: ", left),
            ("nearly: ", [f"{theirs} (is it {ours}?)" for theirs, ours in self.nearly]),
        ]
        return [words + ", ".join(names) for words, names in parts if names]


class SourceRead(msgspec.Struct, frozen=True, kw_only=True):
    """One read of a source."""

    records: list[SourceRecord]
    complete: bool
    """Only a complete read may let an EVSE go."""
    columns: Columns | None = None
    """What is read and what is not; None where a format fixes the names."""
    problems: tuple[str, ...] = ()
    """Why it is not complete, or what was odd, in words for an operator."""
    as_of: float | None = None
    """How old the picture is (a file's modification time)."""
    writing: str = ""
    """Which writing of the source this is; two reads of one writing are one read. Empty: every read is fresh."""


class ConnectorState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The last state seen of one connector, remembered across restarts (Preparing after charging)."""

    connector: str
    """Its address: station/EVSE/connector as the source names them, each only where there is one."""
    value: str
    charging: bool
    """In a charging session (or finishing one) when last seen, and not said to be free since."""
    since: tuple[tuple[str, float], ...] = ()
    """Rule with `for` that the value matches but for its time → since when it was seen so, without a gap."""


class Flaw(StrEnum):
    """What is wrong with the records of an EVSE that the source has."""

    NONE = ""
    AMBIGUOUS = "ambiguous"
    """Two chargers may claim its identity, and they do not agree."""
    UNSURE = "unsure"
    """It may not be for the public: nobody can read what the source says of that."""
    UNUSABLE = "unusable"
    """It is in the source, in a record that cannot be published: missing from the fleet, but not gone."""

    @property
    def never_inserted(self) -> bool:
        """Drivers must not see it newly; where Hubject has it already, an update keeps it true."""
        return self in (Flaw.AMBIGUOUS, Flaw.UNSURE)


class Desired(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What Hubject should hold for one EVSE, and why."""

    key: str
    """Identity of the EVSE (`oicp_adapter.core.ids`): equal spellings share it."""
    wire_id: str
    """The EvseID as it would be sent."""
    status: EvseStatus | None
    """None: not published ("skip"); publishable → None means gone."""
    rule: str
    """The rule that decided, named so that a person can find and change it."""
    value: str
    """The source's value the rule looked at."""
    source_time: float | None = None
    cause: Cause = Cause.REPORTED
    fallback: EvseStatus | None = None
    """What the source's words say without what could not be read; None: nothing, or all could be read."""
    connectors: tuple[ConnectorState, ...] = ()
    flaw: Flaw = Flaw.NONE


class Ambiguity(msgspec.Struct, frozen=True, kw_only=True):
    """One identity, and not surely one charger."""

    key: str
    evse_id: str
    text: str
    """Who claims it, and where each of them stands."""
    reason: str
    """The same without where, which changes with every row that is added before them."""
    origin: str
    """Where they stand."""
    fix: str
    agree: bool
    """They say the same, which is published."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A source record that cannot be published, with the reason; listed with the quarantine."""

    evse_id: str
    """As the source spells it; "" when the source gave none."""
    reason: str
    origin: str = ""
    key: str = ""
    """Identity of the EVSE, where the id can be read: it is in the source, and so not gone."""
    address: str = ""
    """Where its EVSE stands, as in `ConnectorState`; "" where no station is named, which would fit any."""

    @property
    def identity(self) -> tuple[str, str]:
        """Equal for the same record wherever it stands: exports come in another order every time."""
        return self.evse_id, self.reason


class UnmappedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A source value no table knows, with the setting that would map it."""

    vocabulary: str
    """"" where it is no word."""
    column: str = "status"
    value: str
    count: int
    """Of records."""
    hint: str
    decides: bool = True
    """It makes EVSEs Unknown; else the rules did not come to it."""
    setting: str = ""
    """The key of the table that says what it means, without the word: "mapping.overrides"; "" where there is none."""
    proposal: str = ""
    """A meaning that could stand there; never one that frees a charger, unless another table says so."""


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """What a person should know of a read beside its statuses."""

    text: str
    fix: str
    amiss: bool
    """Something is probably wrong; else it is only good to know."""


class MappedFleet(msgspec.Struct, frozen=True, kw_only=True):
    """A whole read, mapped."""

    desired: dict[str, Desired]
    """By key; contains skipped EVSEs too (status None): they are seen, so they are not missing."""
    rejected: tuple[Rejected, ...] = ()
    unmapped: tuple[UnmappedValue, ...] = ()
    duplicates: int = 0
    """EVSEs that occurred more than once and were settled by the duplicate rule."""
    remarks: tuple[Remark, ...] = ()
    """About signs of life: what has none, and clocks that are wrong alike."""
    ambiguous: tuple[Ambiguity, ...] = ()
    """Identities that may be of two chargers, in the order of their ids."""
