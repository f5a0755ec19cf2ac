"""arq: many jobs at a time, results not kept, a short poll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common
from arq import Worker, create_pool
from arq.connections import RedisSettings
from common import CONCURRENCY, Enqueue, marks

SETTINGS = RedisSettings.from_dsn(common.DSN)


async def noop(_: dict[Any, Any], n: int) -> None:
    marks.hit(n)


class Peer:
    async def open(self) -> None:
        self.pool = await create_pool(SETTINGS)

    async def close(self) -> None:
        await self.pool.aclose()

    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        for n in numbers:
            await self.pool.enqueue_job(kind, n)

    async def one(self, kind: str, n: int) -> object:
        return await self.pool.enqueue_job(kind, n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        worker = Worker(
            [noop],
            redis_settings=SETTINGS,
            max_jobs=CONCURRENCY or 500,
            keep_result=0,
            poll_delay=0.01,
        )
        await worker.async_run()


if __name__ == "__main__":
    common.main(Peer())
