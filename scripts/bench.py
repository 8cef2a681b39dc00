"""Measures a cycle without changes and a full load against parsing the same file; writes docs/benchmarks.md.

Times of one machine say little about another, ratios measured side by side say more. The danger is memory that
leaks from one measurement into the next: each runs in a process of its own, and this one imports nothing big.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from oicp_adapter.sync.cycle import OperatorSync

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SIZES = (1_000, 10_000)
PARSE, CYCLE, FULL = "parse the file", "cycle, nothing changed", "full load"
EVSES_PER_LOCATION = 3
RUNS = 5
"""Measured runs in each process, after one to warm up."""
CONFIGURATION = """
[hubject]
base_url = "{base_url}"
[operators.bench]
id = "DE*BCH"
name = "Bench"
first_full_load = "automatic"
source = {{ type = "file", path = "fleet.json", format = "ocpi-locations", vocabulary = "ocpi" }}
"""


class Cost(NamedTuple):
    """Of one run of what is measured."""

    seconds: float
    cpu: float
    """Seconds of processor time of the measured process: without Hubject's side."""
    added: float
    """Bytes of peak memory above those of the idle process."""
    peak: float
    """Bytes of peak memory of the whole process."""


@dataclass(frozen=True)
class Row:
    """Medians of one measurement, as multiples of parsing the file."""

    evses: int
    what: str
    cost: Cost
    ratio: Cost


def main() -> None:
    """Measure all sizes, print, write the page; with `--measure`, be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=7, help="processes per measurement (default 7)")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, folder = options.measure
        print(json.dumps(measured(what, Path(folder))))
        return
    rows = [row for evses in SIZES for row in rows_of(evses, options.repeat)]
    for row in rows:
        print(
            f"{row.evses:>7,}  {row.what:<24}{row.cost.seconds * 1e3:>9.1f} ms  × {row.ratio.seconds:<6.1f}"
            f"cpu × {row.ratio.cpu:<6.1f}memory + {row.cost.added / 1e6:.0f} of {row.cost.peak / 1e6:.0f} MB"
        )
    PAGE.write_text(page(rows, options.repeat), encoding="utf-8")
    print(f"written: {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")


# -- the measured processes ------------------------------------------------------------------------


def measured(what: str, folder: Path) -> Cost:
    """Run it once to warm up, then measure it."""
    if what == PARSE:
        import msgspec

        return cost_of(lambda: msgspec.json.decode((folder / "fleet.json").read_bytes()))
    with operator(folder) as sync:
        if what == CYCLE:
            return cost_of(lambda: no_change(sync))
        return cost_of(lambda: full_load(sync))


def cost_of(run: Callable[[], object]) -> Cost:
    """Medians of some runs after one to warm up; memory is the peak of them all."""
    idle = peak_memory()
    run()
    seconds, cpus = [], []
    for _ in range(RUNS):
        began, cpu = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - began)
        cpus.append(time.process_time() - cpu)
    peak = peak_memory()
    return Cost(statistics.median(seconds), statistics.median(cpus), peak - idle, peak)


def peak_memory() -> int:
    """Bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def operator(folder: Path) -> Iterator[OperatorSync]:
    """The operator as `oicp-adapter sync` builds it; its log is written and thrown away."""
    from oicp_adapter.clock import SystemClock
    from oicp_adapter.settings import load_settings
    from oicp_adapter.wiring import Wiring, configure_log

    settings = load_settings(folder / "adapter.toml", {})
    with (
        (folder / "log").open("w") as stream,
        Wiring(settings, clock=SystemClock(), log=configure_log(settings, stream=stream)) as wiring,
        wiring.lock("bench", verb="bench"),
        wiring.operator("bench") as sync,
    ):
        yield sync


def no_change(sync: OperatorSync) -> None:
    """One delta cycle that must find nothing to push."""
    report = sync.delta(force=True)
    if report.exit_code or report.pushed or not report.read:
        raise SystemExit(f"bench: not a cycle without changes: {report}")


def full_load(sync: OperatorSync) -> None:
    """One full load that must be applied."""
    report = sync.full(asked="bench", force=True)
    if report.exit_code or report.full_load != "applied":
        raise SystemExit(f"bench: the full load failed: {report}")


# -- the measuring one -----------------------------------------------------------------------------


