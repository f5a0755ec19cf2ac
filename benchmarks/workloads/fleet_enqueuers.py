"""64 connections that enqueue beside one worker that keeps up: told of each job, or polling."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.press import press, room_for
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import System
from benchmarks.window import wait_until_drained, wait_until_registered
from benchmarks.workloads.fleet_rows import NAME

__all__ = ["beside_one"]

_PROCESSES = 4
_CLIENTS = 16  # in each process


def beside_one(bench: Bench, system: System) -> list[Row]:
    """Both workers are up, each with a database of its own, and the enqueuers take turns."""
    seconds = bench.span(2.0, 0.5)
    turns = bench.size(4, 1)
    clients = bench.size(_CLIENTS, 2)
    room = room_for(_PROCESSES, seconds)
    rates: dict[str, list[float]] = {"LISTEN": [], "polling": []}
    with (
        bench.run(system, turns * room) as told,
        bench.run(system, turns * room) as polling,
        fleet(system, told.environment) as heard,
        fleet(system, polling.environment, flags=("--no-listen",)) as deaf,
    ):
        for run, running in ((told, heard), (polling, deaf)):
            wait_until_registered(run, running, 1)
        for turn in range(turns):
            for name, run, running in (("LISTEN", told, heard), ("polling", polling, deaf)):
                done = press(run, _PROCESSES, clients, turn * room, seconds)
                rates[name].append(done.rate)
                wait_until_drained(run, running)
    what = f"{_PROCESSES * clients} enqueuers beside one worker"
    rows = [
        row(NAME, system.name, f"{what}, {name}", found, "jobs/s") for name, found in rates.items()
    ]
    ratio = median(rates["LISTEN"]) / median(rates["polling"])
    return [*rows, row(NAME, system.name, f"{what}, LISTEN / polling", ratio, "x", ">= 0.9")]
