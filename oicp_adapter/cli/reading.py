"""The verbs that only look: plan, status, quarantine list. They take no lock and write nothing."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import (
    UNCONFIGURED,
    UNCONFIGURED_FIX,
    ConfigOption,
    Facts,
    JsonOption,
    OperatorArgument,
    chosen,
    console,
    data,
    data_json,
    for_each,
    line,
    looking,
    settings_of,
    show,
    table,
    talk,
    talk_remarks,
    unmapped_text,
    verb,
)
from oicp_adapter.errors import CertificateError

if TYPE_CHECKING:
    from oicp_adapter.core.guards import Allowance
    from oicp_adapter.settings import Settings
    from oicp_adapter.settings.operator import MappingSettings
    from oicp_adapter.sync.cycle import Preview
    from oicp_adapter.sync.facts import OperatorFacts
    from oicp_adapter.sync.report import CycleReport
    from oicp_adapter.wiring import Wiring

AUDIT_SHOWN = 5
WARNINGS_SHOWN = 5
SHOWN = 40
"""Rows of a table on a terminal before the rest is counted; --json has all."""


@verb
def plan(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="COPY",
            help="Compare with this copy of the ledger, also of an older version; it stays as it is.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """What a delta and a full load would send now, and why; sends nothing.

    Before an upgrade: --ledger with a copy that the old version's `ledger backup` wrote lists every EVSE whose status
    would differ. Exit code 3 if a guard would refuse it.

    Examples: oicp-adapter plan · oicp-adapter plan slb --json · oicp-adapter plan --ledger backup.db
    """
    from oicp_adapter.core.guards import Allowance

    settings = settings_of(context, config)
    return for_each(
        chosen(settings, operator),
        lambda key: preview(settings, key, Allowance(), as_json=as_json, copy=ledger),
        as_json=as_json,
    )


def preview(
    settings: Settings, key: str, allowance: Allowance, *, as_json: bool, copy: Path | None = None
) -> tuple[int, Facts]:
    """Show one operator's plan, or leave that to `--json`; returns the exit code and the facts."""
    with ExitStack() as opened:
        wiring = opened.enter_context(looking(settings))
        if copy is not None:
            wiring = opened.enter_context(wiring.on_copy(copy))
        operator_sync = opened.enter_context(wiring.preview(key))
        seen = operator_sync.preview(allowance)
        stopped = wiring.stopped(key, seen.state)
    if not as_json:
        _show_plan(key, seen, settings.operators[key].mapping)
        if stopped:
            talk(f"note: none of it is sent now: {stopped}")
    return seen.report.exit_code, {**_plan_facts(seen), "stopped": stopped}


def _plan_facts(seen: Preview) -> Facts:
    plan = seen.decision.plan
    return {
        "read": len(seen.read.records),
        "complete": seen.read.complete,
        "changes": [
            {
                "evse_id": change.wire_id,
                "action": change.action,
                "from": change.previous,
                "to": change.status,
                "kind": change.kind,
                "reason": change.reason,
            }
            for change in plan.changes
        ],
        "unchanged": plan.unchanged,
        "in_doubt": plan.waiting,
        "quarantined": plan.quarantined,
        "gone": plan.gone,
        "missing": plan.missing,
        "withheld": {seen.rows[key].wire_id: guard for key, guard in plan.withheld.items()},
        "kept_back": _kept_back(seen),
        "rejected": [
            {"evse_id": one.evse_id, "origin": one.origin, "reason": one.reason}
            for one in seen.fleet.rejected
        ],
        "unmapped": [
            {
                "vocabulary": one.vocabulary,
                "column": one.column,
                "value": one.value,
                "evses": one.count,
                "decides": one.decides,
                "fix": one.hint,
            }
            for one in seen.fleet.unmapped
        ],
        "remarks": [{"text": one.text, "fix": one.fix} for one in seen.fleet.remarks],
        "full_load": {"records": len(seen.full.records), "withdraws": seen.withdraws},
        "refused": refused_by(seen.report),
        "warnings": [{"text": text, "fix": fix} for text, fix in seen.report.warnings],
    }


def _kept_back(seen: Preview) -> list[dict[str, str | None]]:
    """The EVSEs whose status would differ but for a guard: with it, and the rule that gave the status."""
    found = ((seen.rows[key], guard) for key, guard in seen.decision.plan.withheld.items())
    return [
        {
            "evse_id": row.wire_id,
            "from": row.status,
            "would_be": None if row.first_missing is not None else row.desired,
            "guard": guard,
            "reason": "gone from the source" if row.first_missing is not None else row.rule,
        }
        for row, guard in found
        if row.first_missing is not None or row.desired is not row.status
    ]


