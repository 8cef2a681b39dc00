"""`demo`: a fleet that changes, the daemon, and a strict Hubject stand-in, in one terminal."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import console, verb
from oicp_adapter.cli.demo_fleet import OPERATOR_ID, DemoFleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from oicp_adapter.ports import Clock
    from oicp_adapter.simulator import Simulator

_CONFIGURATION = """\
[hubject]
base_url = "{base_url}"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "5s"
missing_after = "3s"

[operators.demo]
id = "{operator_id}"
name = "Demo Charging"
source = {{ type = "file", path = "fleet.csv", vocabulary = "ocpp1.6" }}
schedule = {{ delta = "1s", reconcile = "20s", full = "03:00" }}
"""
TICK = 2.5
"""Seconds between the backend's changes."""
LOST_ANSWER_AT, VANISH_AT, RETURN_AT = 5, 10, 16
"""Ticks at which something goes wrong on purpose."""
VANISHING = 60


@verb
def demo(
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End by itself after so many seconds.", show_default=False)
    ] = None,
) -> int:
    """A made-up fleet that changes, the real daemon, and a strict Hubject stand-in, until Ctrl-C.

    Nothing leaves this machine. On the way an answer gets lost and an export loses 60 EVSEs.
    """
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.daemon import Daemon, Reloaded
    from oicp_adapter.settings import load_settings
    from oicp_adapter.simulator import Simulator, SimulatorOptions
    from oicp_adapter.telemetry.log import EventLog
    from oicp_adapter.wiring import Wiring

    out = console(markup=True)
    fleet, stop = DemoFleet(), threading.Event()
    clock = SystemClock(stop)
    with (
        tempfile.TemporaryDirectory(prefix="oicp-adapter-demo-") as folder,
        Simulator(SimulatorOptions(operators=[OPERATOR_ID])) as simulator,
    ):
        place = Path(folder)
        fleet.write(place / "fleet.csv")
        text = _CONFIGURATION.format(base_url=simulator.base_url, operator_id=OPERATOR_ID)
        (place / "adapter.toml").write_text(text, encoding="utf-8")
        settings = load_settings(place / "adapter.toml", {})
        _prologue(out, fleet, simulator)
        log = EventLog(_Teller(out))
        story = _Story(fleet, place / "fleet.csv", simulator, out, clock, stop, seconds)
        with Wiring(settings, clock=clock, log=log, stop=stop) as wiring, wiring.lock("demo", verb="demo"):
            player = threading.Thread(target=story.play, name="backend", daemon=True)
            player.start()
            code = Daemon(
                [wiring.jobs("demo")], clock=clock, log=log, stop=stop, grace=10, reload=Reloaded
            ).run()
            player.join(timeout=10)
        return story.epilogue() or code


def _prologue(out: Console, fleet: DemoFleet, simulator: Simulator) -> None:
    out.print(
        f"[bold]A day at Demo Charging ({OPERATOR_ID})[/bold]: {len(fleet.states)} EVSEs, speaking OCPP 1.6.\n"
        f"Hubject is a strict stand-in at {simulator.origin}; it knows none of them.\n"
        "Each second the adapter reads the backend's export and pushes what changed.\nCtrl-C ends it.\n"
    )


class _Teller:
    """Renders log events for a person who has never seen them."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._tell: dict[str, Callable[[dict[str, object]], str | None]] = {
            "delta.done": self._delta,
            "evse.changed": lambda line: (
                f"  [cyan]{line['evse_id']}[/cyan]  {line.get('before', '-')} → [bold]{line['after']}[/bold]"
                f"  [dim]because {line['reason']}[/dim]"
            ),
            "push.in_doubt": lambda line: (
                f"  [yellow]no answer to an {line['action']} of {line['records']} record(s)[/yellow]: in doubt.\n"
                "  Hubject may or may not have applied it: it waits for settle (5 s) and is pushed\n  again."
            ),
            "guard.refused": lambda line: (
                f"  [red]guard[/red]: {line['text']}\n  [dim]fix: {line['fix']}[/dim]"
            ),
            "guard.cleared": lambda _: "  [green]guard cleared[/green]: the source has them again.",
            "reconcile.healed": self._healed,
            "baseline.unknown": lambda _: (
                "  [dim]No full load yet: what Hubject held before is unknown (resync --adopt N).[/dim]"
            ),
        }

    def log(self, level: int, event: str, **fields: object) -> None:
        """Write one line, or nothing for what the demo's own words tell better."""
        if event in self._tell:
            text = self._tell[event](fields)
            if text:
                self._out.print(text)
        elif level >= 30:  # WARNING and above are never hidden
            words = " ".join(f"{name}={value}" for name, value in fields.items() if name != "cycle_id")
            self._out.print(f"  [yellow]{event}[/yellow] {words}")

    def _healed(self, line: dict[str, object]) -> str:
        healed = line["healed"]
        assert isinstance(healed, dict)
        kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in healed.items())
        return f"  [green]reconciliation[/green] pushed again: {kinds}."

    def _delta(self, line: dict[str, object]) -> str | None:
        first_load = int(str(line["acked"])) > 20
        if not first_load:
            return None
        return f"  first load: {line['acked']} EVSEs acknowledged in {line['requests']} requests, {line['duration']} s"


