"""Jobs with one effect each, 500 in a batch: one insert and one commit for all of them.

The floor is a connection of asyncpg without a queue: begin, insert 500 rows, insert 500 more, which
mark that this was done, commit; one after another.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg

from benchmarks.bench import Bench
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import drain

__all__ = ["run"]

NAME = "batch"
_SIZE = 500  # as in apps/use_pgqueue.py
_INSERT = "insert into bare.effect select pg_catalog.unnest($1::int[])"


def run(bench: Bench) -> list[Row]:
    floors: list[float] = []
    cpu: list[float] = []

    def one(system: System) -> float:
        jobs = bench.count(system, 1.5)
        with bench.run(system, jobs) as run:
            floors.append(asyncio.run(_floor(run.database.dsn, jobs)))
            run.bulk("effects", 0, jobs)
            window = drain(run, jobs, flags=("--concurrency", str(2 * _SIZE)))
            cpu.append(window.worker_cpu / jobs * 1e6)
            return window.rate

    rows: list[Row] = []
    for name, rates in bench.in_turn(NAME, bench.doing(NAME), one).items():
        if rates:
            rows.append(row(NAME, name, "one insert for 500 jobs", rates, "effects/s", ">= 60000"))
            rows.append(row(NAME, name, "worker CPU per job", cpu, "µs"))
            rows.append(row(NAME, name, "the floor, without a queue", floors, "effects/s"))
    return rows + bench.failed_rows(NAME)


async def _floor(dsn: str, jobs: int) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("create table bare.effect (n int)")
        began = time.monotonic()
        for first in range(0, jobs, _SIZE):
            numbers = list(range(first, min(first + _SIZE, jobs)))
            async with connection.transaction():
                await connection.execute(_INSERT, numbers)
                await connection.execute(_INSERT, numbers)
        return jobs / (time.monotonic() - began)
    finally:
        await connection.execute("truncate bare.effect")
        await connection.close()
