"""Trying a mapping before it is in service: single records, whole fleets, whole tables, each with its sentence. Pure.

The danger: a trial that shows something else than the daemon will do, so it maps with the very same functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from oicp_adapter.core.ids import InvalidId, Prefix, parse_evse_id, parse_prefix
from oicp_adapter.core.mapping import Explanation, explain_fleet
from oicp_adapter.core.model import (
    Ambiguity,
    Cause,
    Desired,
    MappedFleet,
    Rejected,
    Remark,
    SourceRecord,
    UnmappedValue,
)
from oicp_adapter.core.rules import MappingRules
from oicp_adapter.core.verdicts import VerdictTable
from oicp_adapter.core.vocabulary import WORD_COLUMNS, Target, load_vocabulary, meaning_of

NOT_PUBLISHED = "not published"
_SAMPLE = parse_prefix("DE*ABC")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What EVSEs become by one rule. Members are the keys of `map --json`."""

    status: str
    """An OICP status, or "not published"."""
    value: str
    rule: str
    because: str
    source: str
    setting: str
    """Which setting changes it; "" where none does."""
    evses: int
    example: str
    """One of them."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What records would become."""

    records: int
    evses: int
    statuses: dict[str, int]
    outcomes: tuple[Outcome, ...]
    """The most frequent first."""
    unmapped: tuple[UnmappedValue, ...]
    remarks: tuple[Remark, ...]
    rejected: tuple[Rejected, ...]
    duplicates: int
    ambiguous: tuple[Ambiguity, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a vocabulary, as an operator's settings leave it. Members are the keys of `map --table --json`."""

    value: str
    """A value, or "column = value" for a rule on another column."""
    status: str
    because: str
    source: str
    rule: str


def attempt(records: Sequence[SourceRecord], rules: MappingRules, *, now: float) -> Trial:
    """Map the records as the daemon would at its first read."""
    fleet, explained = explain_fleet(records, rules, now=now)
    return Trial(
        records=len(records),
        evses=len(fleet.desired),
        statuses=dict(Counter(_shown(one) for one in fleet.desired.values()).most_common()),
        outcomes=tuple(_outcomes(fleet, explained)),
        unmapped=fleet.unmapped,
        remarks=fleet.remarks,
        rejected=fleet.rejected,
        duplicates=fleet.duplicates,
        ambiguous=fleet.ambiguous,
    )


def _outcomes(fleet: MappedFleet, explained: Mapping[str, Explanation]) -> Iterable[Outcome]:
    hints = {(one.column, one.value): one.hint for one in fleet.unmapped}
    groups: dict[tuple[str, str], list[Desired]] = {}
    for one in fleet.desired.values():
        groups.setdefault((_shown(one), one.rule), []).append(one)
    for (status, rule), group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        first = group[0]
        reason = explained[first.key]
        yield Outcome(
            status=status,
            value=first.value,
            rule=rule,
            because=reason.why,
            source=reason.source,
            setting=hints.get((reason.rule.column, first.value), reason.rule.setting)
            if first.cause is Cause.UNMAPPED
            else reason.rule.setting,
            evses=len(group),
            example=first.wire_id,
        )


def _shown(desired: Desired) -> str:
    return NOT_PUBLISHED if desired.status is None else desired.status.value


def entries(vocabulary: str, rules: MappingRules) -> list[Entry]:
    """A vocabulary as these settings leave it, in the order of its file; overrides of unknown values at the end.

    Raises ConfigurationError if there is no such vocabulary.
    """
    found = load_vocabulary(vocabulary)
    table = VerdictTable(found, rules)
    rows = []
    for value in [*found.values, *(value for value in rules.overrides if value not in found.values)]:
        verdict = table[value]
        status = _published(verdict.target, rules)
        rows.append(
            Entry(
                value=verdict.value,
                status=status,
                because=verdict.why,
                source=verdict.source,
                rule=verdict.rule.text,
            )
        )
    for column in WORD_COLUMNS:
        own = rules.words.get(column, {})
        known = {word: (rule.meaning, rule.why, rule.source) for word, rule in found.words_of(column).items()}
        known |= {
            word: (meaning_of(text), "The operator says what this word means.", "")
            for word, text in own.items()
        }
        rows += [
            Entry(
                value=f"{column} = {word}",
                status=_published(meaning, rules) if isinstance(meaning, Target) else meaning.value,
                because=why,
                source=source,
                rule=f"{'words' if word in own else vocabulary} {column} {word}",
            )
            for word, (meaning, why, source) in known.items()
        ]
    return rows


def _published(target: Target, rules: MappingRules) -> str:
    if target is Target.SKIP:
        return NOT_PUBLISHED
    return rules.reserved.value if target is Target.RESERVED else target.value


def without_operator(
    vocabulary: str, evse_ids: Iterable[str | None], *, template: str | None = None
) -> MappingRules:
    """The tables as they are delivered, for whatever operators the EvseIDs name."""
    known = owners([template.partition("{")[0] if template else None, *evse_ids])
    return MappingRules(vocabulary=vocabulary, prefixes=known or (_SAMPLE,), evse_id_template=template)


def owners(evse_ids: Iterable[str | None]) -> tuple[Prefix, ...]:
    """The operators these EvseIDs (or beginnings of them) name, in the order of the alphabet."""
    found = set()
    for text in evse_ids:
        for read in (parse_evse_id, parse_prefix):
            try:
                parts = read((text or "").strip()).parts
            except InvalidId:
                continue
            found.add(f"{parts.country}*{parts.operator}")
            break
    return tuple(parse_prefix(text) for text in sorted(found))


def sample_id(rules: MappingRules) -> str:
    """An EvseID of the operator for a record that names none."""
    parts = rules.prefixes[0].parts
    kind = "E" if parts.country.isalpha() else ""
    return f"{parts.country}*{parts.operator}*{kind}{parts.rest}0"
