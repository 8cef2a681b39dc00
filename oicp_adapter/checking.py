"""`check`: is everything there to begin with? One finding per line, each with its exit code and fix.

Looks at the files, reads the source once, and shakes hands with Hubject without a request. Writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from oicp_adapter.core.guards import first_run_guard
from oicp_adapter.core.ids import Prefix
from oicp_adapter.core.model import Columns, MappedFleet, Remark
from oicp_adapter.core.spelling import setting, suggested
from oicp_adapter.core.verdicts import wordless
from oicp_adapter.errors import AdapterError, LedgerError
from oicp_adapter.settings.operator import OperatorSettings
from oicp_adapter.sync.cycle import Preview
from oicp_adapter.sync.herald import OLD_AFTER
from oicp_adapter.sync.observe import never_pushed
from oicp_adapter.wiring import Wiring, base_url

SAMPLE = 10
"""Mapped EVSEs shown, spread over the whole fleet."""
NAMED = 5
"""Unmapped values named; `plan` has them all."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `check`."""

    operator: str
    what: str
    """configuration, certificate, ledger, source, columns, mapping, signs of life or hubject."""
    verdict: Literal["ok", "warning", "failed"]
    text: str
    fix: str = ""
    exit_code: int = 0
    sample: list[str] = []
    """A few mapped EVSEs: "DE*ABC*E1  CHARGING → Occupied"."""


def findings(wiring: Wiring, key: str) -> Iterator[Finding]:
    """Check one operator, in the order in which things are needed."""
    operator = wiring.settings.operators[key]
    yield Finding(
        operator=key,
        what="configuration",
        verdict="ok",
        text=f"{operator.id} ({operator.name}) at {base_url(wiring.settings)}",
    )
    yield from (certificate := _guarded(key, "certificate", lambda: _certificate(wiring, key)))
    yield from (ledger := _guarded(key, "ledger", lambda: _ledger(wiring, key)))
    sound = ledger[0].verdict != "failed"  # a broken one is told once; the source is mapped without it
    yield from _guarded(key, "source", lambda: _source(wiring, key, with_ledger=sound))
    if certificate[0].verdict != "failed":
        yield from _guarded(key, "hubject", lambda: _hubject(wiring, key))
    else:
        text = "not tried without a usable certificate"
        yield Finding(operator=key, what="hubject", verdict="failed", text=text, exit_code=2)


def unconfigured(wiring: Wiring) -> Iterator[Finding]:
    """Operators whose EVSEs Hubject shows, and that the configuration does not have (any more)."""
    try:
        found = wiring.unconfigured()
    except LedgerError:
        return  # told of each operator
    for name, shown in found.items():
        text = (
            f"Hubject shows {shown} EVSEs of it, and it is not in the configuration: nobody looks after them"
        )
        fix = "docs/operations.md, An operator that is not in the configuration any more"
        yield Finding(operator=name, what="ledger", verdict="warning", text=text, fix=fix)