def refused_by(report: CycleReport) -> list[Facts]:
    """The guards that say no."""
    return [{"guard": one.guard, "text": one.text, "fix": one.hint} for one in report.refusals]


def warned(report: CycleReport) -> list[str]:
    """What was found in the source, as lines for a person; many of a kind as a few and a count."""
    lines = [f"warning: {text}" + (f"\n  fix: {fix}" if fix else "") for text, fix in report.warnings]
    more = len(lines) - WARNINGS_SHOWN
    return lines[:WARNINGS_SHOWN] + ([f"warning: and {more} more (all with --json)"] if more > 0 else [])


def _show_plan(key: str, seen: Preview, mapping: MappingSettings) -> None:
    plan, out = seen.decision.plan, console()
    rows = table("EvseID", "action", "from", "to", "because", title=f"{key}: what a delta would send")
    lines: list[tuple[str | None, ...]] = [
        (change.wire_id, change.action, change.previous, change.status, change.reason)
        for change in plan.changes
    ]
    lines += [
        (one["evse_id"], "withheld", one["from"], one["would_be"], f"{one['guard']}: {one['reason']}")
        for one in _kept_back(seen)
    ]
    for one in lines[:SHOWN]:
        rows.add_row(*(text or "-" for text in one))
    if lines:
        show(rows)
        if len(lines) > SHOWN:
            out.print(f"and {len(lines) - SHOWN} more (all with --json)")
    out.print(
        f"{key}: {len(seen.read.records)} records read ({'complete' if seen.read.complete else 'not complete'}); "
        f"{len(plan.changes)} to send, {plan.unchanged} unchanged, {plan.waiting} in doubt, "
        f"{plan.quarantined} quarantined, {len(plan.withheld)} withheld, {len(seen.fleet.rejected)} not publishable"
        + (f", {plan.gone} gone in the source: nothing to do" if plan.gone else "")
    )
    out.print(
        f"{key}: a full load would hold {len(seen.full.records)} records and withdraw {seen.withdraws} EVSEs"
    )
    if seen.fleet.unmapped:
        talk(unmapped_text(seen.fleet.unmapped, key=key, mapping=mapping))
    talk_remarks([one for one in seen.fleet.remarks if one.amiss])
    for text in warned(seen.report):
        talk(text)
    for refusal in seen.report.refusals:
        talk(f"would be refused: {refusal.text}\n  fix: {refusal.hint}")
    if seen.baseline is not None:
        talk(f"note: {seen.baseline.text}\n  fix: {seen.baseline.hint}")


