"""`simulate`: a strict Hubject stand-in on localhost."""

from __future__ import annotations

import queue
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oicp_adapter.cli.common import data, talk, verb

if TYPE_CHECKING:
    from oicp_adapter.simulator import Simulator


@verb
def simulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 9400,
    operator: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Known OperatorID; repeatable. Default: any operator."),
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="insert and update both write, as Hubject at times does.")
    ] = False,
    mtls: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mutual TLS; writes ca.pem, client.pem and client.key into DIR."),
    ] = None,
    preload: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON of what it holds: {OperatorID: {EvseID: status}}."),
    ] = None,
    evse_data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="EvseIDs with EVSE data, one per line; all others get 603."),
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds before each answer.")] = 0.0,
    rate: Annotated[int, typer.Option(min=1, help="Status pushes per minute before 429.")] = 2000,
) -> int:
    """A Hubject stand-in on localhost, stricter than the real one.

    See what it holds: GET /_sim/summary, /_sim/statuses, /_sim/journal, /_sim/rules. Faults on request:
    POST /_sim/faults, for example {"kind": "drop_after_apply", "count": 1}.

    Examples: oicp-adapter simulate · oicp-adapter simulate --mtls certs --operator 'DE*ABC' --latency 0.1
    """
    from oicp_adapter.simulator import Fault, Simulator, SimulatorError, SimulatorOptions

    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: stop.put(signum))
    ids = None
    try:
        if evse_data is not None:
            ids = [line.strip() for line in evse_data.read_text().splitlines() if line.strip()]
        simulator = Simulator(
            SimulatorOptions(
                port=port,
                operators=operator or (),
                semantics="lenient" if lenient else "strict",
                mutual_tls=mtls is not None,
                evse_data=ids,
                calls_per_minute={"status": rate},
            )
        )
        look = ""
        if mtls is not None:
            owner = (operator or ["DE*SIM"])[0]
            files = simulator.certificates.write(mtls, operator=owner)
            look = f"curl --cacert {files.ca} --cert {files.certificate} --key {files.key} "
            talk(f"for {owner}: ca_file {files.ca}, certificate {files.certificate}, key {files.key}")
        if preload is not None:
            _preload(simulator, preload)
        if latency:
            simulator.faults.add(Fault(kind="latency_before_apply", seconds=latency))
        with simulator:
            data(f"Hubject simulator: base_url = {simulator.base_url}")
            talk(f"look: {look}{simulator.origin}/_sim/summary · stop: Ctrl-C")
            stop.get()
            _farewell(simulator)
    except (SimulatorError, OSError, ValueError) as error:
        talk(f"oicp-adapter: {error}")
        return 1
    return 0


def _preload(simulator: Simulator, path: Path) -> None:
    from msgspec import MsgspecError

    try:
        simulator.hold_file(path)
    except (ValueError, MsgspecError) as error:
        raise ValueError(f"{path}: {error}") from error


def _farewell(simulator: Simulator) -> None:
    held = sum(len(statuses) for statuses in simulator.everything().values())
    talk(f"{len(simulator.journal)} requests, {held} EVSEs held, {len(simulator.rules_broken)} rules broken")
    for rule in simulator.rules_broken[:10]:
        talk(f"  broken: {rule}")
