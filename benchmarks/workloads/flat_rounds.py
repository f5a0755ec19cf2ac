"""With a snapshot held open, rounds of jobs are enqueued and drained by a new worker each."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain

__all__ = ["run"]

NAME = "flat"


def run(bench: Bench) -> list[Row]:

    def turn(system: System) -> list[Window]:
        most = 100_000 if system.pace >= 50_000 else 60_000
        jobs = bench.jobs or bench.size(min(most, system.pace * 2), 200)
        windows: list[Window] = []
        rounds = bench.size(10 if system.name == "pgqueue" else 5, 2)
        with bench.run(system, jobs * rounds) as run, run.database.held_snapshot():
            for number in range(rounds):
                run.bulk("noop", number * jobs, jobs)
                windows.append(drain(run, jobs, first=number * jobs))
            run.marks.check(0, jobs * rounds)
        return windows

    once, bench.rounds = bench.rounds, 1  # the rounds are inside
    try:
        results = bench.in_turn(NAME, bench.doing(NAME), turn)
    finally:
        bench.rounds = once
    rows: list[Row] = []
    for name, found in results.items():
        for windows in found:
            rates = [window.rate for window in windows]
            mine = name == "pgqueue"
            note = ", ".join(f"{rate:,.0f}" for rate in rates) + " jobs/s"
            what = "held snapshot, last round"
            ratio = rates[-1] / rates[0]
            rows += [
                row(NAME, name, "held snapshot, first round", rates[0], "jobs/s"),
                row(NAME, name, what, rates[-1], "jobs/s"),
                row(NAME, name, f"{what} / first", ratio, "x", ">= 0.9" if mine else None, note),
                row(NAME, name, f"{what}, start to first job", windows[-1].to_first, "s"),
            ]
    return rows
