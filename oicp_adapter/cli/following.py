"""Follows a manual resync: by itself where nobody pushes, else through the one who does, until it has ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from oicp_adapter.cli.common import console, data, data_json, talk
from oicp_adapter.errors import LockHeld

if TYPE_CHECKING:
    from collections.abc import Callable

    from oicp_adapter.ports import Clock, Command
    from oicp_adapter.settings import Settings
    from oicp_adapter.wiring import Wiring

LOOK_EVERY = 0.3
"""Seconds between looks at a command that runs elsewhere."""


def ask_resync(
    settings: Settings,
    key: str,
    *,
    adopt: int | None,
    allow_withdrawal: int | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Have one operator resynchronised; returns the exit code."""
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.wiring import Wiring, configure_log

    clock = SystemClock()
    log = configure_log(settings, stream=sys.stderr, quiet=sys.stderr.isatty())
    with (
        Wiring(settings, clock=clock, log=log) as wiring,
        console(stderr=True).status(f"{key}: resync") as status,
    ):
        code, text = _anyhow(
            wiring,
            key,
            clock=clock,
            adopt=adopt,
            allow_withdrawal=allow_withdrawal,
            wait=wait,
            show=lambda words: status.update(f"{key}: {words}"),
        )
    if as_json:
        data_json({"operator": key, "exit_code": code, "text": text})
    else:
        data(f"{key}: {text}")
    return code


def _anyhow(
    wiring: Wiring,
    key: str,
    *,
    clock: Clock,
    adopt: int | None,
    allow_withdrawal: int | None,
    wait: bool,
    show: Callable[[str], None],
) -> tuple[int, str]:
    try:
        with wiring.lock(key, verb="resync"):
            return _by_itself(
                wiring, key, clock=clock, adopt=adopt, allow_withdrawal=allow_withdrawal, show=show
            )
    except LockHeld:
        pass
    ledger = wiring.ledger(key)
    arguments: dict[str, int | str | None] = {"adopt": adopt, "allow_withdrawal": allow_withdrawal}
    number = ledger.put("resync", arguments, now=clock.now())
    if not wait:
        return (
            0,
            f"resync #{number} is handed to {wiring.holder(key)}; follow it with `oicp-adapter status {key}`",
        )
    while True:
        command = ledger.command(number)
        if command.finished_at is not None:
            return command.exit_code or 0, command.text
        if wiring.holder(key) is None and ledger.command(number).finished_at is None:
            # Whoever pushed is gone. If it never took the command up, it is ours to do.
            if ledger.withdraw(number, now=clock.now()):
                show("nobody pushes any more: by itself")
                return _anyhow(
                    wiring,
                    key,
                    clock=clock,
                    adopt=adopt,
                    allow_withdrawal=allow_withdrawal,
                    wait=wait,
                    show=show,
                )
            return 1, f"resync #{number} ended with the process that worked on it; run it again"
        show(_progress(command))
        clock.sleep(LOOK_EVERY)


def _progress(command: Command) -> str:
    if command.started_at is None:
        return f"resync #{command.id} waits for the running daemon"
    return f"resync #{command.id} runs in the daemon {command.text}".rstrip()


def _by_itself(
    wiring: Wiring,
    key: str,
    *,
    clock: Clock,
    adopt: int | None,
    allow_withdrawal: int | None,
    show: Callable[[str], None],
) -> tuple[int, str]:
    from oicp_adapter.core.guards import Allowance
    from oicp_adapter.sync.resync import Resync

    with wiring.operator(
        key, progress=lambda done, total: show(f"{done} of {total} records")
    ) as operator_sync:
        allowance = Allowance(withdrawals=allow_withdrawal, adopt=adopt)
        resync = Resync(operator_sync, allowance, now=clock.now(), asked="resync")
        waited = False
        while (ended := resync.step(clock.now())) is None:
            show(resync.progress)
            if not waited and not sys.stderr.isatty():
                talk(f"{key}: {resync.progress}")
            waited = True
            clock.sleep(1.0)
        return ended.exit_code, ended.text
