"""The command line: every verb with its options and examples; the work is done elsewhere.

Heavy modules are imported inside the verbs, so that `--help` and small verbs answer at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from oicp_adapter import __version__
from oicp_adapter.cli import demo, health, init, inspecting, mapping, pushing, reading, simulate, upkeep
from oicp_adapter.cli.common import ConfigOption

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Keeps Hubject (OICP 2.3) holding exactly what your backend says about your EVSEs.\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by a guard, "
        "4 Hubject unreachable, rejecting or in doubt, 5 source unreadable."
    ),
    epilog=(
        "Try it without any configuration: [bold]oicp-adapter demo[/bold]. "
        "First run on your own data: [bold]oicp-adapter plan[/bold] sends nothing."
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"oicp-adapter {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: ConfigOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that may also stand before the verb."""
    del version
    context.obj = config


quarantine = typer.Typer(no_args_is_help=True, help="What Hubject or validation refused, and why.")
quarantine.command("list")(reading.quarantine_list)
quarantine.command("retry")(upkeep.quarantine_retry)
ledger = typer.Typer(no_args_is_help=True, help="The record of what Hubject is known to hold.")
ledger.command("backup")(upkeep.ledger_backup)
ledger.command("restore")(upkeep.ledger_restore)
ledger.command("check")(upkeep.ledger_check)
ledger.command("distrust")(upkeep.ledger_distrust)
ledger.command("forget")(upkeep.ledger_forget)

app.command()(pushing.run)
app.command()(pushing.sync)
app.command()(pushing.resync)
app.command()(reading.plan)
app.command()(reading.status)
app.command()(inspecting.explain)
app.command()(inspecting.check)
app.command("map")(mapping.map_values)
app.command()(init.init)
app.command()(health.health)
app.add_typer(quarantine, name="quarantine")
app.command()(upkeep.pause)
app.command()(upkeep.resume)
app.add_typer(ledger, name="ledger")
app.command()(simulate.simulate)
app.command()(demo.demo)


def main() -> None:
    """The command line, in a process that can take signals: see `oicp_adapter.__main__`."""
    app(prog_name="oicp-adapter")
