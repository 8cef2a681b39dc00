"""One record, judged by its vocabulary: target and the rule that gave it. Cached per value.

The danger: a value no table knows must never pass for a known one; it becomes Unknown and is counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from operator import attrgetter

import msgspec

from oicp_adapter.core.columns import INVERTED
from oicp_adapter.core.model import Cause, Remark, SourceRecord, UnmappedValue
from oicp_adapter.core.rules import MappingRules, OverrideRule, Rule, RuleKind, table_key
from oicp_adapter.core.vocabulary import (
    OTHER_STATES,
    ColumnRule,
    Meaning,
    Row,
    Stance,
    Target,
    Vocabulary,
    by_likelihood,
    load_vocabulary,
    meaning_of,
    meanings_of,
    usual_place,
    vocabulary_called,
)
from oicp_adapter.core.words import Link, Words
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
    forgiven: str = ""
    """The known word, where the source spells it another way."""
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


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the other columns of a record say together, whatever its status is."""

    before: Verdict | None = None
    """Decides before the value."""
    unread: Verdict | None = None
    """Would perhaps have decided before it: a word that nobody knows."""
    after: Verdict | None = None
    """Decides where the value says nothing; Unknown if nobody knows the word."""
    unknown: tuple[tuple[str, str], ...] = ()
    """Every word that nobody knows, with its column, also where the rules do not come to it."""
    near: tuple[tuple[str, str, str], ...] = ()
    """(column, word, the known word it is taken for)."""

    def with_(self, verdict: Verdict) -> Verdict:
        """The verdict of the status and these columns together."""
        told = verdict
        if self.before is not None:
            # What the connector does is remembered even where it does not decide.
            told = msgspec.structs.replace(self.before, charging=True) if verdict.charging else self.before
        elif verdict.says_nothing and self.after is not None:
            decides = self.after.cause is Cause.REPORTED or verdict.cause is Cause.REPORTED
            told = self.after if decides else verdict
        if self.unread is None:
            return told
        return msgspec.structs.replace(self.unread, readable=told.said, charging=verdict.charging)


