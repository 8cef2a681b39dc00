"""One record, judged by its vocabulary: target and the rule that gave it. Cached per value.

The danger: a value no table knows must never pass for a known one; it becomes Unknown and is counted.
"""

from __future__ import annotations

import json
import re

import msgspec

from oicp_adapter.core.model import Cause, SourceRecord, UnmappedValue
from oicp_adapter.core.rules import MappingRules
from oicp_adapter.core.vocabulary import ColumnRule, Row, Stance, Target, Vocabulary, load_vocabulary
from oicp_adapter.errors import ConfigurationError

NO_VALUE = "(none)"
"""How a record without a status is shown."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A target with its reason."""

    target: Target
    rule: str
    value: str
    cause: Cause = Cause.REPORTED
    charging: bool = False
    after_charging: Verdict | None = None
    """Holds instead when the connector was charging before; None where that changes nothing."""
    whole_station: Stance = Stance.NONE
    says_nothing: bool = False
    before_offline: bool = False
    """Decides before the signs of life are looked at."""


class VerdictTable(dict[str | None, Verdict]):
    """Status as the source spells it → verdict, for one vocabulary with the operator's overrides."""

    def __init__(self, vocabulary: Vocabulary, rules: MappingRules) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self._overrides = rules.overrides
        self._before: list[tuple[str, dict[str, Verdict]]] = []
        self._after: list[tuple[str, dict[str, Verdict]]] = []
        for rule in vocabulary.columns:
            later = rule.place == "after value"
            (self._after if later else self._before).append((rule.column, _by_column(vocabulary.name, rule)))

    def judge(self, record: SourceRecord) -> Verdict:
        """The verdict on a record: columns before the value, the value, columns after a mute value."""
        verdict = self[record.status]
        if not self.vocabulary.columns:
            return verdict
        if earlier := _ask(self._before, record):
            # What the connector does is remembered even where it does not decide.
            return msgspec.structs.replace(earlier, charging=True) if verdict.charging else earlier
        if verdict.says_nothing:
            return _ask(self._after, record) or verdict
        return verdict

    def __missing__(self, status: str | None) -> Verdict:
        value = (status or "").strip()
        verdict = self[status] = self._of_value(value)
        return verdict

    def _of_value(self, value: str) -> Verdict:
        row = self.vocabulary.values.get(value)
        target = self._overrides.get(value, row.target if row else None)
        shown, name = value or NO_VALUE, self.vocabulary.name
        if target is None:
            return unmapped(shown)
        return Verdict(
            target=target,
            rule=f"override {shown}" if value in self._overrides else f"{name} {shown}",
            value=shown,
            charging=bool(row and row.charging),
            after_charging=_after_charging(row, target, rule=f"{name} {shown} after charging", value=shown),
            whole_station=self._stance(row, target),
            says_nothing=bool(row and row.says_nothing and value not in self._overrides),
        )

    def _stance(self, row: Row | None, target: Target) -> Stance:
        if row and row.whole_station and (row.target is target or row.whole_station is not Stance.VETO):
            return row.whole_station
        if target is Target.OUT_OF_SERVICE:
            return Stance.VETO
        return Stance.EVERY if self.vocabulary.level == "station" else Stance.NONE


def unmapped(shown: str) -> Verdict:
    """The verdict on a value that no table knows."""
    return Verdict(
        target=Target.UNKNOWN,
        rule=f"unmapped {shown}",
        value=shown,
        cause=Cause.UNMAPPED,
        says_nothing=True,
    )


def _after_charging(row: Row | None, target: Target, *, rule: str, value: str) -> Verdict | None:
    if row is None or row.after_charging is None or row.after_charging is target:
        return None
    return Verdict(target=row.after_charging, rule=rule, value=value, charging=True)


def _by_column(vocabulary: str, rule: ColumnRule) -> dict[str, Verdict]:
    return {
        value.casefold(): Verdict(
            target=rule.target,
            rule=f"{vocabulary} {rule.column} {value}",
            value=value,
            whole_station=Stance.NONE if rule.place == "after value" else Stance.VETO,
            before_offline=rule.place == "before offline",
        )
        for value in rule.values
    }


def _ask(columns: list[tuple[str, dict[str, Verdict]]], record: SourceRecord) -> Verdict | None:
    for column, verdicts in columns:
        value: str | None = getattr(record, column)
        if value and (verdict := verdicts.get(value.strip().casefold())):
            return verdict
    return None


class VerdictBook:
    """The verdict tables of one run, and the values they did not know."""

    def __init__(self, rules: MappingRules) -> None:
        self._rules = rules
        self._default = VerdictTable(load_vocabulary(rules.vocabulary), rules)
        self._tables = {"": self._default, rules.vocabulary: self._default}
        self._unmapped: dict[tuple[str, str], int] = {}

    def judge(self, record: SourceRecord) -> tuple[Verdict, bool]:
        """The verdict, and whether the record speaks for its whole station whatever its connector says."""
        table = self._table(record.vocabulary.strip()) if record.vocabulary else self._default
        verdict = table.judge(record)
        if verdict.cause is Cause.UNMAPPED:
            key = (table.vocabulary.name, verdict.value)
            self._unmapped[key] = self._unmapped.get(key, 0) + 1
        return verdict, table.vocabulary.level == "station"

    def unmapped(self) -> tuple[UnmappedValue, ...]:
        """What no table knew, sorted, each with the setting that would map it."""
        return tuple(
            UnmappedValue(vocabulary=name, value=value, count=count, hint=_hint(self._table(name), value))
            for (name, value), count in sorted(self._unmapped.items())
        )

    def _table(self, name: str) -> VerdictTable:
        if name not in self._tables:
            try:
                vocabulary = load_vocabulary(name)
            except ConfigurationError:
                # Here the name is data: a record that misspells it must not stop the others (P5).
                vocabulary = Vocabulary(name=name, title="does not exist", level="evse", values={})
            self._tables[name] = VerdictTable(vocabulary, self._rules)
        return self._tables[name]


def _hint(table: VerdictTable, value: str) -> str:
    vocabulary = table.vocabulary
    if not vocabulary.values:
        return f"the record names the vocabulary {vocabulary.name!r}, which does not exist"
    if value == NO_VALUE:
        return 'name the field that holds the status, or set mapping.overrides."" = "Unknown"'
    key = json.dumps(value, ensure_ascii=False)
    for known, row in vocabulary.values.items():
        if _loose(known) == _loose(value):
            return (
                f'set mapping.overrides.{key} = "{row.target}":'
                f" it differs from {vocabulary.name} {known} in spelling only"
            )
    return f'set mapping.overrides.{key} = "Available" (or another status)'


def _loose(value: str) -> str:
    return re.sub(r"[\s_-]", "", value).casefold()
