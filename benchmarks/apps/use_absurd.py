"""Absurd: the asyncio client, a batch as wide as the worker, a short poll."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any

import common
import psycopg
from absurd_sdk import AsyncAbsurd
from common import ASYNC_HANDLERS, CONCURRENCY, Enqueue

IN_FLIGHT = 8  # connections that enqueue at once: there is no call for many


def _handler(name: str) -> Callable[..., Any]:
    async def run(params: dict[str, int], context: object) -> None:
        del context
        await ASYNC_HANDLERS[name](params["n"])

    return run


class Peer:
    async def open(self) -> None:
        self.absurd = AsyncAbsurd(common.DSN)
        self.lock = asyncio.Lock()

    async def close(self) -> None:
        await self.absurd.close()

    async def install(self) -> None:
        from absurdctl import BUNDLED_SCHEMA_SQL

        with psycopg.connect(common.DSN, autocommit=True) as connection:
            connection.execute(BUNDLED_SCHEMA_SQL.encode())
        await self.absurd.create_queue("default")

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        rest = iter(numbers)

        async def press() -> None:
            absurd = AsyncAbsurd(common.DSN)
            for n in rest:
                await absurd.spawn(kind, {"n": n}, queue="default")
            await absurd.close()

        await asyncio.gather(*(press() for _ in range(IN_FLIGHT)))

    async def one(self, kind: str, n: int) -> object:
        async with self.lock:  # a client has one connection
            return await self.absurd.spawn(kind, {"n": n}, queue="default")

    async def client(self, variant: str) -> Enqueue:
        del variant
        absurd = AsyncAbsurd(common.DSN)

        async def enqueue(kind: str, n: int) -> object:
            return await absurd.spawn(kind, {"n": n}, queue="default")

        return enqueue

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        absurd = AsyncAbsurd(common.DSN)
        for name in ASYNC_HANDLERS:
            absurd.register_task(name)(_handler(name))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, absurd.stop_worker)
        await absurd.start_worker(concurrency=CONCURRENCY or 100, poll_interval=0.01)
        await absurd.close()


if __name__ == "__main__":
    common.main(Peer())
