"""One job of a key at a time, by all systems that can: a rate, and what a small tenant waits.

The jobs are the same for all: so many that the slowest is measured for less than a minute. What has
not run by then is left. A limit of 1 is what all of them have: a lock knows no other.
"""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Run
from benchmarks.fleet import Fleet, fleet
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import Failed, System, call
from benchmarks.window import wait_until_begun, wait_until_drained

__all__ = ["run"]

NAME = "flow"
_JOBS = 10_000
_BACKLOG = 5_000
_LONGEST = 40.0
_POLL_SECONDS = 0.004


def run(bench: Bench, systems: list[System]) -> list[Row]:
    rows = _rates(bench, systems, 100)
    rows += _small_tenant(bench, systems)
    return rows + _rates(bench, systems, 10_000)


def _rates(bench: Bench, systems: list[System], keys: int) -> list[Row]:
    jobs = bench.size(_JOBS, 200)
    rows: list[Row] = []
    taken = bench.in_turn(NAME, systems, lambda system: _rate(bench, system, jobs, keys))
    for system, found in taken.items():
        figure = f"one of a key at a time, {keys:,} keys"
        rates, cpu, ran = zip(*found, strict=True)
        note = f"{min(ran):,} of {jobs:,} jobs ran"
        rows.append(row(NAME, system, figure, rates, "jobs/s", note=note))
        rows.append(row(NAME, system, f"server CPU per job, {figure}", cpu, "µs"))
    return rows


def _rate(bench: Bench, system: System, jobs: int, keys: int) -> tuple[float, float, int]:
    """Jobs a second, µs of the server's CPU for each, and how many ran."""
    environment = {"BENCH_KEYS": str(keys)}
    with bench.run(system, jobs) as run:
        run.bulk("noop", 0, jobs, BENCH_KEYS=keys)
        cpu, started = bench.server.cpu, time.monotonic()
        with fleet(system, run.environment | environment) as running:
            wait_until_begun(run, running)
            before = run.marks.executed()
            if before < jobs:
                cpu, started = bench.server.cpu, time.monotonic()
            else:  # so few jobs that they were all begun at the first look
                before = 0
            ran = _wait_for(run, running, jobs, started + _LONGEST)
            seconds, cpu = time.monotonic() - started, bench.server.cpu - cpu
            if ran == jobs:
                wait_until_drained(run, running)
        if ran == jobs:
            run.marks.check(0, jobs)
    if ran == before:
        raise Failed(f"{ran} jobs ran at once, and none in {_LONGEST:g} s after them")
    return (ran - before) / seconds, 1e6 * cpu / (ran - before), ran


def _wait_for(run: Run, running: Fleet, jobs: int, deadline: float) -> int:
    while (ran := run.marks.executed()) < jobs and time.monotonic() < deadline:
        running.check()
        time.sleep(_POLL_SECONDS)
    return ran


def _small_tenant(bench: Bench, systems: list[System]) -> list[Row]:
    """A tenant has a backlog of jobs of 50 ms, another sends one job each tenth of a second.

    A job that has not begun 40 s after the last was sent counts with these 40 s.
    """
    jobs, seconds = bench.size(_BACKLOG, 100), bench.span(15.0, 1.0)

    def turn(system: System) -> tuple[list[float], int]:
        with bench.run(system, jobs + 1000) as run:
            run.bulk("sleep", 0, jobs, BENCH_KEYS=1)
            with fleet(system, run.environment | {"BENCH_KEYS": "1"}) as running:
                wait_until_begun(run, running)
                dsn = run.database.dsn
                sent = call(system, dsn, "stream", "stamp", 10, seconds, "even", BENCH_KEYS=1)
                deadline = time.monotonic() + _LONGEST
                while run.marks.stamped() < sent["sent"] and time.monotonic() < deadline:
                    running.check()
                    time.sleep(_POLL_SECONDS)
            waits = [stamp.wait_ms for stamp in run.marks.stamps()]
        late = sent["sent"] - len(waits)
        if late < 0:
            raise Failed(f"the small tenant sent {sent['sent']} jobs, {len(waits)} ran")
        return waits + late * [1000 * _LONGEST], late

    rows: list[Row] = []
    for system, found in bench.in_turn(NAME, systems, turn).items():
        note = f"behind {jobs:,} jobs of a tenant that runs one at a time"
        if most := max(late for _, late in found):
            note += f"; {most} did not begin within {_LONGEST:g} s"
        for share in (0.5, 0.99):
            figure = f"p{100 * share:g} of a job of a small tenant"
            waits = [percentile(one, share) for one, _ in found]
            rows.append(row(NAME, system, figure, waits, "ms", note=note))
    return rows
