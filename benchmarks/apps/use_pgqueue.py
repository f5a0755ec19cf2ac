"""pgqueue: `pgqueue worker use_pgqueue:app` at its defaults, typed tasks of one argument."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import common
from bare import INSERT
from bare import TABLE as BARE_TABLE
from common import KEYS, Enqueue, arguments, key_of, marks
from floor import TABLES as SETTLED_TABLES
from mix import INSERT as INSERT_EFFECT

import pgqueue

QUEUES = int(os.environ.get("BENCH_QUEUES", "1"))
PRIORITIES = int(os.environ.get("BENCH_PRIORITIES", "1"))
DELAY = float(os.environ.get("BENCH_DELAY", "0"))

app = pgqueue.App(
    common.DSN or None,
    pgbouncer="BENCH_POOLED" in os.environ,
    max_transactions=int(os.environ.get("BENCH_TRANSACTIONS", "10")),
)


# Each call gives its key itself: a function of the argument does not know the kind of the job.
KEY_LIMIT = int(os.environ.get("BENCH_KEY_LIMIT", "1"))
FLOW = pgqueue.Flow("bench", key="n", key_concurrency=KEY_LIMIT) if KEYS else None


@app.task(flow=FLOW)
async def noop(n: int) -> None:
    marks.hit(n)


@app.task(flow=FLOW)
async def sleep(n: int) -> None:
    await common.sleep(n)


@app.task(flow=FLOW)
async def stamp(n: int) -> None:
    marks.stamp(n)


@app.task
async def brief(n: int) -> None:
    await common.brief(n)


@app.task
def blocking(n: int) -> None:
    marks.hit(n)


@app.task
async def nap(n: int) -> None:
    await common.nap(n)


@app.task
async def carry(n: int, text: str) -> None:
    await common.carry(n, text)


@app.task
async def effect(n: int) -> None:
    marks.stamp(n)
    async with pgqueue.current_job().transaction() as tx:
        await tx.execute(INSERT_EFFECT, n)


@app.task
async def settle(n: int) -> None:
    async with pgqueue.current_job().transaction() as tx:
        await tx.execute("insert into public.settled (n) values ($1)", n)
    marks.hit(n)


@app.task
def blocking_settle(n: int) -> None:
    with pgqueue.current_job().transaction() as tx:
        tx.execute("insert into public.settled (n) values (%s)", (n,))
    marks.hit(n)


@app.task(batch=500)
async def effects(ns: list[int]) -> None:
    async with pgqueue.current_batch().transaction() as tx:
        await tx.execute("insert into bare.effect select pg_catalog.unnest($1::int[])", ns)
    for n in ns:
        marks.hit(n)


_ALL = (
    *(noop, sleep, stamp, brief, blocking, nap, carry, effect),
    *(settle, blocking_settle, effects),
)
TASKS: dict[str, Any] = {task.name: task for task in _ALL}


class PgQueue:
    async def open(self) -> None:
        if sys.argv[1] != "install":
            await app.aenqueue_many([])  # connects

    async def close(self) -> None:
        await app.aclose()

    async def install(self) -> None:
        await app.amigrate()
        tables = f"{BARE_TABLE}; {SETTLED_TABLES}"
        await app.pool.arun(lambda connection: connection.execute(tables))

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        task = TASKS[kind]
        if KEYS:
            keyed = {(key := key_of(kind, n)): task.using(flow_key=key) for n in range(KEYS)}
            await app.aenqueue_many([keyed[key_of(kind, n)].job(n) for n in numbers])
            return
        if kind == "carry":
            await app.aenqueue_many([task.job(**arguments(kind, n)) for n in numbers])
            return
        if QUEUES == PRIORITIES == 1 and not DELAY:
            await app.aenqueue_many([task.job(n) for n in numbers])
            return
        kinds = [
            task.using(
                queue=f"queue-{i % QUEUES}" if QUEUES > 1 else None,
                priority=i % PRIORITIES if PRIORITIES > 1 else None,
                delay=DELAY or None,
            )
            for i in range(QUEUES * PRIORITIES)
        ]
        await app.aenqueue_many([kinds[n % len(kinds)].job(n) for n in numbers])

    async def many(self, jobs: Sequence[tuple[str, int]]) -> None:
        await app.aenqueue_many([TASKS[kind].job(n) for kind, n in jobs])

    async def one(self, kind: str, n: int) -> object:
        task = TASKS[kind]
        return await (task.using(flow_key=key_of(kind, n)) if KEYS else task).aenqueue(n)

    async def client(self, variant: str) -> Enqueue:
        if variant == "pool":
            return self.one
        if variant == "sync":
            return self._sync_client()
        import asyncpg

        connection = await asyncpg.connect(common.DSN)
        if variant == "bare":
            sql = INSERT.format("$1", "$2")

            async def insert(kind: str, n: int) -> object:
                return await connection.fetchrow(sql, kind, json.dumps({"n": n}))

            return insert
        bound = {name: task.using(connection=connection) for name, task in TASKS.items()}

        async def enqueue(kind: str, n: int) -> object:
            return await bound[kind].aenqueue(n)

        return enqueue

    def _sync_client(self) -> Enqueue:
        import psycopg

        connection = psycopg.connect(common.DSN, autocommit=True)
        bound = {name: task.using(connection=connection) for name, task in TASKS.items()}

        async def enqueue(kind: str, n: int) -> object:
            return bound[kind].enqueue(n)

        return enqueue

    def work(self) -> None:
        raise SystemExit("the worker is `pgqueue worker use_pgqueue:app`")


if __name__ == "__main__":
    common.main(PgQueue())
