"""What `map` prints: single results, a fleet in numbers, a whole vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oicp_adapter.cli.common import console, data, data_json, show, table, talk, talk_remarks, unmapped_text

if TYPE_CHECKING:
    from oicp_adapter.core.model import SourceRead
    from oicp_adapter.core.rules import MappingRules
    from oicp_adapter.core.trial import Outcome, Trial
    from oicp_adapter.settings.operator import MappingSettings

SHOWN = 40
"""Rows of a table before the rest is counted; --json has all."""


def show_outcome(outcome: Outcome, *, named: bool) -> None:
    """One result with its reason. `named`: there are others, so say which EVSE."""
    data(f"{outcome.value} → {outcome.status}")
    told = (
        ("EVSEs", f"{outcome.evses}, such as {outcome.example}" if named else ""),
        ("rule", outcome.rule),
        ("because", outcome.because),
        ("source", outcome.source),
        ("change", outcome.setting),
    )
    for name, text in told:
        if text:
            data(f"  {name:<9}{text}")


def show_rejected(trial: Trial) -> None:
    """What may be two chargers, and what cannot be published, on stderr."""
    for doubtful in trial.ambiguous[:SHOWN]:
        talk(f"warning: {doubtful.text}\n  fix: {doubtful.fix}")
    for one in trial.rejected[:SHOWN]:
        talk(f"not publishable: {one.evse_id or one.origin}: {one.reason}")
    if len(trial.rejected) > SHOWN:
        talk(f"and {len(trial.rejected) - SHOWN} more (all with --json)")


def show_fleet(
    read: SourceRead, rules: MappingRules, *, key: str, mapping: MappingSettings | None, as_json: bool
) -> int:
    """Count what a read would become. `key`: the operator's in the configuration, which says `mapping` of it."""
    import msgspec

    from oicp_adapter.clock import SystemClock
    from oicp_adapter.core.trial import attempt
    from oicp_adapter.core.verdicts import wordless

    trial = attempt(read.records, rules, now=SystemClock().now())
    owners = [prefix.text for prefix in rules.prefixes]
    if as_json:
        seen = {"complete": read.complete, "problems": read.problems, "prefixes": owners}
        data_json(msgspec.to_builtins(trial) | seen)
        return 0
    out, whole = console(), "complete" if read.complete else "not complete"
    out.print(
        f"{trial.records} records ({whole}), {trial.evses} EVSEs of {', '.join(owners)}; "
        f"{len(trial.rejected)} not publishable, {trial.duplicates} given more than once"
    )
    rows = table("status", "EVSEs", "value", "rule", "because")
    for one in trial.outcomes[:SHOWN]:
        rows.add_row(one.status, str(one.evses), one.value, one.rule, one.because)
    show(rows)
    if len(trial.outcomes) > SHOWN:
        out.print(f"and {len(trial.outcomes) - SHOWN} more rules (all with --json)")
    out.print(
        "total: " + (", ".join(f"{status} {count}" for status, count in trial.statuses.items()) or "nothing")
    )
    if trial.unmapped:
        data(unmapped_text(trial.unmapped, key=key, mapping=mapping))
    talk_remarks(trial.remarks)
    if read.columns is not None and not read.columns.plain(wordless(rules)):
        for sentence in read.columns.said(wordless(rules)):
            talk(f"columns {sentence}")
    for problem in read.problems:
        talk(f"note: {problem}")
    show_rejected(trial)
    return 0


def show_entries(vocabulary: str, rules: MappingRules, *, as_json: bool) -> int:
    """A whole vocabulary as these rules leave it."""

    from oicp_adapter.core.trial import entries
    from oicp_adapter.core.vocabulary import load_vocabulary

    found = load_vocabulary(vocabulary)
    listed = entries(vocabulary, rules)
    if as_json:
        data_json({"vocabulary": found.name, "title": found.title, "level": found.level, "values": listed})
        return 0
    rows = table("value", "status", "because", "source", title=f"{found.name}: {found.title}")
    for row in listed:
        rows.add_row(row.value, row.status, row.because, row.source or row.rule)
    show(rows)
    return 0
