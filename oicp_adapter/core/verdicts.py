"""One record, judged by its vocabulary: target and the rule that gave it. Cached per value.

The danger: a value no table knows must never pass for a known one; it becomes Unknown and is counted.
"""

from __future__ import annotations

import json
import re

import msgspec

from oicp_adapter.core.model import Cause, SourceRecord, UnmappedValue
from oicp_adapter.core.rules import MappingRules, OverrideRule, Rule, RuleKind, table_key
from oicp_adapter.core.vocabulary import (
    ColumnRule,
    Row,
    Stance,
    Target,
    Vocabulary,
    load_vocabulary,
    vocabulary_names,
)
from oicp_adapter.errors import ConfigurationError

NO_VALUE = "(none)"
"""How a record without a status is shown."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A target with its reason."""

    target: Target
    rule: Rule
    value: str
    cause: Cause = Cause.REPORTED
    readable: Target | None = None
    """What the words say without what could not be read; None: nothing, or all of it could be read."""
    charging: bool = False
    after_charging: Verdict | None = None
    """Holds instead when the connector was charging before; None where that changes nothing."""
    whole_station: Stance = Stance.NONE
    says_nothing: bool = False
    stated: int | None = None
    """Rank of the operator's rule that says what the EVSE is, whatever it reports: it comes before everything."""
    why: str = ""
    """The sentence that justifies the target."""
    source: str = ""
    """Where that sentence comes from."""

    @property
    def said(self) -> Target | None:
        """What the readable words say: the target, unless that comes from something else."""
        return self.target if self.cause is Cause.REPORTED else self.readable

    @property
    def holds_offline(self) -> bool:
        """A silent charger changes nothing: a person said so, or what is gone or not there yet is silent by nature."""
        return self.stated is not None or self.target in (Target.EVSE_NOT_FOUND, Target.SKIP)


class VerdictTable(dict[str | None, Verdict]):
    """Status as the source spells it → verdict, for one vocabulary with the operator's overrides."""

    def __init__(self, vocabulary: Vocabulary, rules: MappingRules) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self._overrides = rules.overrides
        self._rules = rules.rules
        self._ruled: dict[tuple[int, str], Verdict] = {}
        self._before: list[tuple[str, dict[str, Verdict]]] = []
        self._after: list[tuple[str, dict[str, Verdict]]] = []
        for rule in vocabulary.columns:
            later = rule.place == "after value"
            (self._after if later else self._before).append((rule.column, _by_column(vocabulary.name, rule)))

    def judge(self, record: SourceRecord, key: str) -> Verdict:
        """The verdict on a record: columns before the value, the value, columns after a mute value.

        `key`: of its EVSE, "" if it speaks for a station only.
        """
        verdict = (self._by_rule(record, key) if self._rules else None) or self[record.status]
        if not self.vocabulary.columns or verdict.stated is not None:
            return verdict
        if earlier := _ask(self._before, record):
            # What the connector does is remembered even where it does not decide.
            return msgspec.structs.replace(earlier, charging=True) if verdict.charging else earlier
        if verdict.says_nothing:
            return _ask(self._after, record) or verdict
        return verdict

    def ends_session(self, status: str | None, verdict: Verdict) -> bool:
        """The charger says that it is free. Unavailable, a fault, or a word that nobody knows is no end: it may restart
        while the car is plugged in. A word of the table means what it means there, whatever it is published as."""
        row = self.vocabulary.values.get((status or "").strip())
        return (row.target if row else verdict.target) is Target.AVAILABLE

    def __missing__(self, status: str | None) -> Verdict:
        value = (status or "").strip()
        row, shown = self.vocabulary.values.get(value), value or NO_VALUE
        if value in self._overrides:
            why = "The operator overrides this value."
            rule = self._rule(RuleKind.OVERRIDE, f"override {shown}", value)
            verdict = self._verdict(value, row, self._overrides[value], rule=rule, why=why)
        elif row is None:
            verdict = unmapped(shown)
        else:
            rule = self._rule(RuleKind.TABLE, f"{self.vocabulary.name} {shown}", value)
            verdict = self._verdict(value, row, row.target, rule=rule, why=row.why)
            says_nothing = row.says_nothing
            verdict = msgspec.structs.replace(verdict, says_nothing=says_nothing, source=row.source)
        self[status] = verdict
        return verdict

    def _rule(self, kind: RuleKind, text: str, value: str) -> Rule:
        """A rule on a word of the status column."""
        setting = f"mapping.overrides.{table_key(value)}"
        return Rule(kind=kind, text=text, name=self.vocabulary.name, value=value, setting=setting)

    def _by_rule(self, record: SourceRecord, key: str) -> Verdict | None:
        """The verdict of the first of the operator's rules that is about this record."""
        for rank, rule in enumerate(self._rules):
            if rule.matches(record, key=key, vocabulary=self.vocabulary.name):
                value = (record.status or "").strip()
                verdict = self._ruled.get((rank, value))
                if verdict is None:
                    verdict = self._ruled[rank, value] = self._of_rule(rank, rule, value)
                return verdict
        return None

    def _of_rule(self, rank: int, rule: OverrideRule, value: str) -> Verdict:
        row = self.vocabulary.values.get(value)
        name = Rule(
            kind=RuleKind.RULE,
            text=f"rule {rule.name}",
            name=rule.name,
            value=value,
            setting=f"mapping.rules.{rule.name}",
        )
        if not rule.about_the_evse:
            why = "A rule of the operator reads this report so."
            return self._verdict(value, row, rule.to, rule=name, why=why)
        return Verdict(
            target=rule.to,
            rule=name,
            value=value or NO_VALUE,
            charging=bool(row and row.charging),
            whole_station=Stance.VETO,
            stated=rank,
            why="A rule of the operator says so of this EVSE, whatever it reports.",
        )

    def _verdict(self, value: str, row: Row | None, target: Target, *, rule: Rule, why: str) -> Verdict:
        """A target for a value, with what its row says beside the target."""
        shown = value or NO_VALUE
        return Verdict(
            target=target,
            rule=rule,
            value=shown,
            charging=bool(row and row.charging),
            after_charging=_after_charging(row, target, name=self.vocabulary.name, value=shown),
            whole_station=self._stance(row, target),
            why=why,
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
        rule=Rule(kind=RuleKind.UNMAPPED, text=f"unmapped {shown}", value=shown),
        value=shown,
        cause=Cause.UNMAPPED,
        says_nothing=True,
        why="No table knows this value.",
    )


