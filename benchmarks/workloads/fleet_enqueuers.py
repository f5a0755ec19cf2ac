"""Connections that enqueue beside one worker that keeps up: one that is told, or one that polls."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.press import press, room_for
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import wait_until_drained, wait_until_registered
from benchmarks.workloads.fleet_rows import NAME

__all__ = ["beside_one"]

# Processes, connections in each, and the least share of the polling worker's rate. For five it is
# 2.5 times what they reached when nearly every enqueue notified, 0.19 to 0.28.
_PRESSES = ((1, 5, ">= 0.7"), (4, 16, ">= 0.9"))


def beside_one(bench: Bench, system: System) -> list[Row]:
    """Both workers are up, each with a database of its own, and the enqueuers take turns."""
    seconds = bench.span(2.0, 0.5)
    turns = bench.size(7, 1)
    room = sum(room_for(processes, seconds) for processes, _, _ in _PRESSES)
    rates: dict[tuple[int, str], list[float]] = {}
    with (
        bench.run(system, turns * room) as told,
        bench.run(system, turns * room) as polling,
        fleet(system, told.environment) as heard,
        fleet(system, polling.environment, flags=("--no-listen",)) as deaf,
    ):
        for run, running in ((told, heard), (polling, deaf)):
            wait_until_registered(run, running, 1)
        first = 0
        for _ in range(turns):
            for processes, clients, _ in _PRESSES:
                for name, run, running in (("LISTEN", told, heard), ("polling", polling, deaf)):
                    done = press(run, processes, clients, first, seconds)
                    rates.setdefault((processes * clients, name), []).append(done.rate)
                    wait_until_drained(run, running)
                first += room_for(processes, seconds)
    rows: list[Row] = []
    for processes, clients, target in _PRESSES:
        what = f"{processes * clients} enqueuers beside one worker"
        ours, base = (rates[processes * clients, name] for name in ("LISTEN", "polling"))
        rows.append(row(NAME, system.name, f"{what}, LISTEN", ours, "jobs/s"))
        rows.append(row(NAME, system.name, f"{what}, polling", base, "jobs/s"))
        ratio = [one / other for one, other in zip(ours, base, strict=True)]
        rows.append(row(NAME, system.name, f"{what}, LISTEN / polling", ratio, "x", target))
    return rows
