"""The verbs that push: run, sync, resync. Each holds the operator's lock while it does."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter import open_files
from oicp_adapter.cli.common import (
    ConfigOption,
    Facts,
    JsonOption,
    OperatorArgument,
    chosen,
    data,
    for_each,
    settings_of,
    talk,
    verb,
)
from oicp_adapter.errors import SourceError

if TYPE_CHECKING:
    from oicp_adapter.sync.report import CycleReport


@verb
def run(context: typer.Context, config: ConfigOption = None) -> int:
    """The daemon: delta, reconcile and full jobs for every operator, until SIGTERM or Ctrl-C.

    SIGUSR1 asks every operator for a full load; SIGHUP reads source and mapping settings again.
    Logs go to stdout: JSON lines, or readable on a terminal.

    Example: oicp-adapter run --config /etc/oicp-adapter/adapter.toml
    """
    settings = settings_of(context, config)
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.daemon import Daemon
    from oicp_adapter.signals import asked_to_end
    from oicp_adapter.telemetry import events
    from oicp_adapter.wiring import Wiring, configure_log, reading_anew

    open_files.raise_limit()
    stop = threading.Event()
    clock, log = SystemClock(stop), configure_log(settings)
    with ExitStack() as stack:
        wiring = stack.enter_context(Wiring(settings, clock=clock, log=log, stop=stop))
        wiring.certificates.verify_any()
        operators = [
            wiring.jobs(key)
            for key in settings.operators
            if wiring.take_turn(key, stack, give_up=asked_to_end)
        ]
        wiring.tell_unconfigured()
        if asked_to_end():  # before anything was begun
            log.emit(events.DAEMON_STOPPED)
            return 0
        daemon = Daemon(
            operators,
            clock=clock,
            log=log,
            stop=stop,
            grace=settings.daemon.grace,
            reload=lambda: reading_anew(settings_of(context, config), running=settings),
        )
        return daemon.run()


@verb
def sync(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Try at once what Hubject refused as a whole, such as a certificate. Not for cron."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """One delta cycle and exit: for cron or a Kubernetes Job instead of the daemon.

    Examples: oicp-adapter sync · oicp-adapter sync slb --json · oicp-adapter sync --now
    """
    settings = settings_of(context, config)
    keys = chosen(settings, operator)
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.core.text import time_text
    from oicp_adapter.wiring import Wiring, configure_log

    clock, log = SystemClock(), configure_log(settings, stream=sys.stderr, quiet=sys.stderr.isatty())

    def one(key: str) -> tuple[int, Facts]:
        with wiring.lock(key, verb="sync"), wiring.operator(key) as operator_sync:
            report = operator_sync.delta(force=now)
        if not as_json:
            data(f"{key}: {sentence(report)}")
            explain(report)
            if report.rests_until is not None:
                at_once = "; when it is repaired: oicp-adapter sync --now" if report.can_be_forced else ""
                talk(f"warning: not tried again before {time_text(report.rests_until)}{at_once}")
        return report.exit_code, facts(report)

    with Wiring(settings, clock=clock, log=log) as wiring:
        return for_each(keys, one, as_json=as_json)


@verb
def resync(
    context: typer.Context,
    operator: OperatorArgument = None,
    config: ConfigOption = None,
    adopt: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="End the unknown baseline: send the full load if it holds exactly N records. Hubject then "
            "deletes everything else it holds for this operator.",
        ),
    ] = None,
    allow_withdrawal: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Let at most N EVSEs leave the drivers' maps, in this run only."
        ),
    ] = None,
    allow_unknown: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Let at most N EVSEs that are silent or cannot be read turn to Unknown (or OutOfService), in this run "
            "only.",
        ),
    ] = None,
    empties_the_map: Annotated[
        bool,
        typer.Option(
            "--empties-the-map",
            help="Said beside --adopt or --allow-withdrawal where more than half of the map would leave, or all.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; send nothing.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Hand it to the running daemon and do not follow it.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """A manual full resync: through the running daemon if there is one, by itself if not.

    Examples: oicp-adapter resync · oicp-adapter resync slb --dry-run · oicp-adapter resync slb --adopt 273
    """
    from oicp_adapter.core.guards import Allowance

    settings = settings_of(context, config)
    keys = chosen(settings, operator)
    numbers = {"adopt": adopt, "allow_withdrawal": allow_withdrawal, "allow_unknown": allow_unknown}
    if len(keys) > 1 and any(number is not None for number in numbers.values()):
        talk(
            "oicp-adapter: --adopt, --allow-withdrawal and --allow-unknown need one OPERATOR; the file has: "
            + ", ".join(keys)
        )
        return 2
    if empties_the_map and adopt is None and allow_withdrawal is None:
        talk(
            "oicp-adapter: --empties-the-map goes with --adopt or --allow-withdrawal: how many are to leave?"
        )
        return 2
    allowance = Allowance(
        withdrawals=allow_withdrawal, unknowns=allow_unknown, adopt=adopt, empties_the_map=empties_the_map
    )
    if dry_run:
        from oicp_adapter.cli.reading import preview

        return for_each(
            keys,
            lambda key: preview(settings, key, allowance, as_json=as_json),
            as_json=as_json,
        )
    from oicp_adapter.cli.following import ask

    arguments = {**numbers, "empties_the_map": 1 if empties_the_map else None}
    return for_each(
        keys,
        lambda key: ask(settings, key, "resync", arguments, wait=not no_wait, as_json=as_json),
        as_json=as_json,
    )


def sentence(report: CycleReport) -> str:
    """A cycle in one line for a person."""
    unreadable = any(code == SourceError.exit_code for code, _, _ in report.failures)
    incomplete = "" if report.complete else " (not complete)"
    parts = ["the source could not be read" if unreadable else f"read {report.read} records{incomplete}"]
    if report.full_load == "applied":
        parts.append(f"full load of {report.full_records} records applied")
    elif report.nothing_sent:
        parts.append(f"{report.changed} changes to send")
    else:
        parts.append(f"{report.acked} of {report.changed} changes acknowledged")
    for count, word in (
        (report.withheld, "withheld"),
        (report.quarantined, "quarantined"),
        (report.rejected, "not publishable"),
        (report.in_doubt, "in doubt"),
        (report.backlog, "still to do"),
    ):
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts) + f" in {report.duration:.1f} s"


def facts(report: CycleReport) -> Facts:
    """A cycle for a machine: the summary's numbers, and what `explain` tells a person."""
    from oicp_adapter.cli.reading import refused_by

    return {
        **report.summary(),
        "stopped": report.nothing_sent or None,
        "refused": refused_by(report),
        "failed": [{"text": text, "fix": fix} for _, text, fix in report.failures],
        "warnings": [{"text": text, "fix": fix} for text, fix in report.warnings],
    }


def explain(report: CycleReport) -> None:
    """Refusals, failures, warnings, a pause and the quarantine, on stderr."""
    from oicp_adapter.cli.reading import warned

    if report.nothing_sent:
        talk(f"warning: nothing was sent: {report.nothing_sent}")
    for refusal in report.refusals:
        talk(f"refused: {refusal.text}\n  fix: {refusal.hint}")
    for _, text, hint in report.failures:
        talk(f"failed: {text}" + (f"\n  fix: {hint}" if hint else ""))
    for line in warned(report):
        talk(line)
    if report.quarantined or report.rejected:
        talk("warning: some EVSEs are not published; see: oicp-adapter quarantine list")