class VerdictTable(dict[str | None, Verdict]):
    """Status as the source spells it → verdict, for one vocabulary with the operator's overrides."""

    def __init__(self, vocabulary: Vocabulary, rules: MappingRules) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self._overrides = rules.overrides
        self._rules = rules.rules
        self._ruled: dict[tuple[int, str], Verdict] = {}
        own = [word for rule in rules.rules for word in rule.values]
        self._words = Words(vocabulary.values, filter(None, [*rules.overrides, *own]))
        self._columns = tuple(_columns(vocabulary, rules))
        self._connection = ColumnWords("connection", vocabulary, rules)
        self._links: dict[str, Link | None] = {}
        self._others: Callable[[SourceRecord], tuple[str | None, ...]] = attrgetter(*OTHER_STATES)
        self._all: Callable[[SourceRecord], tuple[str | None, ...]] = attrgetter("status", *OTHER_STATES)
        self._clean: dict[tuple[str | None, ...], Verdict] = {}
        """Status and other columns → verdict, without the operator's rules, where all words are known as they stand."""
        self._answers: dict[tuple[str | None, ...], Answer] = {}
        self.unknown: Counter[tuple[str, str]] = Counter()
        """(column, word) → records with a word that nobody knows."""
        self.near: Counter[tuple[str, str, str]] = Counter()
        """(column, word, the known word it is taken for) → records."""

    def judge(self, record: SourceRecord, key: str, stood: Container[str] = ()) -> Verdict:
        """The verdict on a record: columns before the value, the value, columns after a mute value.

        `key`: of its EVSE, "" if it speaks for a station only. `stood`: the rules whose time is over. Counts
        what nobody knows.
        """
        if (
            not self._rules
        ):  # the usual case, kept fast: words that have been seen before, and nothing to count
            told = self._clean.get(self._all(record))
            if told is not None:
                return told
        verdict = (self._by_rule(record, key, stood) if self._rules else None) or self[record.status]
        if verdict.forgiven:
            self.near["status", verdict.value, verdict.forgiven] += 1
        answer = self._answer(self._others(record))
        self.unknown.update(answer.unknown)
        self.near.update(answer.near)
        told = verdict if verdict.stated is not None else answer.with_(verdict)
        # Without a status there is no word: it is missed only where nothing else decides.
        if verdict.cause is Cause.UNMAPPED and (verdict.value != NO_VALUE or told.value == NO_VALUE):
            self.unknown["status", verdict.value] += 1
        elif not (verdict.forgiven or verdict.cause is Cause.UNMAPPED or answer.unknown or answer.near):
            self._clean[self._all(record)] = told
        return told

    def link(self, connection: str) -> Link | None:
        """What the connection column says, if it says anything but "online". Counts what nobody knows."""
        try:
            link = self._links[connection]
        except KeyError:
            link = self._links[connection] = self._connection.link(connection)
        if link is not None and link.unmapped:
            self.unknown["connection", link.word] += 1
        elif known := self._connection.forgiven(connection.strip()):
            self.near["connection", connection.strip(), known] += 1
        return link

    def known(self, column: str) -> Words | None:
        """The words that are known in a column; None if it is not asked."""
        if column == "status":
            return self._words
        asked = (self._connection, *self._columns)
        return next((one.words for one in asked if one.column == column), None)

    def _answer(self, said: tuple[str | None, ...]) -> Answer:
        """What the columns say, each asked in its order. Remembered: a fleet has few different answers."""
        if known_answer := self._answers.get(said):
            return known_answer
        words = dict(zip(OTHER_STATES, said, strict=True))
        before = unread = after = None
        unknown, near = [], []
        for column in self._columns:
            word = (words[column.column] or "").strip()
            if not word:
                continue
            verdict = column.verdict(word)
            if verdict is not None and verdict.cause is Cause.UNMAPPED:
                unknown.append((column.column, word))
            elif known := column.forgiven(word):
                near.append((column.column, word, known))
            if verdict is None:
                continue
            if column.asked_later(word):
                after = after or verdict
            elif before is None and verdict.cause is Cause.UNMAPPED:
                unread = unread or verdict
            else:
                before = before or verdict
        made = Answer(before=before, unread=unread, after=after, unknown=tuple(unknown), near=tuple(near))
        self._answers[said] = made
        return made

    def ends_session(self, status: str | None, verdict: Verdict) -> bool:
        """The charger says that it is free. Unavailable, a fault, or a word that nobody knows is no end: it may restart
        while the car is plugged in. A word of the table means what it means there, whatever it is published as."""
        row = self.vocabulary.values.get(self.word(status))
        return (row.target if row else verdict.target) is Target.AVAILABLE

    def __missing__(self, status: str | None) -> Verdict:
        said = (status or "").strip()
        word = self.word(status)
        row = self.vocabulary.values.get(word)
        if word in self._overrides:
            why = "The operator overrides this value."
            rule = self._rule(RuleKind.OVERRIDE, f"override {word or NO_VALUE}", word)
            verdict = self._verdict(word, row, self._overrides[word], rule=rule, why=why)
        elif row is None:
            verdict = unmapped(said or NO_VALUE, "status", stance=Stance.VETO if said else Stance.NONE)
        else:
            rule = self._rule(RuleKind.TABLE, f"{self.vocabulary.name} {word or NO_VALUE}", word)
            verdict = self._verdict(word, row, row.target, rule=rule, why=row.why)
            says_nothing = row.says_nothing
            verdict = msgspec.structs.replace(verdict, says_nothing=says_nothing, source=row.source)
        if said != word and verdict.cause is not Cause.UNMAPPED:
            verdict = msgspec.structs.replace(verdict, value=said, forgiven=word)
        self[status] = verdict
        return verdict

    def word(self, status: str | None) -> str:
        """The known word that a status is, however it is spelled; the status itself if nobody knows it."""
        said = (status or "").strip()
        return (self._words.find(said) or said) if said else ""

    def _rule(self, kind: RuleKind, text: str, value: str) -> Rule:
        """A rule on a word of the status column."""
        setting = f"mapping.overrides.{table_key(value)}"
        return Rule(kind=kind, text=text, name=self.vocabulary.name, value=value, setting=setting)

    def _by_rule(self, record: SourceRecord, key: str, stood: Container[str]) -> Verdict | None:
        """The verdict of the first of the operator's rules that is about this record."""
        value = self.word(record.status)
        for rank, rule in enumerate(self._rules):
            if rule.lasting is not None and rule.name not in stood:
                continue
            if rule.matches(record, value=value, key=key, vocabulary=self.vocabulary.name):
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
            verdict = self._verdict(value, row, rule.to, rule=name, why=why)
            # A rule about time is meant for what outlasts its session.
            return verdict if rule.lasting is None else msgspec.structs.replace(verdict, after_charging=None)
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


def unmapped(word: str, column: str, *, stance: Stance = Stance.NONE) -> Verdict:
    """The verdict on a word of a column that no table knows."""
    where, _ = setting_of(column)
    shown = word if column == "status" else f"{column} {word}"
    return Verdict(
        target=Target.UNKNOWN,
        rule=Rule(
            kind=RuleKind.UNMAPPED,
            text=f"unmapped {shown}",
            column=column,
            value=word,
            setting=f"{where}.{table_key('' if word == NO_VALUE else word)}",
        ),
        value=word,
        cause=Cause.UNMAPPED,
        says_nothing=True,
        whole_station=stance,
        why="No table knows this value.",
    )


