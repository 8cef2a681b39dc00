"""The operator's choices that steer the mapping, as the core wants them: no defaults that guess a fleet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Literal

import msgspec

from oicp_adapter.core.columns import COLUMNS
from oicp_adapter.core.evse_pattern import EvsePattern
from oicp_adapter.core.ids import Prefix
from oicp_adapter.core.model import EvseStatus, Role, SourceRecord
from oicp_adapter.core.vocabulary import Target

_STANDING = (Role.IDENTITY, Role.MAKE, Role.ACCESS)
"""What a charger is, whatever it reports."""


class RuleKind(StrEnum):
    """What kind of rule decided."""

    TABLE = "table"
    """A row of a vocabulary."""
    OVERRIDE = "override"
    """The operator's own meaning of a value."""
    RULE = "rule"
    """A rule of the operator."""
    COLUMN = "column"
    """What another column than the status says."""
    SESSION = "session"
    """The end of a charging session, remembered."""
    OFFLINE = "offline"
    """No sign of life, or a state that is too old."""
    CONNECTORS = "connectors"
    """Several connectors, or the whole station, together."""
    ACCESS = "access"
    """It is not for the public."""
    SHARED = "shared"
    """Another EVSE of the same charger is in use."""
    UNMAPPED = "unmapped"
    """None: nobody knows the word."""
    IDENTITY = "identity"
    """None: two chargers may claim the EVSE."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rule that gave a status, as a value; `text` is for people, and nobody takes it apart."""

    kind: RuleKind
    text: str
    """As `explain`, the log and the ledger show it."""
    name: str = ""
    """Of the vocabulary, or of the operator's rule."""
    column: str = "status"
    """The column it looked at."""
    value: str = ""
    """The word it looked at."""
    setting: str = ""
    """What changes it; "" where nothing does."""


def table_key(word: str) -> str:
    """A word as the key of a TOML table: bare where it may be, else in quotes."""
    bare = word.isascii() and word.replace("-", "").replace("_", "").isalnum()
    return word if bare else json.dumps(word, ensure_ascii=False)


class OverrideRule(msgspec.Struct, frozen=True, kw_only=True):
    """What one word does not tell: everything it names must match, one of several alternatives each.

    Nothing to match means everything matches: the settings refuse a rule without a condition.
    """

    name: str
    to: Target
    values: tuple[str, ...] = ()
    """Source values, spelled exactly; "" is a record without a status."""
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Other columns, each with what may stand there: in any case, and with `%` for any characters."""
    lasting: float | None = None
    """Seconds for which the value must have stood. None: at once."""
    evse_ids: tuple[EvsePattern, ...] = ()
    vocabulary: str = ""
    """"": any."""

    @property
    def about_the_evse(self) -> bool:
        """It looks at nothing that is reported: it says what the EVSE is, connected or not."""
        return (
            self.lasting is None
            and not self.values
            and all(COLUMNS[column].role in _STANDING for column, _ in self.columns)
        )

    def matches(self, record: SourceRecord, *, value: str, key: str, vocabulary: str) -> bool:
        """Whether the rule is about this record of the EVSE `key` ("" where it speaks for a station only). `value`: the
        known word that its status is."""
        # Asked for every record and rule: what is not named costs nothing.
        if self.values and value not in self.values:
            return False
        if self.vocabulary and vocabulary != self.vocabulary:
            return False
        for column, wanted in self.columns:
            if not _one_of(wanted, getattr(record, column)):
                return False
        for pattern in self.evse_ids:
            if pattern.covers(key):
                return True
        return not self.evse_ids


def _one_of(wanted: tuple[str, ...], found: str | None) -> bool:
    said = (found or "").strip().casefold()
    plain, patterns = _told_apart(wanted)
    return said in plain or any(pattern.fullmatch(said) for pattern in patterns)


@cache
def _told_apart(wanted: tuple[str, ...]) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Texts as they are, and those with %."""
    texts = [one.strip().casefold() for one in wanted]
    patterns = [
        re.compile(".*".join(map(re.escape, text.split("%"))), re.DOTALL) for text in texts if "%" in text
    ]
    return frozenset(text for text in texts if "%" not in text), tuple(patterns)


class MappingRules(msgspec.Struct, frozen=True, kw_only=True):
    """How one operator's source is mapped. Durations in seconds."""

    vocabulary: str
    """Of records that name none."""
    prefixes: tuple[Prefix, ...]
    """EvseID prefixes of the operator; an EVSE outside of them is rejected."""
    overrides: Mapping[str, Target] = {}
    """Source value → target, in every vocabulary, instead of the table's row. "": a record without status."""
    words: Mapping[str, Mapping[str, str]] = {}
    """Column beside the status → its words → a target or meaning, before the vocabulary's."""
    configured: tuple[str, ...] = ()
    """The columns that the configuration names: they are asked in every vocabulary."""
    rules: tuple[OverrideRule, ...] = ()
    """The first that matches a record holds, before overrides and tables."""
    reserved: EvseStatus = EvseStatus.OCCUPIED
    """What "reserved" is published as."""
    restricted_parking: tuple[str, ...] | None = None
    """Words in `parking_restrictions` that keep an EVSE from the public, in any case. None: the vocabulary's."""
    shared: Literal["off", "station"] | tuple[EvsePattern, ...] = "off"
    """EVSEs that share one charger: all of one station, or those that one pattern covers."""
    evse_id_template: str | None = None
    """For records without EvseID: "DE*ABC*E{station_id}*{evse_number}"; `{connector_id}` is known, too."""
    evse_id_replace: Mapping[str, str] = {}
    """What to replace in EvseIDs, and in the parts of those the template makes."""
    heartbeat_interval: float = 900.0
    missed_heartbeats: int = 3
    """A charger without a sign of life for longer than so many intervals is offline."""
    signs_of_life: tuple[str, ...] = ("last_heartbeat", "last_seen")
    """The columns whose times say that the charger was heard from."""
    no_sign_of_life: Literal["ignored", "offline"] = "ignored"
    """What an EVSE is for which all of them are empty."""
    offline_out_of_service_after: float | None = None
    """After this long without a sign of life OutOfService instead of Unknown. None: never."""
    stale_after: float | None = None
    """Only for a source that restamps every record: an older `updated_at` makes it Unknown. None: never."""
