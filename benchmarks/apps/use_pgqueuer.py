"""PgQueuer over asyncpg: a connection of its own for the worker, a pool for the producers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence

import asyncpg
import common
from common import ASYNC_HANDLERS, CONCURRENCY, KEYS, Enqueue, arguments, carry, key_of, marks, nap
from mix import EFFECT, INSERT
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

BATCH = int(os.environ.get("BENCH_BATCH", "500"))


class Peer:
    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(common.DSN, min_size=1, max_size=5)
        self.queries = Queries(AsyncpgPoolDriver(self.pool))

    async def close(self) -> None:
        await self.pool.close()

    async def install(self) -> None:
        await self.queries.install()
        await self.queries.optimize_autovacuum()

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        payloads: list[bytes | None] = [_payload(kind, n) for n in numbers]
        names = [_name(kind, n) for n in numbers]
        await self.queries.enqueue(names, payloads, [0] * len(payloads))

    async def many(self, jobs: Sequence[tuple[str, int]]) -> None:
        names, numbers = [kind for kind, _ in jobs], [str(n).encode() for _, n in jobs]
        await self.queries.enqueue(names, numbers, [0] * len(jobs))

    async def one(self, kind: str, n: int) -> object:
        return await self.queries.enqueue(_name(kind, n), str(n).encode())

    async def client(self, variant: str) -> Enqueue:
        del variant
        queries = Queries(AsyncpgDriver(await asyncpg.connect(common.DSN)))

        async def enqueue(kind: str, n: int) -> object:
            return await queries.enqueue(kind, str(n).encode())

        return enqueue

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        connection = await asyncpg.connect(common.DSN)
        queuer = PgQueuer.from_asyncpg_connection(connection)
        for kind in ASYNC_HANDLERS:
            run = _entry(ASYNC_HANDLERS[kind])
            # A limit is one of an entrypoint, so each key is one, and workers know all keys.
            # Batches of 10 and of 50 were no faster then.
            for n in range(KEYS or 1):
                queuer.entrypoint(_name(kind, n), concurrency_limit=1 if KEYS else 0)(run)
        if "BENCH_LOADS" in os.environ:
            await _add_loads(queuer)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
        batch = min(BATCH, CONCURRENCY // 2) if CONCURRENCY else BATCH
        await queuer.run(batch_size=batch, max_concurrent_tasks=CONCURRENCY or None)


async def _add_loads(queuer: PgQueuer) -> None:
    """The kinds of the workloads ``payload`` and ``mixed``."""
    pool = await asyncpg.create_pool(common.DSN, min_size=1, max_size=10)
    queuer.entrypoint("nap")(_entry(nap))

    @queuer.entrypoint("carry")
    async def _(job: Job) -> None:
        assert job.payload is not None
        await carry(**json.loads(job.payload))

    @queuer.entrypoint(EFFECT)
    async def _(job: Job) -> None:
        assert job.payload is not None
        n = int(job.payload)
        marks.stamp(n)
        await pool.execute(INSERT, n)


def _payload(kind: str, n: int) -> bytes:
    return (json.dumps(arguments(kind, n)) if kind == "carry" else str(n)).encode()


def _name(kind: str, n: int) -> str:
    return key_of(kind, n) if KEYS else kind


def _entry(handler: Callable[[int], object]) -> Callable[[Job], object]:
    async def run(job: Job) -> None:
        assert job.payload is not None
        await handler(int(job.payload))  # type: ignore[misc]

    return run


if __name__ == "__main__":
    common.main(Peer())