@verb
def status(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What Hubject is known to hold, what waits, what is refused, and when each job last succeeded.

    Examples: oicp-adapter status · oicp-adapter status slb --json
    """
    settings = settings_of(context, config)
    from oicp_adapter.sync.facts import operator_facts
    from oicp_adapter.wiring.parts import plan_policy

    facts = {}
    with looking(settings) as wiring:
        unconfigured = wiring.unconfigured()
        for key in chosen(settings, operator):
            ledger = wiring.ledger(key)
            picture = ledger.load()
            facts[key] = operator_facts(
                picture,
                ledger.jobs(),
                rejected=len(ledger.rejected()),
                holder=str(holder) if (holder := wiring.holder(key)) else None,
                days_left=_days_left(wiring, key),
                automatic_baseline=settings.operators[key].first_full_load == "automatic",
                mode=settings.operators[key].mode,
                paused=ledger.paused(now=wiring.now()),
                audit=ledger.audit(AUDIT_SHOWN),
                policy=plan_policy(settings, key),
                unknown_after=settings.operators[key].source.unknown_after,
                last_push=wiring.last_push(key),
                push_takes=wiring.push_takes(picture),
                now=wiring.now(),
            )
    if as_json:
        data_json(facts)
    else:
        for key, one in facts.items():
            _show_status(key, settings.operators[key].id, one)
    for name, shown in unconfigured.items():
        talk(f"warning: {UNCONFIGURED.format(name=name, shown=shown)}\n  fix: {UNCONFIGURED_FIX}")
    return 0


def _days_left(wiring: Wiring, key: str) -> int | None:
    """`status` is most needed when something is wrong, so a certificate that cannot be read does not end it."""
    try:
        certificate = wiring.certificates.facts(key)
    except CertificateError as error:
        talk(f"warning: {error}")
        return None
    return certificate.days_left if certificate else None


def _show_status(key: str, operator_id: str, facts: OperatorFacts) -> None:
    out = console()

    def show_line(name: str, text: str, style: str = "") -> None:
        out.print(line((f"  {name:<15} {text}", style)))

    out.print(
        line((key, "bold"), f" ({operator_id}): ")
        + (f"{facts.pushed_by} pushes" if facts.pushed_by else "nobody pushes now")
    )
    if facts.unrecorded:
        show_line("NOT UP TO DATE", f"{facts.unrecorded}; all of this is as of then", "red")
    if facts.paused:
        out.print(line((f"  {facts.paused}", "yellow")))
    if facts.mode != "push":
        out.print(line((f"  mode {facts.mode}: nothing is pushed", "yellow")))
    counts = ", ".join(f"{name} {count}" for name, count in sorted(facts.held.items()))
    show_line("Hubject holds", counts or ("nothing for certain" if facts.in_doubt else "nothing yet"))
    since = f" (since {facts.in_doubt_since})" if facts.in_doubt_since else ""
    show_line(
        "not settled",
        f"backlog {facts.backlog}, in doubt {facts.in_doubt}{since}, quarantined {facts.quarantined}, "
        f"not publishable {facts.rejected}, withheld {len(facts.withheld)}, missing {facts.missing}",
    )
    if facts.waiting_since:
        show_line("waits", f"since {facts.waiting_since}: {facts.waiting_for}")
    if facts.gone:
        show_line("nothing to do", f"{facts.gone} gone in the source, not shown at Hubject")
    show_line("baseline", facts.baseline)
    due = f" (due: {facts.full_load_due})" if facts.full_load_due else ""
    show_line("last full load", f"{facts.last_full_load or 'never'}{due}")
    show_line("source", facts.source)
    if facts.hubject:
        show_line("Hubject", facts.hubject, "red")
    days = facts.certificate_days_left
    if days is not None:
        left, style = (f"{days} days left", "") if days >= 0 else (f"expired {-days} days ago", "red")
        show_line("certificate", left, style)
    for job in facts.jobs:
        ran = f"last success {job.last_success or 'never'}, next {job.next_run or 'unknown'}"
        failed = f", {job.failures} failures: {job.error}" if job.failures else ""
        out.print(line(f"  {job.job:<15} {ran}", (failed, "red")))
    for refusal in facts.refusals:
        show_line("refused", f"{refusal.text} (since {refusal.since})", "red")
        show_line("fix", refusal.fix)
    if facts.frozen is not None:
        seen = f"drivers see {facts.frozen.available} EVSEs as Available that nobody vouches for"
        show_line("frozen", f"since {facts.frozen.since}: {seen}", "red")
    for warning in facts.warnings:
        show_line("warning", f"{warning.text} (since {warning.since})", "yellow")
        if warning.fix:
            show_line("fix", warning.fix)
    for evse_id, guard in list(facts.withheld.items())[:SHOWN]:
        show_line("withheld", f"{evse_id} ({guard})")
    if len(facts.withheld) > SHOWN:
        show_line("withheld", f"and {len(facts.withheld) - SHOWN} more (all with --json)")
    for entry in facts.audit:
        show_line("audit", entry)


@verb
def quarantine_list(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What Hubject refused, and what the source has that cannot be published, with the reason.

    Examples: oicp-adapter quarantine list · oicp-adapter quarantine list slb --json
    """
    settings = settings_of(context, config)
    from oicp_adapter.sync.facts import refused_facts

    found = []
    with looking(settings) as wiring:
        for key in chosen(settings, operator):
            ledger = wiring.ledger(key)
            found += refused_facts(key, ledger.load(), ledger.rejected())
    if as_json:
        data_json(found)
        return 0
    if not found:
        data("nothing is quarantined")
        return 0
    for one in found[:SHOWN]:
        again = f", next try {one.next_try}" if one.next_try else ""
        data(f"{one.operator} {one.evse_id or one.origin}: {one.by}, since {one.since}{again}: {one.why}")
    if len(found) > SHOWN:
        data(f"and {len(found) - SHOWN} more (all with --json)")
    for code, fix in dict.fromkeys((one.code, one.fix) for one in found if one.fix):
        talk(f"fix {code}: {fix}")
    return 0
