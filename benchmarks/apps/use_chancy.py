"""Chancy: the asyncio executor, a wide queue that polls again as soon as jobs are done."""

from __future__ import annotations

from collections.abc import Sequence

import common
from chancy import Chancy, Job, Queue, Worker, job
from common import ASYNC_HANDLERS, CONCURRENCY, Enqueue


@job()
async def noop(*, n: int) -> None:
    await ASYNC_HANDLERS["noop"](n)


@job()
async def sleep(*, n: int) -> None:
    await ASYNC_HANDLERS["sleep"](n)


@job()
async def stamp(*, n: int) -> None:
    await ASYNC_HANDLERS["stamp"](n)


@job()
async def brief(*, n: int) -> None:
    await ASYNC_HANDLERS["brief"](n)


JOBS = {"noop": noop, "sleep": sleep, "stamp": stamp, "brief": brief}


def _job(kind: str, n: int) -> Job:
    return JOBS[kind].job.with_kwargs(n=n)


class Peer:
    async def open(self) -> None:
        self.chancy = Chancy(common.DSN)
        await self.chancy.__aenter__()

    async def close(self) -> None:
        await self.chancy.__aexit__(None, None, None)

    async def install(self) -> None:
        await self.chancy.migrate()

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        async for _ in self.chancy.push_many([_job(kind, n) for n in numbers], batch_size=1000):
            pass

    async def one(self, kind: str, n: int) -> object:
        return await self.chancy.push(_job(kind, n))

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        queue = Queue(
            "default",
            concurrency=CONCURRENCY or 1000,
            executor=Chancy.Executor.Async,
            polling_interval=1,
            eager_polling=True,
        )
        async with Chancy(common.DSN) as chancy:
            await chancy.declare(queue, upsert=True)
            async with Worker(chancy) as worker:
                await worker.wait_for_shutdown()


if __name__ == "__main__":
    common.main(Peer())