def setting_of(column: str) -> tuple[str, tuple[Target | Meaning, ...]]:
    """Where the operator says what a word of this column means, and what it may mean."""
    if column == "status":
        return "mapping.overrides", tuple(Target)
    return f"mapping.words.{column}", meanings_of(column)


def _after_charging(row: Row | None, target: Target, *, name: str, value: str) -> Verdict | None:
    if row is None or row.after_charging is None or row.after_charging is target:
        return None
    why = "The connector was charging before: this is the end of that session, the place is still taken."
    rule = Rule(kind=RuleKind.SESSION, text=f"{name} {value} after charging", name=name, value=value)
    return Verdict(target=row.after_charging, rule=rule, value=value, charging=True, why=why)


class ColumnWords:
    """What the words of a column beside the status mean: in every vocabulary, in this one, with this operator."""

    def __init__(self, column: str, vocabulary: Vocabulary, rules: MappingRules) -> None:
        self.column = column
        own = {word: meaning_of(text) for word, text in rules.words.get(column, {}).items()}
        table = vocabulary.words_of(column)
        if not table and column in rules.configured:
            own = {**_as_objections(rules.overrides), **own}
        self.words = Words(table, own, any_case=True)
        self._name = vocabulary.name
        self._own = own
        self._table = table
        later = [rule.later for rule in table.values()]
        self._later = usual_place(column) == "after value" or (bool(later) and all(later))

    def verdict(self, word: str) -> Verdict | None:
        """What a word makes of the status; None if it says nothing."""
        meaning, rule = self._meaning(word)
        if meaning is None:
            stance = Stance.NONE if self._later else Stance.VETO
            return unmapped(word, self.column, stance=stance)
        if not isinstance(meaning, Target):
            return None
        known = self.words.find(word) or word
        setting = f"{setting_of(self.column)[0]}.{table_key(known)}"
        name = self._name if rule else "words"
        return Verdict(
            target=meaning,
            rule=Rule(
                kind=RuleKind.COLUMN,
                text=f"{name} {self.column} {known}",
                name=name,
                column=self.column,
                value=known,
                setting=setting,
            ),
            value=word,
            whole_station=Stance.NONE if self.asked_later(word) else Stance.VETO,
            why=rule.why if rule else "The operator says what this word means.",
            source=rule.source if rule else "",
        )

    def link(self, word: str) -> Link | None:
        """What a word says of the connection; None if it is online, or there is none."""
        said = word.strip()
        if not said:
            return None
        meaning, _ = self._meaning(said)
        return None if meaning is Meaning.ONLINE else Link(unmapped=meaning is None, word=said)

    def asked_later(self, word: str) -> bool:
        """The word counts only where the status says nothing."""
        _, rule = self._meaning(word)
        return rule.later if rule else self._later

    def forgiven(self, word: str) -> str:
        """The known word, where this one spells it another way; else ""."""
        plain = word.removeprefix(INVERTED)
        known = self.words.find(plain)
        return known if known is not None and self.words.is_near(plain, known) else ""

    def _meaning(self, word: str) -> tuple[Target | Meaning | None, ColumnRule | None]:
        """A word's meaning, None if nobody knows it; and the row that says it, None if the operator does."""
        plain = word.removeprefix(INVERTED)
        known = self.words.find(plain)
        if known is None:
            return None, None
        own, rule = self._own.get(known), None
        if own is None:
            rule = self._table[known]
        meaning = own or (rule.meaning if rule else None)
        return (meaning, rule) if plain == word else (_opposite(meaning), rule)


def _as_objections(overrides: Mapping[str, Target]) -> dict[str, Target | Meaning]:
    """The operator's words for the status, said in another column that has none of its own: they may take an EVSE from
    drivers, and never give it to them."""
    free = Target.AVAILABLE
    return {word: Meaning.NOTHING if target is free else target for word, target in overrides.items() if word}


_OPPOSITES: Mapping[object, Target | Meaning] = {
    Meaning.ONLINE: Meaning.OFFLINE,
    Meaning.OFFLINE: Meaning.ONLINE,
    Meaning.NOTHING: Target.OCCUPIED,
    Target.OCCUPIED: Meaning.NOTHING,
}


def _opposite(meaning: Target | Meaning | None) -> Target | Meaning | None:
    """Of a flag that stands there the other way round; what is no flag has none."""
    return _OPPOSITES.get(meaning)


def _columns(vocabulary: Vocabulary, rules: MappingRules) -> Iterable[ColumnWords]:
    """The columns beside status and connection that are asked, in their order.

    One that the configuration names is asked in every vocabulary: it must not be ignored where a row is in another one.
    """
    order = dict.fromkeys(rule.column for rule in vocabulary.columns if rule.column != "connection")
    for column in (*order, *(one for one in OTHER_STATES if one not in order)):
        if column in rules.configured or column in rules.words or vocabulary.words_of(column):
            yield ColumnWords(column, vocabulary, rules)


