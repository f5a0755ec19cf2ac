"""A fleet of so many worker processes, started and waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.bench import Run
from benchmarks.fleet import Fleet, fleet
from benchmarks.pooler import pooled
from benchmarks.systems.base import Failed
from benchmarks.window import wait_until_registered
from benchmarks.workloads.fleet_plan import Crew, grouping

__all__ = ["started", "wait"]

_LONGEST = 180.0


@contextmanager
def started(run: Run, crew: Crew) -> Iterator[Fleet]:
    """The fleet, once every process waits for jobs."""
    mine = run.system.name == "pgqueue"
    number, each = grouping(crew.size) if mine else (crew.size, 1)
    flags = ("--processes", str(each)) if each > 1 else ()
    slots = {} if crew.slots is None else {"BENCH_CONCURRENCY": str(crew.slots)}
    if mine and crew.slots is not None:
        flags += ("--concurrency", str(crew.slots))
    with ExitStack() as stack:
        environment = run.environment | slots
        if crew.pooled:
            dsn = stack.enter_context(pooled(run.database))
            environment = run.system.environment(dsn) | run.marks.environment | slots
            environment["BENCH_POOLED"] = "1"
        running = stack.enter_context(fleet(run.system, environment, workers=number, flags=flags))
        if mine:
            wait_until_registered(run, running, crew.size)
        else:
            _wait_until_connected(run, running, crew.size)
        yield running


def _wait_until_connected(run: Run, running: Fleet, workers: int) -> None:
    """Wait until so many workers have sessions, and no more come for two seconds."""
    query = "select count(*) from pg_stat_activity where datname = %s"
    sessions, since = 0, time.monotonic()
    deadline = since + _LONGEST
    while sessions < workers or time.monotonic() < since + 2:
        now = int(run.database.server.query(query, run.database.name)[0])
        if now != sessions:
            sessions, since = now, time.monotonic()
        wait(running, deadline, f"{sessions} sessions of {workers} workers")


def wait(running: Fleet, deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise Failed(f"after {_LONGEST:g} s: {what}")
    running.check()
    time.sleep(0.02)
