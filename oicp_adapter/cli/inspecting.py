"""The verbs that look closely: check everything before the start, explain one EVSE. They write nothing."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import (
    ConfigOption,
    JsonOption,
    OperatorArgument,
    chosen,
    console,
    data_json,
    line,
    looking,
    settings_of,
    talk,
    verb,
)
from oicp_adapter.errors import ConfigurationError, worst_exit_code

if TYPE_CHECKING:
    from oicp_adapter.checking import Finding
    from oicp_adapter.sync.explaining import EvseFacts, PushFacts


@verb
def check(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Configuration, certificate, ledger, source, mapping and TLS to Hubject: one line each; sends no request.

    Examples: oicp-adapter check · oicp-adapter check slb --json
    """
    settings = settings_of(context, config)
    from oicp_adapter.checking import findings, unconfigured

    found = []
    with looking(settings) as wiring:
        looks = [findings(wiring, key) for key in chosen(settings, operator)]
        for finding in chain(*looks, unconfigured(wiring) if operator is None else ()):
            found.append(finding)
            if not as_json:
                _show_finding(finding)
    if as_json:
        data_json(found)
    return worst_exit_code(finding.exit_code for finding in found)


def _show_finding(finding: Finding) -> None:
    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[finding.verdict]
    out = console()
    out.print(line((f"{finding.verdict:<8}", colour), f" {finding.operator} {finding.what}: {finding.text}"))
    for sample in finding.sample:
        out.print(f"           {sample}")
    if finding.fix:
        out.print(f"           fix: {finding.fix}")


@verb
def explain(
    context: typer.Context,
    evse_id: Annotated[
        str, typer.Argument(metavar="EVSE", help="An EvseID, in any spelling.", show_default=False)
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What Hubject believes about one EVSE, since when, and why: source value, rule, last push, answer, history.

    Exit code 1 if nothing is known about it. Example: oicp-adapter explain 'DE*ABC*E100*1'
    """
    settings = settings_of(context, config)
    with looking(settings) as wiring:
        found, rejected, alike = [], [], []
        for operator in settings.operators:
            rejected += wiring.rejected(operator, evse_id)
            meant = wiring.meant(operator, evse_id)
            found += [facts] if meant and (facts := wiring.explain(operator, meant.key)) else []
        if not found and not rejected:
            alike = [one for operator in settings.operators for one in wiring.near(operator, evse_id)]
            if not alike and not any(wiring.meant(operator, evse_id) for operator in settings.operators):
                raise ConfigurationError(
                    f"not an EvseID: {evse_id!r}", hint="write it like DE*ABC*E123*4 or +49*123*456*7"
                )
    if as_json:
        data_json({"evses": found, "rejected": rejected})
    else:
        for facts in found:
            _show_evse(facts)
        for one in rejected:
            talk(f"{one.evse_id} ({one.operator}): not publishable since {one.since}: {one.reason}")
    if not found and not rejected:
        near = f"did you mean {' or '.join(alike)}? " if alike else ""
        talk(
            f"nothing is known about {evse_id}: no read had it, and nothing was pushed for it\n"
            f"  fix: {near}check the spelling; `oicp-adapter plan` reads the source anew"
        )
        return 1
    return 0


_PRESENCE = {"unknown": "not certain"}


def _show_evse(facts: EvseFacts) -> None:
    out = console()
    out.print(line((facts.evse_id, "bold"), f" ({facts.operator})"))
    for name, text in (
        ("source says", facts.source_says),
        ("rule", facts.rule),
        ("read", facts.source_read_at),
        ("source's time", facts.source_time),
        ("missing since", facts.missing_since),
        ("Hubject holds", f"{facts.hubject_holds} ({_PRESENCE.get(facts.presence, facts.presence)})"),
        ("acknowledged", facts.acknowledged_at),
        (
            "confirmed",
            facts.confirmed_by_full_load_at and f"by the full load of {facts.confirmed_by_full_load_at}",
        ),
        ("in doubt since", facts.in_doubt_since),
        ("quarantine", facts.quarantine),
        ("withheld by", facts.withheld),
        ("waiting since", facts.waiting_since),
        ("next", facts.next),
    ):
        if text:
            out.print(f"  {name:<15} {text}", soft_wrap=True)
    for number, push in enumerate(facts.history):
        out.print(f"  {'pushes' if number == 0 else '':<15} {_push(push)}", soft_wrap=True)


def _push(push: PushFacts) -> str:
    """One push on two lines that can be copied: a Process-ID folded in a table cannot."""
    answer = f"{push.outcome} {push.code}".strip()
    process = f", Process-ID {push.process_id}" if push.process_id else ""
    why = push.reason if push.outcome == "applied" or not push.text else f"{push.reason}; answer: {push.text}"
    return f"{push.at} {push.action} {push.status}: {answer}{process}\n{'':20}{why}"
