"""The verbs of the on-call engineer: pause, resume, quarantine retry, ledger backup, check and distrust."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import (
    ConfigOption,
    JsonOption,
    OperatorArgument,
    chosen,
    data,
    for_each,
    looking,
    settings_of,
    talk,
    verb,
    who,
)
from oicp_adapter.errors import ConfigurationError

if TYPE_CHECKING:
    from oicp_adapter.settings import Settings
    from oicp_adapter.wiring import Wiring

OneOperator = Annotated[str, typer.Argument(metavar="OPERATOR", help="Key of the operator in the file.")]


@verb
def pause(
    context: typer.Context,
    operator: OneOperator,
    reason: Annotated[str, typer.Option(help="Why; shown by status and kept in the audit.")],
    until: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help='A duration like "2h" or a time like 2026-11-20T18:00Z.', show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
) -> int:
    """Stop the pushes of an operator; it goes on reading. With --until they resume by themselves, else by `resume`.

    Example: oicp-adapter pause slb --until 2h --reason "works at the backend"
    """
    settings = settings_of(context, config)
    chosen(settings, operator)
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.core.text import one_line
    from oicp_adapter.ports import Pause

    clock = SystemClock()
    now = clock.now()
    end = None if until is None else _moment(until, now=now)
    with _writing(settings) as wiring:
        wiring.ledger(operator).pause(Pause(since=now, until=end, reason=one_line(reason), by=who()))
    if end is None:
        talk(f"{operator} is paused until somebody resumes it: oicp-adapter resume {operator}")
    else:
        from oicp_adapter.core.text import time_text

        talk(f"{operator} is paused until {time_text(end)}; earlier: oicp-adapter resume {operator}")
    return 0


@verb
def resume(context: typer.Context, operator: OneOperator, config: ConfigOption = None) -> int:
    """Let the pushes of a paused operator flow again. Example: oicp-adapter resume slb"""
    settings = settings_of(context, config)
    chosen(settings, operator)
    from oicp_adapter.clock import SystemClock

    with _writing(settings) as wiring:
        was = wiring.ledger(operator).resume(now=SystemClock().now(), by=who())
    talk(f"{operator} pushes again with the next cycle" if was else f"{operator} was not paused")
    return 0


@verb
def quarantine_retry(
    context: typer.Context,
    evse_id: Annotated[
        str | None, typer.Argument(metavar="[EVSE]", help="One EvseID; all if left out.", show_default=False)
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", metavar="OPERATOR", help="Only this operator.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try what Hubject refused again now, alone, instead of at its time.

    Example: oicp-adapter quarantine retry 'DE*ABC*E100*1'
    """
    settings = settings_of(context, config)
    from oicp_adapter.cli.following import ask
    from oicp_adapter.core.ids import InvalidId, parse_evse_id

    try:
        key = None if evse_id is None else parse_evse_id(evse_id).key
    except InvalidId as error:
        raise ConfigurationError(str(error)) from None
    return for_each(
        chosen(settings, operator),
        lambda one: ask(settings, one, "retry", {"evse": key}, wait=True, as_json=as_json),
        as_json=as_json,
    )


@verb
def ledger_backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; never overwritten.")],
    config: ConfigOption = None,
) -> int:
    """Copy the ledger as of now, also while the daemon runs. Example: oicp-adapter ledger backup ledger-monday.db

    Put it back with: oicp-adapter ledger restore ledger-monday.db
    """
    settings = settings_of(context, config)
    with looking(settings) as wiring:
        wiring.store.backup(to)
    data(str(to))
    return 0