def _guarded(key: str, what: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except AdapterError as error:
        return [
            Finding(
                operator=key,
                what=what,
                verdict="failed",
                text=error.message,
                fix=error.hint,
                exit_code=error.exit_code,
            )
        ]


def _certificate(wiring: Wiring, key: str) -> list[Finding]:
    facts = wiring.certificates.facts(key)
    if facts is None:
        return [
            Finding(operator=key, what="certificate", verdict="ok", text="not needed: plain http on loopback")
        ]
    wiring.certificates.verify(key)
    text = f"{facts.subject}, {facts.days_left} days left"
    operator_id = wiring.settings.operators[key].operator_id
    problems = []
    if facts.ends_at is not None and facts.intermediates:
        text += f"; with it go {facts.intermediates} of its chain, up to {facts.ends_at}: Hubject has to know that one"
    elif facts.ends_at is not None:
        problems.append(
            f"it is sent alone: unless its issuer {facts.ends_at} is a root that Hubject knows, append the "
            "intermediate certificate to its file"
        )
    if facts.strays:
        problems.append(f"{facts.strays} in its file do not belong to its chain")
    if wiring.certificates.expires_soon(key):
        problems.append("it expires soon: order a new one from Hubject")
    named = facts.subject.upper().replace("*", "")
    if operator_id.key.replace("*", "") not in named:
        problems.append(
            f"its subject does not name {operator_id.wire}; Hubject decides whether it is this operator's"
        )
    return [
        Finding(
            operator=key,
            what="certificate",
            verdict="warning" if problems else "ok",
            text="; ".join([text, *problems]),
        )
    ]


def _ledger(wiring: Wiring, key: str) -> list[Finding]:
    if not wiring.has_ledger():
        wiring.verify_ledger_place()
        if wiring.lost_ledger(key):
            text = "none, but the mark beside it tells of pushes: it was lost, and a person ends the unknown baseline"
            fix = "if it was moved, put it back before the first run"
            return [Finding(operator=key, what="ledger", verdict="warning", text=text, fix=fix)]
        text = "none yet: the first run makes it, and begins with an unknown baseline"
        return [Finding(operator=key, what="ledger", verdict="ok", text=text)]
    text = f"{len(wiring.ledger(key).load().rows)} EVSEs known"
    if holder := wiring.holder(key):
        text += f"; {holder} pushes now"
    if (names := wiring.ledger_names()) == 1:
        return [Finding(operator=key, what="ledger", verdict="ok", text=text)]
    return [
        Finding(
            operator=key,
            what="ledger",
            verdict="warning",
            text=f"{text}; the file has {names} names (hard links), and by each of them a lock of its own",
            fix="remove the others: two processes that use different names push in parallel and damage the file",
        )
    ]


def _source(wiring: Wiring, key: str, *, with_ledger: bool) -> list[Finding]:
    with wiring.preview(key, with_ledger=with_ledger) as operator_sync:
        seen = operator_sync.preview()
    read, fleet = seen.read, seen.fleet
    problems = [*([] if read.complete else ["not complete"]), *read.problems[:3]]
    age = 0 if read.as_of is None else wiring.now() - read.as_of
    if age > OLD_AFTER:
        problems.append(f"last written {age / 60:.0f} min ago")
    source = Finding(
        operator=key,
        what="source",
        verdict="warning" if problems or not read.records else "ok",
        text="; ".join([f"{len(read.records)} records", *problems]),
        fix="look at the job that writes it" if age > OLD_AFTER or not read.records else "",
        sample=_sample(fleet),
    )
    columns = _columns(key, read.columns, wiring.settings.operators[key])
    amiss = [_remark(key, one) for one in fleet.remarks if one.amiss]
    return [
        source,
        *columns,
        _mapping(key, fleet, wiring.settings.operators[key].prefixes),
        *amiss,
        *_first_load(key, seen),
    ]


def _columns(key: str, columns: Columns | None, operator: OperatorSettings) -> list[Finding]:
    """What is read as what, unless all is called as we call it; failed where a person must say which is meant."""
    unasked = wordless(operator.mapping_rules)
    if columns is None or columns.plain(unasked):
        return []
    text = "; ".join(columns.said(unasked))
    if not columns.doubtful:
        verdict: Literal["ok", "warning"] = "warning" if columns.nearly else "ok"
        fix = "name those that are ours under `fields` of the source" if columns.nearly else ""
        return [Finding(operator=key, what="columns", verdict=verdict, text=text, fix=fix)]
    names = ", ".join(f"{ours}: {' or '.join(map(repr, fits))}" for ours, fits in columns.doubtful)
    ours, fits = columns.doubtful[0]
    return [
        Finding(
            operator=key,
            what="columns",
            verdict="failed",
            text=f"{text}; not certain: {names}",
            fix=f'say which it is, like source.fields.{ours} = "{fits[0]}", or "" for none',
            exit_code=2,
        )
    ]


def _remark(key: str, one: Remark) -> Finding:
    return Finding(operator=key, what="signs of life", verdict="warning", text=one.text, fix=one.fix)


def _mapping(key: str, fleet: MappedFleet, prefixes: Sequence[Prefix]) -> Finding:
    counts = Counter(one.status.value if one.status else "not published" for one in fleet.desired.values())
    text = ", ".join(f"{status} {count}" for status, count in sorted(counts.items())) or "nothing to publish"
    unmapped = [
        f"{'' if one.column == 'status' or not one.vocabulary else f'{one.column} '}{one.value!r} ({one.count})"
        for one in fleet.unmapped
    ]
    more = f" and {len(unmapped) - NAMED} more" if len(unmapped) > NAMED else ""
    problems = ["unmapped " + ", ".join(unmapped[:NAMED]) + more] if unmapped else []
    fix = f"`oicp-adapter plan {key}` lists each with its setting"
    if fleet.rejected:
        problems.append(f"{len(fleet.rejected)} not publishable, first: {fleet.rejected[0].reason}")
    if fleet.ambiguous:
        problems.append(
            f"{len(fleet.ambiguous)} EvseIDs with two claimants, first: {fleet.ambiguous[0].text}"
        )
    return Finding(
        operator=key,
        what="mapping",
        verdict="warning" if problems else "ok",
        text="; ".join([text, *problems, *(one.text for one in fleet.remarks if not one.amiss)]),
        fix=fleet.unmapped[0].hint
        if len(unmapped) == 1
        else fix
        if unmapped
        else _fix_of_ids(fleet, prefixes),
    )


def _fix_of_ids(fleet: MappedFleet, prefixes: Sequence[Prefix]) -> str:
    """What mends an EvseID that two chargers may claim, or those with other separators."""
    if fleet.ambiguous:
        return fleet.ambiguous[0].fix
    refused = (one.evse_id for one in fleet.rejected if one.evse_id and not one.key)
    replace = setting(suggested(one, prefixes) for one in refused)
    return f"set {replace}" if replace else ""


def _first_load(key: str, seen: Preview) -> list[Finding]:
    rejected = 0 if seen.state.baseline else never_pushed(seen.fleet.rejected, seen.rows)
    refusal = first_run_guard(seen.rows.values(), rejected=rejected)
    if refusal is None:
        return []
    return [
        Finding(
            operator=key,
            what="first load",
            verdict="failed",
            text=refusal.text,
            fix=refusal.hint,
            exit_code=3,
        )
    ]


def _hubject(wiring: Wiring, key: str) -> list[Finding]:
    agreed = wiring.certificates.handshake(key)
    return [Finding(operator=key, what="hubject", verdict="ok", text=f"{agreed}; no request was sent")]


def _sample(fleet: MappedFleet) -> list[str]:
    every = list(fleet.desired.values())
    step = max(1, len(every) // SAMPLE)
    return [f"{one.wire_id}  {one.value} → {one.status or 'not published'}" for one in every[::step][:SAMPLE]]
