"""Workers that have nothing to do, beside many jobs in line whose keys stand at their limits.

Each key has one job that holds its slot: it waits in a queue that no worker serves.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

from benchmarks.bench import Bench, Run
from benchmarks.fleet import Fleet, fleet
from benchmarks.rows import Row, row
from benchmarks.systems.base import Failed, System
from benchmarks.workloads.flow_jobs import enqueue

__all__ = ["run"]

NAME = "flow"
_KEYS = 100
_WRITTEN = (
    "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_user_tables"
    " where schemaname = 'pgqueue' and relname in ('job', 'line', 'ticket', 'flow', 'flow_key')"
)
_TICKETS = "select count(*) from pgqueue.ticket"
_HOLDERS = "select count(*) from pgqueue.job where position is not null"


class _Moment(NamedTuple):
    written: int
    cpu: float
    workers_cpu: float


def run(bench: Bench, systems: list[System]) -> list[Row]:
    jobs, workers = bench.size(100_000, 500), bench.size(4, 2)
    windows = bench.rounds
    seconds = bench.span(12.0, 0.5)

    def turn(system: System) -> list[_Moment]:
        with bench.run(system, jobs + _KEYS) as run:
            limit = {"key_concurrency": 1}
            enqueue(run, _KEYS, keys=_KEYS, settings=limit, first=jobs, queue="elsewhere")
            enqueue(run, jobs, keys=_KEYS, settings=limit)
            with fleet(system, run.environment, workers=workers) as running:
                _wait_until_still(run, running)
                # A session that sleeps tells what it has written ten seconds later at most.
                time.sleep(bench.span(17.0, 0.2))
                moments = [_moment(run, running)]
                for _ in range(windows):
                    time.sleep(seconds)
                    moments.append(_moment(run, running))
            if run.marks.executed():
                raise Failed("a job ran whose key stood at its limit")
        return moments

    bench.rounds = 1  # nothing changes from one window to the next: they follow each other
    try:
        results = bench.in_turn(NAME, systems, turn)
    finally:
        bench.rounds = windows
    rows: list[Row] = []
    for system, (moments,) in results.items():
        spans = [[b - a for a, b in zip(*two, strict=True)] for two in pairwise(moments)]
        what = f"beside {jobs:,} jobs in line"
        note = f"{workers} workers, {_KEYS} keys at their limit"
        for n, (figure, unit, scale, target) in enumerate(
            (
                (f"rows written a minute, {what}", "rows", 60 / seconds, "<= 0"),
                (f"server CPU, {what}", "% of a core", 100 / seconds, "<= 3"),
                (f"worker CPU, {what}", "% of a core", 100 / seconds / workers, None),
            )
        ):
            values = [scale * span[n] for span in spans]
            rows.append(row(NAME, system, figure, values, unit, target, note))
    return rows


def _moment(run: Run, running: Fleet) -> _Moment:
    return _Moment(run.database.count(_WRITTEN), run.database.server.cpu, running.cpu)


def _wait_until_still(run: Run, running: Fleet) -> None:
    """Wait until each key has its slot taken, and no ticket is left."""
    deadline = time.monotonic() + 60
    while run.database.count(_HOLDERS) < _KEYS or run.database.count(_TICKETS):
        if time.monotonic() > deadline:
            raise Failed("the lines did not come to rest")
        running.check()
        time.sleep(0.1)
