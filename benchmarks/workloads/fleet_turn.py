"""One fleet, started once, and all figures taken from it one after another."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, say
from benchmarks.systems.base import System
from benchmarks.workloads.fleet_load import Load, Turn
from benchmarks.workloads.fleet_plan import Crew
from benchmarks.workloads.fleet_start import started

__all__ = ["turn"]

_RESTARTED = Crew(100)  # the fleet whose server is restarted at the end
_DRAINED = 200_000


def turn(bench: Bench, system: System, crew: Crew, found: Turn) -> None:
    """Take the figures; what was found before a failure stays."""
    drained = bench.size(min(_DRAINED, 4 * system.pace), 2000)
    with bench.run(system, bench.size(1_000_000, 50_000)) as run:
        began = time.monotonic()
        with started(run, crew) as running:
            say(f"  {crew} of {system.name} are up after {time.monotonic() - began:.1f} s")
            load = Load(run, running, found, bench.quick)
            load.all(crew.size, drained)
            if crew == _RESTARTED:
                load.restart()
