"""Procrastinate over psycopg: concurrent jobs, LISTEN, a pool as wide as it needs."""

from __future__ import annotations

from collections.abc import Sequence

import common
from common import ASYNC_HANDLERS, CONCURRENCY, KEYS, Enqueue, key_of
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import JobDeferrer

app = App(connector=PsycopgConnector(conninfo=common.DSN, min_size=1, max_size=20))


@app.task(name="noop")
async def noop(n: int) -> None:
    await ASYNC_HANDLERS["noop"](n)


@app.task(name="sleep")
async def sleep(n: int) -> None:
    await ASYNC_HANDLERS["sleep"](n)


@app.task(name="stamp")
async def stamp(n: int) -> None:
    await ASYNC_HANDLERS["stamp"](n)


@app.task(name="brief")
async def brief(n: int) -> None:
    await ASYNC_HANDLERS["brief"](n)


TASKS = {"noop": noop, "sleep": sleep, "stamp": stamp, "brief": brief}


def _locked(kind: str, n: int) -> JobDeferrer:
    """A lock lets one job of a key run at a time, in the order of their numbers."""
    return TASKS[kind].configure(lock=key_of(kind, n) if KEYS else None)


class Peer:
    async def open(self) -> None:
        await app.open_async()

    async def close(self) -> None:
        await app.close_async()

    async def install(self) -> None:
        await app.schema_manager.apply_schema_async()

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), 10_000):
            part = numbers[start : start + 10_000]
            if KEYS:
                await self._bulk_of_keys(kind, part)
                continue
            await TASKS[kind].batch_defer_async(*({"n": n} for n in part))

    async def _bulk_of_keys(self, kind: str, numbers: Sequence[int]) -> None:
        """A call of ``batch_defer_async`` has one lock; what it calls takes jobs of many."""
        jobs = [_locked(kind, n).make_new_job(n=n) for n in numbers]
        await app.job_manager.batch_defer_jobs_async(jobs=jobs)

    async def one(self, kind: str, n: int) -> object:
        return await _locked(kind, n).defer_async(n=n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=CONCURRENCY or 20, listen_notify=True)


if __name__ == "__main__":
    common.main(Peer())