def rows_of(evses: int, repeat: int) -> list[Row]:
    """All measurements of one fleet, taken in turns so that a busy minute hits them alike."""
    costs: dict[str, list[Cost]] = {PARSE: [], CYCLE: [], FULL: []}
    with tempfile.TemporaryDirectory(prefix="oicp-adapter-bench-") as name, hubject() as base_url:
        folder = Path(name)
        write_fleet(folder / "fleet.json", evses)
        (folder / "adapter.toml").write_text(CONFIGURATION.format(base_url=base_url), encoding="utf-8")
        in_own_process(FULL, folder)  # from here on Hubject holds the fleet
        for _ in range(repeat):
            for what, so_far in costs.items():
                so_far.append(in_own_process(what, folder))
    medians = {
        what: Cost(*(statistics.median(values) for values in zip(*all_of_it, strict=True)))
        for what, all_of_it in costs.items()
    }
    unit = medians[PARSE]
    return [
        Row(evses, what, cost, Cost(*(value / one for value, one in zip(cost, unit, strict=True))))
        for what, cost in medians.items()
    ]


def in_own_process(what: str, folder: Path) -> Cost:
    """Measure in a process that has done nothing else."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what, str(folder)], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(f"bench: {what!r} ended with exit code {done.returncode}")
    return Cost(*json.loads(done.stdout))


@contextmanager
def hubject() -> Iterator[str]:
    """The simulator in a process of its own; its base_url."""
    command = [sys.executable, "-m", "oicp_adapter", "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.terminate()


def write_fleet(path: Path, evses: int) -> None:
    """A made-up fleet as OCPI 2.2.1 Locations, written piece by piece to keep this process small."""
    states = ("AVAILABLE", "AVAILABLE", "CHARGING", "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE")
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for first in range(0, evses, EVSES_PER_LOCATION):
            numbers = range(first, min(first + EVSES_PER_LOCATION, evses))
            places = [evse(number, states[number % len(states)]) for number in numbers]
            file.write(",\n" * bool(first) + json.dumps(location(first, places)))
        file.write("]\n")


def location(number: int, evses: list[dict[str, object]]) -> dict[str, object]:
    """With the members that real ones have and the adapter does not read."""
    return {
        "country_code": "DE",
        "party_id": "BCH",
        "id": f"LOC{number:06}",
        "publish": True,
        "name": f"Car park {number}",
        "address": f"Example Street {number}",
        "city": "Sampletown",
        "postal_code": f"{number % 90_000 + 10_000}",
        "country": "DEU",
        "coordinates": {"latitude": "51.0504", "longitude": "13.7373"},
        "evses": evses,
        "operator": {"name": "Bench"},
        "time_zone": "Europe/Berlin",
        "opening_times": {"twentyfourseven": True},
        "last_updated": "2025-01-01T00:00:00Z",
    }


def evse(number: int, status: str) -> dict[str, object]:
    """One EVSE with one connector."""
    return {
        "uid": f"{number}",
        "evse_id": f"DE*BCH*E{number:06}",
        "status": status,
        "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
        "connectors": [
            {
                "id": "1",
                "standard": "IEC_62196_T2",
                "format": "SOCKET",
                "power_type": "AC_3_PHASE",
                "max_voltage": 230,
                "max_amperage": 32,
                "last_updated": "2025-01-01T00:00:00Z",
            }
        ],
        "physical_reference": f"{number % 10}",
        "last_updated": "2025-01-01T00:00:00Z",
    }


def page(rows: list[Row], repeat: int) -> str:
    """docs/benchmarks.md."""
    table = "\n".join(
        f"| {row.evses:,} | {row.what} | {row.ratio.seconds:.1f} | {row.ratio.cpu:.1f} | {row.ratio.added:.1f} "
        f"| {row.ratio.peak:.1f} |"
        for row in rows
    )
    return TEMPLATE.format(table=table, repeat=repeat, runs=RUNS)


TEMPLATE = """# Benchmarks

Written by `scripts/bench`; run it again to compare. Everything is a multiple of parsing the same file with msgspec,
the JSON library the adapter uses, measured in the same run on the same machine. Ratios travel between machines
better than times do, but they are observations, not promises.

| EVSEs | what | time | own processor time | memory added | whole process |
|---:|---|---:|---:|---:|---:|
{table}

- **The file** is a made-up fleet as OCPI 2.2.1 Locations, three EVSEs each, about 500 bytes per EVSE. *Parse the file*
  reads it and decodes all of it to plain Python objects (`msgspec.json.decode`).
- **A cycle, nothing changed** is what the daemon does every few seconds: read, map, compare with the ledger, save, find
  nothing to push.
- **A full load** does all that and sends the whole fleet in one request; *time* includes the simulator's work and the
  connection on loopback, *own processor time* does not.
- **Memory added** is the peak above the idle process with everything imported and the ledger open; *whole process*
  includes those, and is therefore mostly imports when the fleet is small.
- **Each figure** is the median of {repeat} processes, taken in turns, and in each of {runs} runs after one to warm up:
  connection and caches are warm as they are in the daemon. The operator is wired as the command line does it, with a
  ledger on disk.
"""


if __name__ == "__main__":
    main()