def _after_charging(row: Row | None, target: Target, *, name: str, value: str) -> Verdict | None:
    if row is None or row.after_charging is None or row.after_charging is target:
        return None
    why = "The connector was charging before: this is the end of that session, the place is still taken."
    rule = Rule(kind=RuleKind.SESSION, text=f"{name} {value} after charging", name=name, value=value)
    return Verdict(target=row.after_charging, rule=rule, value=value, charging=True, why=why)


def _by_column(vocabulary: str, rule: ColumnRule) -> dict[str, Verdict]:
    return {
        value.casefold(): Verdict(
            target=rule.target,
            rule=Rule(
                kind=RuleKind.COLUMN,
                text=f"{vocabulary} {rule.column} {value}",
                name=vocabulary,
                column=rule.column,
                value=value,
            ),
            value=value,
            whole_station=Stance.NONE if rule.place == "after value" else Stance.VETO,
            why=rule.why,
            source=rule.source,
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

    def table(self, record: SourceRecord) -> VerdictTable:
        """The table of the record's vocabulary."""
        return self._table(record.vocabulary.strip()) if record.vocabulary else self._default

    def judge(self, record: SourceRecord, table: VerdictTable, *, key: str) -> Verdict:
        """The verdict on a record of the EVSE `key` ("": of a station only); counts what no table knows."""
        verdict = table.judge(record, key)
        if verdict.cause is Cause.UNMAPPED:
            where = (table.vocabulary.name, verdict.value)
            self._unmapped[where] = self._unmapped.get(where, 0) + 1
        return verdict

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
    for name in vocabulary_names():
        if found := load_vocabulary(name).values.get(value):
            return (
                f"it is a word of {name} ({found.target}): check vocabulary, or set mapping.overrides.{key}"
            )
    return f"set mapping.overrides.{key} to one of {', '.join(Target)}"


def _loose(value: str) -> str:
    return re.sub(r"[\s_-]", "", value).casefold()
