"""With a snapshot held open, rounds of jobs are enqueued and drained by a new worker each.

A round lasts a second or two, and a machine's speed changes by half within that. So the last round
is measured three times, a round further each time, and before each the first round of a new
database takes its turn, under a snapshot of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.bench import Bench, Run
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain

__all__ = ["run"]

NAME = "flat"
_TURNS = 3
_TICK = 0.01  # seconds: what the system counts CPU in


@dataclass
class Rounds:
    """``all``: one after another in one database; its last ones took turns with ``fresh``."""

    all: list[Window] = field(default_factory=list[Window])
    fresh: list[Window] = field(default_factory=list[Window])

    def ratios(self, figure: Callable[[Window], float]) -> list[float]:
        last = self.all[-len(self.fresh) :]
        return [figure(old) / figure(new) for old, new in zip(last, self.fresh, strict=True)]


def run(bench: Bench) -> list[Row]:
    def turn(system: System) -> Rounds:
        most = 100_000 if system.pace >= 50_000 else 60_000
        jobs = bench.jobs or bench.size(min(most, system.pace * 2), 200)
        rounds = bench.size(10 if system.name == "pgqueue" else 5, 1)
        turns = bench.size(_TURNS, 1)
        found = Rounds()
        with bench.run(system, jobs * (rounds + turns)) as run, run.database.held_snapshot():
            for number in range(rounds - 1):
                found.all.append(_one(run, number, jobs))
            for number in range(turns):
                with bench.run(system, jobs) as new, new.database.held_snapshot():
                    found.fresh.append(_one(new, 0, jobs))
                found.all.append(_one(run, rounds - 1 + number, jobs))
            run.marks.check(0, jobs * (rounds - 1 + turns))
        return found

    once, bench.rounds = bench.rounds, 1  # the rounds are inside
    try:
        results = bench.in_turn(NAME, bench.doing(NAME), turn)
    finally:
        bench.rounds = once
    rows: list[Row] = []
    for name, found in results.items():
        for rounds in found:
            rates = [window.rate for window in rounds.all]
            first = [window.rate for window in rounds.fresh]
            note = ", ".join(f"{rate:,.0f}" for rate in rates) + " jobs/s; first rounds between the"
            note += " last: " + ", ".join(f"{rate:,.0f}" for rate in first)
            what = "held snapshot, last round"
            target = ">= 0.9" if name == "pgqueue" else None
            ratios = rounds.ratios(lambda window: window.rate)
            spent = rounds.ratios(lambda window: max(window.server_cpu, _TICK) / window.jobs)
            rows += [
                row(NAME, name, "held snapshot, first round", first, "jobs/s"),
                row(NAME, name, what, rates[-len(first) :], "jobs/s"),
                row(NAME, name, f"{what} / first", ratios, "x", target, note),
                row(NAME, name, f"{what}, server CPU / first", spent, "x"),
                row(NAME, name, f"{what}, start to first job", rounds.all[-1].to_first, "s"),
            ]
    return rows


def _one(run: Run, number: int, jobs: int) -> Window:
    run.bulk("noop", number * jobs, jobs)
    return drain(run, jobs, first=number * jobs)
