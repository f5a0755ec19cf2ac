"""Oban for Python: one queue with a wide limit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import common
from common import ASYNC_HANDLERS, CONCURRENCY, Enqueue
from oban import Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool


@worker(queue="default")
class Noop:
    async def process(self, job) -> None:
        await ASYNC_HANDLERS["noop"](job.args["n"])


@worker(queue="default")
class Sleep:
    async def process(self, job) -> None:
        await ASYNC_HANDLERS["sleep"](job.args["n"])


@worker(queue="default")
class Stamp:
    async def process(self, job) -> None:
        await ASYNC_HANDLERS["stamp"](job.args["n"])


@worker(queue="default")
class Brief:
    async def process(self, job) -> None:
        await ASYNC_HANDLERS["brief"](job.args["n"])


WORKERS = {"noop": Noop, "sleep": Sleep, "stamp": Stamp, "brief": Brief}


class Peer:
    async def open(self) -> None:
        self.pool = AsyncConnectionPool(common.DSN, min_size=1, max_size=10, open=False)
        await self.pool.open()
        self.oban = Oban(pool=self.pool)

    async def close(self) -> None:
        await self.pool.close()

    async def install(self) -> None:
        await install(self.pool)

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), 1000):
            part = numbers[start : start + 1000]
            await self.oban.enqueue_many([WORKERS[kind].new({"n": n}) for n in part])

    async def one(self, kind: str, n: int) -> object:
        return await self.oban.enqueue(WORKERS[kind].new({"n": n}))

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        pool = AsyncConnectionPool(common.DSN, min_size=5, max_size=10, open=False)
        await pool.open()
        async with Oban(pool=pool, queues={"default": CONCURRENCY or 1000}):
            await stopping.wait()
        await pool.close()


if __name__ == "__main__":
    common.main(Peer())
