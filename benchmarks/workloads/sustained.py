"""Enqueue and drain at full speed for ten minutes: whether the rate holds, and what grows.

Then a steady stream under a held snapshot, while nothing dead can be removed: how fast that grows.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass

import psycopg

from benchmarks.bench import Bench, Run, say
from benchmarks.fleet import Fleet, fleet
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import Failed, System
from benchmarks.window import wait_until_ready

__all__ = ["run"]

NAME = "sustained"
_SECONDS, _HELD_SECONDS = 600.0, 180.0
_INTERVALS = 10
_BATCH, _BACKLOG = 200, 1_000
_RATE = 1_000  # jobs/s under the held snapshot
_WARM_UP = 20
_ENQUEUE = "select pgqueue.enqueue_alike('stamp', %s::jsonb, 'default', 5, 25)"
_LOOK = """
    select pg_relation_size('pgqueue.job'), pg_indexes_size('pgqueue.job'),
           pg_stat_get_dead_tuples('pgqueue.job'::regclass),
           pg_stat_get_vacuum_count('pgqueue.job'::regclass),
           pg_stat_get_autovacuum_count('pgqueue.job'::regclass)"""


@dataclass(frozen=True, slots=True)
class Look:
    """What there was at a moment: sizes in bytes, vacuums by hand and by autovacuum."""

    time: float
    jobs: int
    worker_cpu: float
    server_cpu: float
    table: int
    indexes: int
    dead: int
    vacuums: int
    autovacuums: int


def run(bench: Bench) -> list[Row]:
    seconds = bench.seconds or bench.span(_SECONDS, 3.0)
    held = min(seconds, bench.span(_HELD_SECONDS, 2.0))

    def turn(system: System) -> tuple[list[Look], list[Look]]:
        with bench.run(system, _BACKLOG) as full:
            fast = _pour(full, seconds, None)
        with bench.run(system, _BACKLOG) as slow, slow.database.held_snapshot():
            return fast, _pour(slow, held, bench.size(_RATE, 200))

    once, bench.rounds = bench.rounds, 1
    try:
        results = bench.in_turn(NAME, bench.doing(NAME), turn)
    finally:
        bench.rounds = once
    rows = [made for name, found in results.items() for one in found for made in _rows(name, *one)]
    return rows + bench.failed_rows(NAME)


def _pour(run: Run, seconds: float, rate: float | None) -> list[Look]:
    """Enqueue at this rate, or with never more than a thousand jobs waiting; look ten times."""
    failures: list[Exception] = []
    end = threading.Event()

    def enqueue() -> None:
        began, sent = time.monotonic(), run.marks.stamped()
        try:
            with run.database.connect() as connection:
                while not end.is_set():
                    passed = time.monotonic() - began
                    behind = rate is not None and sent - _WARM_UP > rate * passed
                    if behind or sent - run.marks.stamped() > _BACKLOG - _BATCH:
                        time.sleep(0.001)
                        continue
                    now = time.monotonic_ns() // 1000
                    size = _BATCH if rate is None else _BATCH // 20
                    connection.execute(_ENQUEUE, [json.dumps([{"n": now}] * size)])
                    sent += size
        except Exception as exc:
            failures.append(exc)

    with fleet(run.system, run.environment) as running, run.database.connect() as connection:
        wait_until_ready(run, running, _WARM_UP)
        producer = threading.Thread(target=enqueue)
        looks = [_look(run, running, connection)]
        producer.start()
        try:
            for number in range(1, _INTERVALS + 1):
                due = looks[0].time + number * seconds / _INTERVALS
                end.wait(max(0.0, due - time.monotonic()))
                running.check()
                looks.append(_look(run, running, connection))
                say(_line(looks[-2], looks[-1]))
        finally:
            end.set()
            producer.join()
    if failures:
        raise Failed(f"enqueue failed: {failures[0]}")
    return looks


def _look(run: Run, running: Fleet, connection: psycopg.Connection[tuple[int, ...]]) -> Look:
    found = connection.execute(_LOOK.encode()).fetchone()
    assert found is not None
    cpu = running.cpu, run.database.server.cpu
    return Look(time.monotonic(), run.marks.stamped(), *cpu, *found)


def _rate(before: Look, after: Look) -> float:
    return (after.jobs - before.jobs) / (after.time - before.time)


def _line(before: Look, after: Look) -> str:
    jobs = max(1, after.jobs - before.jobs)
    worker = (after.worker_cpu - before.worker_cpu) / jobs * 1e6
    server = (after.server_cpu - before.server_cpu) / jobs * 1e6
    return (
        f"  {_rate(before, after):,.0f} jobs/s, worker {worker:.1f}, server {server:.1f} µs a job; "
        f"table {after.table / 1e6:,.1f} MB, indexes {after.indexes / 1e6:,.1f} MB, "
        f"{after.dead:,} dead; {after.vacuums} vacuums, {after.autovacuums} by autovacuum"
    )


def _rows(name: str, fast: list[Look], held: list[Look]) -> list[Row]:
    def one(figure: str, value: float, unit: str, target: str = "", note: str = "") -> Row:
        return row(NAME, name, figure, value, unit, target or None, note)

    rates = [_rate(a, b) for a, b in itertools.pairwise(fast)]
    sizes = [look.table + look.indexes for look in fast]
    early = median(sizes[1 : _INTERVALS // 2 + 1])
    note = "; ".join(
        f"{rate:,.0f}/s {look.table / 1e6:,.0f} + {look.indexes / 1e6:,.0f} MB"
        for rate, look in zip(rates, fast[1:], strict=True)
    )
    first, last = held[0], held[-1]
    jobs, span = last.jobs - first.jobs, last.time - first.time
    kept = f"{jobs:,} jobs in {span:.0f} s"
    return [
        one("full speed, jobs", fast[-1].jobs - fast[0].jobs, "jobs"),
        one("full speed, rate of the last tenth", rates[-1], "jobs/s", note=note),
        one("full speed, rate, last tenth / second", rates[-1] / rates[1], "x", ">= 0.95"),
        one("full speed, job table at its largest", max(x.table for x in fast) / 1e6, "MB"),
        one("full speed, its indexes", max(x.indexes for x in fast) / 1e6, "MB"),
        one("full speed, size, last tenth / first half", sizes[-1] / max(1, early), "x", "<= 2"),
        one("held snapshot, table per job", (last.table - first.table) / jobs, "B", note=kept),
        one("held snapshot, indexes per job", (last.indexes - first.indexes) / jobs, "B"),
        one("held snapshot, vacuums in vain", last.vacuums - first.vacuums, ""),
    ]