def wordless(rules: MappingRules) -> list[str]:
    """The columns beside the status that nobody asks, because no word of them is known."""
    asked = {column.column for column in _columns(load_vocabulary(rules.vocabulary), rules)}
    return [column for column in OTHER_STATES if column not in asked]


def known_words(rules: MappingRules) -> Callable[[str, str], bool]:
    """(column, word) → the word is known there, in the vocabulary of records that name none; True where nobody asks."""
    table = VerdictTable(load_vocabulary(rules.vocabulary), rules)

    def knows(column: str, word: str) -> bool:
        words = table.known(column)
        return words is None or words.find(word.strip().removeprefix(INVERTED)) is not None

    return knows


class VerdictBook:
    """The verdict tables of one run, and the words they did not know."""

    def __init__(self, rules: MappingRules) -> None:
        self._rules = rules
        self._default = VerdictTable(load_vocabulary(rules.vocabulary), rules)
        self._tables = {rules.vocabulary: self._default}
        self._called = {"": self._default, rules.vocabulary: self._default}

    def table(self, record: SourceRecord) -> VerdictTable:
        """The table of the record's vocabulary, by whatever name the record calls it."""
        if not record.vocabulary:
            return self._default
        return self._called.get(record.vocabulary) or self._table(record.vocabulary)

    def unmapped(self, decisive: Container[tuple[str, str]]) -> tuple[UnmappedValue, ...]:
        """What no table knew, sorted, each with the setting that would map it. `decisive`: (column, word) of those that
        made EVSEs Unknown."""
        found = []
        for name, table in sorted(self._tables.items()):
            for (column, word), count in sorted(table.unknown.items()):
                hint, proposal = _hint(table, column, word)
                exists = bool(table.vocabulary.values) or column != "status"
                found.append(
                    UnmappedValue(
                        vocabulary=name,
                        column=column,
                        value=word,
                        count=count,
                        hint=hint,
                        decides=(column, word) in decisive,
                        setting=setting_of(column)[0] if exists else "",
                        proposal=proposal,
                    )
                )
        return tuple(found)

    def remarks(self) -> tuple[Remark, ...]:
        """The words that are taken for others."""
        near: Counter[tuple[str, str, str]] = Counter()
        for table in self._tables.values():
            near.update(table.near)
        return tuple(
            Remark(
                text=f"{column} {word!r} is read as {known!r} ({count})",
                fix=f"{setting_of(column)[0]}.{table_key(word)} gives it another meaning",
                amiss=False,
            )
            for (column, word, known), count in sorted(near.items())
        )

    def _table(self, called: str) -> VerdictTable:
        name = vocabulary_called(called) or called.strip()
        if name not in self._tables:
            try:
                vocabulary = load_vocabulary(name)
            except ConfigurationError:
                # Here the name is data: a record that misspells it must not stop the others (P5).
                vocabulary = Vocabulary(name=name, title="does not exist", level="evse", values={})
            self._tables[name] = VerdictTable(vocabulary, self._rules)
        self._called[called] = self._tables[name]
        return self._tables[name]


def _hint(table: VerdictTable, column: str, word: str) -> tuple[str, str]:
    """What a person may do about a word, and a meaning that can stand in the settings as it is."""
    vocabulary, (where, meanings) = table.vocabulary, setting_of(column)
    every, setting = ", ".join(meanings), f"{where}.{json.dumps(word, ensure_ascii=False)}"
    cautious = Meaning.OFFLINE if column == "connection" else Target.UNKNOWN
    if column == "status" and not vocabulary.values:
        return f"the record names the vocabulary {vocabulary.name!r}, which does not exist", ""
    if column == "status" and word == NO_VALUE:
        return f'name the field that holds the status, or set {where}."" = "Unknown"', cautious
    words = table.known(column)
    if words is not None and len(alike := words.alike(word)) > 1:
        several = " and ".join(map(repr, alike))
        return f"it may be {several}: set {setting} to one of {every}", cautious
    if column == "status" and (known := list(_elsewhere(table, word))):
        targets = ", ".join(f"{name} ({target})" for name, target in known)
        return f"it is a word of {targets}: check vocabulary, or set {setting}", known[0][1]
    return f"set {setting} to one of {every}", cautious


def _elsewhere(table: VerdictTable, word: str) -> Iterable[tuple[str, Target]]:
    """Other vocabularies that know the word, those first that know most of what this source says."""
    said = {(one or "").strip() for one in table} - {""}
    known = [one for one in by_likelihood() if word in one.values and one.name != table.vocabulary.name]
    known.sort(key=lambda one: -len(said & one.values.keys()))
    return [(one.name, one.values[word].target) for one in known]
