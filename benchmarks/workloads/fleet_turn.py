"""One fleet, started once, and its figures taken from it one after another: all, or its rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench, say
from benchmarks.systems.base import System
from benchmarks.workloads.fleet_load import DRAIN_SAMPLES, Load, Turn
from benchmarks.workloads.fleet_plan import Crew
from benchmarks.workloads.fleet_start import started

__all__ = ["rates_turn", "turn"]

_RESTARTED = Crew(100)  # the fleet whose server is restarted at the end
_DRAINED = 200_000
# What one process may time: all drains of a fleet of one, its callers and its streams.
_ROOM = _DRAINED * DRAIN_SAMPLES + 500_000


def turn(bench: Bench, system: System, crew: Crew, found: Turn) -> None:
    """Take all figures; what was found before a failure stays."""
    with _loaded(bench, system, crew, found) as load:
        load.all(crew.size, _to_drain(bench, system))
        if crew.usual == _RESTARTED:
            load.restart()


def rates_turn(bench: Bench, system: System, crew: Crew, found: Turn) -> None:
    """Take the rates that fleets are compared by."""
    with _loaded(bench, system, crew, found) as load:
        load.rates(crew.size, _to_drain(bench, system))


def _to_drain(bench: Bench, system: System) -> int:
    return bench.size(min(_DRAINED, 4 * system.pace), 2000)


@contextmanager
def _loaded(bench: Bench, system: System, crew: Crew, found: Turn) -> Iterator[Load]:
    with bench.run(system, bench.size(_ROOM, 50_000)) as run:
        began = time.monotonic()
        with started(run, crew) as running:
            say(f"  {crew} of {system.name} are up after {time.monotonic() - began:.1f} s")
            yield Load(run, running, found, bench.quick)
