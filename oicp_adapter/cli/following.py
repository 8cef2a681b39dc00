"""Follows a manual command: by itself where nobody pushes, else through the one who does, until it has ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from oicp_adapter.cli.common import Facts, console, data, talk, who
from oicp_adapter.errors import LockHeld

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress, TaskID

    from oicp_adapter.ports import Clock, Command, Inbox, Pauses
    from oicp_adapter.settings import Settings
    from oicp_adapter.wiring import Wiring

LOOK_EVERY = 0.3
"""Seconds between looks at a command that runs elsewhere."""


def ask(
    settings: Settings,
    key: str,
    verb: str,
    arguments: Mapping[str, int | str | None],
    *,
    wait: bool,
    as_json: bool,
) -> tuple[int, Facts]:
    """Have a command done for one operator; returns its exit code, and what `--json` prints."""
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.wiring import Wiring, configure_log

    clock = SystemClock()
    log = configure_log(settings, stream=sys.stderr, quiet=sys.stderr.isatty())
    with Wiring(settings, clock=clock, log=log) as wiring, _Display(f"{key}: {verb}") as display:
        code, text = _Errand(wiring, key, verb, dict(arguments), clock, display).run(wait=wait)
    if not as_json:
        data(f"{key}: {text}")
    return code, {"text": text}


class _Display:
    """A progress bar on a terminal; lines, each once, elsewhere."""

    def __init__(self, title: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._title = title
        self._terminal = sys.stderr.isatty()
        self._said = ""
        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not self._terminal,
        )
        self._task: TaskID = self._progress.add_task(title, total=None)

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, words: str) -> None:
        """What is happening."""
        self._progress.update(self._task, description=f"{self._title}: {words}")
        if words != self._said and not self._terminal:
            talk(f"{self._title}: {words}")
        self._said = words

    def count(self, done: int, total: int) -> None:
        """How far it is."""
        self._progress.update(self._task, completed=done, total=total)


class _Errand:
    """One command for one operator, however it gets done."""

    def __init__(
        self,
        wiring: Wiring,
        key: str,
        verb: str,
        arguments: dict[str, int | str | None],
        clock: Clock,
        display: _Display,
    ) -> None:
        self._wiring = wiring
        self._key = key
        self._verb = verb
        self._arguments = arguments
        self._clock = clock
        self._display = display

    def run(self, *, wait: bool) -> tuple[int, str]:
        """Returns the exit code and what to say."""
        try:
            with self._wiring.lock(self._key, verb=self._verb):
                return self._by_itself()
        except LockHeld:
            pass
        ledger, holder = self._wiring.ledger(self._key), self._wiring.holder(self._key)
        if not wait and not (holder and holder.obeys):
            return (
                1,
                f"nothing was handed over: {holder or 'nobody'} takes no commands; try again, or wait for it",
            )
        self._note_override(ledger)
        number = ledger.put(self._verb, self._arguments, now=self._clock.now())
        if not wait:
            return 0, f"{self._verb} #{number} is handed to {holder}; see `oicp-adapter status {self._key}`"
        try:
            return self._follow(ledger, number)
        except KeyboardInterrupt:
            self._left(ledger, number)
            raise

    def _left(self, ledger: Inbox, number: int) -> None:
        """Say what becomes of a command whose person went away. Where no daemon is, nobody would ever do it."""
        holder = self._wiring.holder(self._key)
        if ledger.command(number).finished_at is not None:
            return
        if not (holder and holder.obeys) and ledger.withdraw(number, now=self._clock.now()):
            talk(f"{self._verb} #{number} is taken back: nothing was done")
        else:
            talk(f"{self._verb} #{number} goes on without you; see `oicp-adapter status {self._key}`")

    def _follow(self, ledger: Inbox, number: int) -> tuple[int, str]:
        while True:
            command = ledger.command(number)
            if command.finished_at is not None:
                return command.exit_code or 0, command.text
            holder = self._wiring.holder(self._key)
            if holder is None:
                # Whoever pushed is gone. If it never took the command up, it is ours to do.
                if ledger.withdraw(number, now=self._clock.now()):
                    self._display.say("nobody pushes any more: by itself")
                    return self.run(wait=True)
                if ledger.command(number).finished_at is None:
                    return 1, f"{self._verb} #{number} ended with the process that worked on it; run it again"
            self._display.say(_progress(command, str(holder)))
            self._clock.sleep(LOOK_EVERY)

    def _note_override(self, ledger: Pauses) -> None:
        """Whoever overrides what protects the map stays in the audit."""
        from oicp_adapter.ports import AuditEntry
        from oicp_adapter.sync.commands import DISTRUST

        options = [
            f"--{name.replace('_', '-')} {self._arguments[name]}"
            for name in ("adopt", "allow_withdrawal", "allow_unknown")
            if self._arguments.get(name) is not None
        ]
        options += ["--empties-the-map"] if self._arguments.get("empties_the_map") else []
        if options or self._verb == DISTRUST:
            what = " ".join(["asked for", self._verb, *options])
            ledger.note(AuditEntry(at=self._clock.now(), by=who(), what=what))

    def _by_itself(self) -> tuple[int, str]:
        from oicp_adapter.sync.commands import DISTRUST, task

        with self._wiring.operator(
            self._key, progress=self._display.count, pushes=self._verb != DISTRUST
        ) as operator_sync:
            self._note_override(self._wiring.ledger(self._key))
            started = self._clock.monotonic()
            begun = task(self._verb, self._arguments, operator_sync, now=started, asked=self._verb)
            while (ended := begun.step(self._clock.monotonic())) is None:
                self._display.say(begun.progress)
                self._clock.sleep(1.0)
            return ended.exit_code, ended.text


def _progress(command: Command, holder: str) -> str:
    if command.started_at is None:
        return f"#{command.id} waits for {holder}"
    return f"#{command.id} runs in the daemon {command.text}".rstrip()
