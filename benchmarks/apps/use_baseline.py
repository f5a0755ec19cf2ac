"""The floor: bare INSERTs of pgqueue's own row, and a loop that deletes what it takes.

The table has pgqueue's columns, constraints, indexes and fillfactor. The loop keeps nothing: a
crash loses the jobs that it has taken.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import asyncpg
import common
from bare import INSERT
from bare import TABLE as BARE_TABLE
from common import HANDLERS, Enqueue, arguments

import pgqueue

TAKE = f"""\
delete from bare.job
where ctid = any (array(
    select ctid from bare.job
    where queue = 'default' and priority = 5 and position is not null
    order by position limit {os.environ.get("BENCH_TAKE", "1000")} for update skip locked))
returning task, args"""
COLUMNS = ("position", "queue", "task", "args", "priority", "max_attempts")


class Baseline:
    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(common.DSN, min_size=1, max_size=5)

    async def close(self) -> None:
        await self.pool.close()

    async def install(self) -> None:
        async with pgqueue.App(common.DSN) as app:
            await app.amigrate()
        await self.pool.execute(BARE_TABLE)

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        await self.pool.copy_records_to_table(
            "job",
            schema_name="bare",
            columns=COLUMNS,
            records=((n, "default", kind, json.dumps(arguments(kind, n)), 5, 25) for n in numbers),
        )

    async def one(self, kind: str, n: int) -> object:
        sql = INSERT.format("$1", "$2")
        return await self.pool.fetchrow(sql, kind, json.dumps({"n": n}))

    async def client(self, variant: str) -> Enqueue:
        if variant == "sync":
            return self._sync_client()
        connection = await asyncpg.connect(common.DSN)
        sql = INSERT.format("$1", "$2")

        async def enqueue(kind: str, n: int) -> object:
            return await connection.fetchrow(sql, kind, json.dumps({"n": n}))

        return enqueue

    def _sync_client(self) -> Enqueue:
        import psycopg

        connection = psycopg.connect(common.DSN, autocommit=True)
        sql = INSERT.format("%s", "%s")

        async def enqueue(kind: str, n: int) -> object:
            return connection.execute(sql.encode(), (kind, json.dumps({"n": n}))).fetchone()

        return enqueue

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        connection = await asyncpg.connect(common.DSN)
        while not stopping.is_set():
            rows: list[Any] = await connection.fetch(TAKE)
            calls = [HANDLERS[row["task"]](**json.loads(row["args"])) for row in rows]
            await asyncio.gather(*calls)
            if not rows:
                await asyncio.sleep(0.005)
        await connection.close()


if __name__ == "__main__":
    common.main(Baseline())
