"""SAQ, over PostgreSQL or Redis by its dsn: concurrent jobs, the heartbeat of queries it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import common
from common import ASYNC_HANDLERS, CONCURRENCY, Enqueue
from saq import Queue, Worker

IN_FLIGHT = 64  # enqueues under way at once: there is no call for many


def _function(name: str) -> tuple[str, Callable[..., Any]]:
    handler = ASYNC_HANDLERS[name]

    async def run(_: Any, *, n: int) -> None:
        await handler(n)

    return name, run


class Peer:
    async def open(self) -> None:
        self.queue = Queue.from_url(common.DSN)
        await self.queue.connect()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        rest = iter(numbers)

        async def press() -> None:
            for n in rest:
                await self.queue.enqueue(kind, n=n)

        await asyncio.gather(*(press() for _ in range(IN_FLIGHT)))

    async def one(self, kind: str, n: int) -> object:
        return await self.queue.enqueue(kind, n=n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        queue = Queue.from_url(common.DSN)
        await queue.connect()
        functions = [_function(name) for name in ASYNC_HANDLERS]
        await Worker(queue, functions, concurrency=CONCURRENCY or 100).start()
        await queue.disconnect()


if __name__ == "__main__":
    common.main(Peer())
