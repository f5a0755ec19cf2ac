"""One fleet, started once, and all figures taken from it one after another."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Run, say
from benchmarks.systems.base import System, call
from benchmarks.workloads.fleet_load import CALLERS, Load, Turn
from benchmarks.workloads.fleet_plan import Crew
from benchmarks.workloads.fleet_start import started

__all__ = ["turn"]

_RESTARTED = Crew(100)  # the fleet whose server is restarted at the end
_DRAINED = 200_000


def turn(bench: Bench, system: System, crew: Crew) -> Turn:
    found = Turn()
    drained = bench.size(min(_DRAINED, 4 * system.pace), 2000)
    with bench.run(system, bench.size(1_000_000, 50_000)) as run:
        if crew.size == 1:
            found.add(alone=_alone(run, bench.span(2.0, 0.5)))
        began = time.monotonic()
        with started(run, crew) as running:
            say(f"  {crew} of {system.name} are up after {time.monotonic() - began:.1f} s")
            load = Load(run, running, found, bench.quick)
            load.all(crew.size, drained)
            if crew == _RESTARTED:
                load.restart()
    return found


def _alone(run: Run, seconds: float) -> float:
    """Jobs a second of the callers beside no worker at all."""
    answer = call(run.system, run.database.dsn, "callers", CALLERS, seconds)
    return answer["sent"] / answer["seconds"]