class _Story:
    """The backend's side: changes the export, and looks whether Hubject's view follows."""

    def __init__(
        self,
        fleet: DemoFleet,
        path: Path,
        simulator: Simulator,
        out: Console,
        clock: Clock,
        stop: threading.Event,
        seconds: float | None,
    ) -> None:
        self._fleet = fleet
        self._path = path
        self._simulator = simulator
        self._out = out
        self._clock = clock
        self._stop = stop
        self._ends_at = None if seconds is None else clock.monotonic() + seconds
        self._changes = 0
        self._slowest = 0.0

    def play(self) -> None:
        """Tick until the program stops, or ask it to after the given seconds."""
        tick = 0
        self._wait_until_equal("first load", patience=30)
        while not self._stop.is_set():
            if self._ends_at is not None and self._clock.monotonic() >= self._ends_at:
                signal.raise_signal(signal.SIGTERM)
                return
            tick += 1
            self._happen(tick)
            told = self._fleet.live(3)
            self._changes += len(told)
            self._fleet.write(self._path)
            self._out.print(
                f"[bold]{tick:>3}[/bold]  backend: "
                + ", ".join(
                    f"{evse_id.removeprefix(OPERATOR_ID + '*')} {state}" for evse_id, _, state in told
                )
            )
            self._wait_until_equal("changes", patience=20)
            self._clock.sleep(TICK)

    def epilogue(self) -> int:
        """Say how it went; 1 if a rule was broken or the views differ."""
        rules, requests = self._simulator.rules_broken, len(self._simulator.journal)
        self._out.print(
            f"\n[bold]The end.[/bold] {self._changes} changes, {requests} requests to Hubject.\n"
            f"Views equal at most {self._slowest:.1f} s after a change, {len(rules)} rules broken."
        )
        for rule in rules[:5]:
            self._out.print(f"  [red]{rule}[/red]")
        return 1 if rules else 0

    def _happen(self, tick: int) -> None:
        from oicp_adapter.simulator import Fault

        if tick == LOST_ANSWER_AT:
            self._out.print(
                "\n[bold magenta]Now an answer gets lost: Hubject applies a push, the line drops.[/bold magenta]"
            )
            self._simulator.faults.add(Fault(kind="drop_after_apply", actions=("update",), count=1))
        if tick == VANISH_AT:
            self._out.print(
                f"\n[bold magenta]Now the export loses {VANISHING} EVSEs, as exports do.[/bold magenta]"
            )
            self._fleet.hidden = set(list(self._fleet.states)[:VANISHING])
        if tick == RETURN_AT:
            self._out.print("\n[bold magenta]The export is repaired.[/bold magenta]")
            self._fleet.hidden = set()

    def _wait_until_equal(self, what: str, *, patience: float) -> None:
        """Tell how long it takes, or that nothing has moved for so many seconds."""
        began = moved_at = self._clock.monotonic()
        expected = self._fleet.expected()
        fewest = len(expected) + 1
        while not self._stop.is_set():
            held = self._simulator.statuses(OPERATOR_ID)
            now = self._clock.monotonic()
            took = now - began
            if held == expected:
                self._slowest = max(self._slowest, took) if what == "changes" else self._slowest
                counts = " · ".join(
                    f"{status} {count}" for status, count in sorted(Counter(held.values()).items())
                )
                self._out.print(
                    f"  [green]✓ Hubject = backend[/green] after {took:.1f} s  [dim]{counts}[/dim]"
                )
                return
            wrong = sum(1 for key in expected if held.get(key) != expected[key])
            if wrong < fewest:
                fewest, moved_at = wrong, now
            if now - moved_at > patience:
                self._out.print(f"  [red]≠ {wrong} EVSEs differ after {took:.0f} s[/red]")
                return
            self._clock.sleep(0.05)
