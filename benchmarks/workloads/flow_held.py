"""Flows while a reader's snapshot is held, so that nothing dead is removed: 100 keys, limit 5."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, percentile, ratio, row
from benchmarks.systems.base import Failed, System, call
from benchmarks.window import Window, drain, wait_until_drained
from benchmarks.workloads.flow_jobs import enqueue

__all__ = ["run"]

NAME = "flow"
_KEYS, _LIMIT = 100, 5
_RATE = 500  # one client must be able to enqueue so many, one by one
_WARM_UP = 100


def run(bench: Bench, systems: list[System]) -> list[Row]:
    rows = _drains(bench, systems)
    once, bench.rounds = bench.rounds, 1
    try:
        taken = bench.in_turn(NAME, systems, lambda system: _stream(bench, system))
    finally:
        bench.rounds = once
    what = f"{_RATE:,} limited jobs/s under a held snapshot"
    for system, ((early, late),) in taken.items():
        rows.append(row(NAME, system, f"{what}, p99 of the first part", early, "ms"))
        rows.append(row(NAME, system, f"{what}, p99 of the last part", late, "ms"))
        rows.append(row(NAME, system, f"{what}, p99 last / first", late / early, "x", "<= 2"))
    return rows


def _drains(bench: Bench, systems: list[System]) -> list[Row]:
    jobs = bench.size(bench.jobs or 200_000, 200)
    free, held = "limited jobs, no snapshot held", "limited jobs, a snapshot held"
    rows: list[Row] = []
    for name in (free, held):

        def turn(system: System, name: str = name) -> Window:
            with bench.run(system, jobs) as run, ExitStack() as stack:
                if name == held:
                    stack.enter_context(run.database.held_snapshot())
                enqueue(run, jobs, keys=_KEYS, settings={"key_concurrency": _LIMIT})
                return drain(run, jobs)

        for system, windows in bench.in_turn(NAME, systems, turn).items():
            rates = [window.rate for window in windows]
            rows.append(row(NAME, system, name, rates, "jobs/s", note=f"{jobs:,} jobs"))
    return rows + ratio(rows, "limited jobs, a snapshot held / none", held, free, ">= 0.75")


def _stream(bench: Bench, system: System) -> tuple[float, float]:
    """The p99 of the first and of the last third of a steady stream."""
    seconds, rate = bench.span(60.0, 1.0), bench.size(_RATE, 100)
    keys = {"BENCH_KEYS": _KEYS, "BENCH_KEY_LIMIT": _LIMIT}
    environment = {name: str(value) for name, value in keys.items()}
    with bench.run(system, int(rate * seconds) + 1000) as run:
        with fleet(system, run.environment | environment) as running, run.database.held_snapshot():
            run.bulk("stamp", 0, _WARM_UP, **keys)
            wait_until_drained(run, running)
            dsn = run.database.dsn
            sent = call(system, dsn, "stream", "stamp", rate, seconds, "even", **keys)["sent"]
            wait_until_drained(run, running)
        stamps = run.marks.stamps()[_WARM_UP:]
    if len(stamps) != sent:
        raise Failed(f"sent {sent} jobs, {len(stamps)} ran")
    part = len(stamps) // 3
    waits = [stamp.wait_ms for stamp in stamps]
    return percentile(waits[:part], 0.99), percentile(waits[-part:], 0.99)
