"""A steady stream of jobs under a held snapshot: small claims over ever more dead rows."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import Failed, System, call
from benchmarks.window import wait_until_drained, wait_until_ready

__all__ = ["run"]

NAME = "flat"
_RATE = 1000


def run(bench: Bench) -> list[Row]:
    def turn(system: System) -> tuple[list[float], list[float], int, float]:
        # Five minutes for ours; peers get one, for the whole must end in half an hour.
        seconds = bench.span(300.0 if system.name == "pgqueue" else 60.0, 1.0)
        rate = bench.size(_RATE, 100)
        part = min(60.0, seconds / 3)
        warm_up = 20
        with bench.run(system, int(rate * seconds) + 1000) as run:
            with fleet(system, run.environment) as running, run.database.held_snapshot():
                wait_until_ready(run, running, warm_up)
                answer = call(system, run.database.dsn, "stream", "stamp", rate, seconds, "even")
                waiting = answer["sent"] + warm_up - run.marks.stamped()
                wait_until_drained(run, running)
            stamps = run.marks.stamps()[warm_up:]
        if len(stamps) != answer["sent"]:
            raise Failed(f"sent {answer['sent']} jobs, {len(stamps)} ran")
        began = stamps[0].enqueued_ms
        ended = stamps[-1].enqueued_ms
        early = [s.wait_ms for s in stamps if s.enqueued_ms - began < part * 1000]
        late = [s.wait_ms for s in stamps if ended - s.enqueued_ms < part * 1000]
        return early, late, waiting, answer["sent"] / answer["seconds"]

    once, bench.rounds = bench.rounds, 1
    try:
        results = bench.in_turn(NAME, bench.doing(NAME), turn)
    finally:
        bench.rounds = once
    rows: list[Row] = []
    for name, found in results.items():
        mine = name == "pgqueue"
        for early, late, waiting, rate in found:
            first, last = percentile(early, 0.99), percentile(late, 0.99)
            what = f"{_RATE:,} jobs/s under a held snapshot"
            note = f"{rate:,.0f} jobs/s were sent"
            rows += [
                row(NAME, name, f"{what}, p99 of the first part", first, "ms", note=note),
                row(NAME, name, f"{what}, p99 of the last part", last, "ms"),
                row(
                    NAME,
                    name,
                    f"{what}, p99 last / first",
                    last / first,
                    "x",
                    "<= 2" if mine else None,
                ),
                row(
                    NAME,
                    name,
                    f"{what}, jobs waiting at the end",
                    waiting,
                    "jobs",
                    f"<= {_RATE}" if mine else None,
                ),
            ]
    return rows