@verb
def ledger_restore(
    context: typer.Context,
    copy: Annotated[Path, typer.Argument(metavar="FILE", help="A copy made by `ledger backup`.")],
    config: ConfigOption = None,
) -> int:
    """Put a copy of the ledger back and distrust it: every EVSE is pushed again after settle. Stop the daemon first.

    The ledger it replaces is kept beside it. Example: oicp-adapter ledger restore ledger-monday.db
    """
    settings = settings_of(context, config)
    from oicp_adapter.errors import LedgerError
    from oicp_adapter.ports import AuditEntry

    doubted = {}

    def distrust(ready: Wiring) -> None:
        for key in settings.operators:
            with ready.operator(key, pushes=False) as operator_sync:
                doubted[key] = operator_sync.distrust(f"restored from {copy}")
            restored = AuditEntry(at=ready.now(), by=who(), what=f"restored the ledger from {copy}")
            ready.ledger(key).note(restored)
        if not any(doubted.values()):
            raise LedgerError(
                f"the copy has no EVSE of any operator here at this Hubject: {copy}",
                hint="name a copy of this ledger, not of another environment or operator; the ledger is as it was",
            )

    with ExitStack() as stack:
        wiring = stack.enter_context(_writing(settings))
        for key in settings.operators:
            stack.enter_context(wiring.lock(key, verb="ledger restore"))
        aside = wiring.restore(copy, distrust)
        for key, count in doubted.items():
            talk(f"{key}: {count} EVSEs are in doubt and are pushed again after settle")
        if aside is not None:
            talk(f"the ledger before is kept as {aside}")
        for key in settings.operators:
            wiring.ledger(key).accept_age()  # distrusted already: its age is no news to the next start
    talk("next: start the daemon; after settle: oicp-adapter resync OPERATOR --adopt N")
    return 0


@verb
def ledger_check(context: typer.Context, config: ConfigOption = None) -> int:
    """Read every page of the ledger and say whether it is sound. Example: oicp-adapter ledger check"""
    settings = settings_of(context, config)
    with looking(settings) as wiring:
        wiring.store.check()
        data(f"the ledger is sound: {wiring.store.path}")
    return 0


@verb
def ledger_distrust(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Forget what the ledger believes about Hubject: after restoring an old copy, or when in doubt about it.

    Every EVSE is pushed again after settle, and no full load is sent until `resync OPERATOR --adopt N`.
    Example: oicp-adapter ledger distrust slb
    """
    settings = settings_of(context, config)
    from oicp_adapter.cli.following import ask

    return for_each(
        chosen(settings, operator),
        lambda key: ask(settings, key, "distrust", {}, wait=True, as_json=as_json),
        as_json=as_json,
    )


@verb
def ledger_forget(
    context: typer.Context,
    operator_id: Annotated[
        str,
        typer.Argument(metavar="OPERATOR_ID", help="Like DE*ABC: one that the configuration does not have."),
    ],
    config: ConfigOption = None,
) -> int:
    """Forget the EVSEs of an operator that is not in the configuration any more; nothing is sent to Hubject.

    For one that somebody else looks after now. Example: oicp-adapter ledger forget 'DE*XYZ'
    """
    settings = settings_of(context, config)
    from oicp_adapter.core.ids import InvalidId, parse_operator_id
    from oicp_adapter.ports import AuditEntry

    try:
        parsed = parse_operator_id(operator_id)
    except InvalidId as error:
        raise ConfigurationError(str(error)) from None
    with _writing(settings) as wiring:
        what = f"forgot the operator {parsed.wire}"
        count = wiring.forget(parsed, AuditEntry(at=wiring.now(), by=who(), what=what))
    data(f"{parsed.wire}: {count} EVSEs are forgotten; what Hubject shows of them stays as it is")
    return 0


def _moment(text: str, *, now: float) -> float:
    from datetime import UTC, datetime

    from oicp_adapter.settings.duration import parse_duration

    try:
        end = now + parse_duration(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigurationError(
                f"--until {text!r} is neither a duration nor a time", hint='write "2h" or "2026-11-20T18:00Z"'
            ) from None
        end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if end <= now:
        raise ConfigurationError(
            f"--until {text!r} is not in the future", hint="times without a zone are UTC"
        )
    return end


def _writing(settings: Settings) -> Wiring:
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.wiring import Wiring, configure_log

    return Wiring(settings, clock=SystemClock(), log=configure_log(settings, stream=sys.stderr, quiet=True))
