"""DBOS: a queue of workflows in PostgreSQL, polled as often as it allows."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import common
from common import ASYNC_HANDLERS, CONCURRENCY, KEYS, Enqueue, key_of
from dbos import DBOS, DBOSConfig, SetEnqueueOptions

POLL_SECONDS = 0.01
IN_FLIGHT = 16  # enqueues under way at once: there is no call for many


@DBOS.workflow()
async def noop(n: int) -> None:
    await ASYNC_HANDLERS["noop"](n)


@DBOS.workflow()
async def sleep(n: int) -> None:
    await ASYNC_HANDLERS["sleep"](n)


@DBOS.workflow()
async def stamp(n: int) -> None:
    await ASYNC_HANDLERS["stamp"](n)


@DBOS.workflow()
async def brief(n: int) -> None:
    await ASYNC_HANDLERS["brief"](n)


WORKFLOWS = {"noop": noop, "sleep": sleep, "stamp": stamp, "brief": brief}


async def launch(*, listen: bool) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": common.DSN,
        "run_admin_server": False,
        "log_level": "ERROR",
        "application_version": "1",
    }
    DBOS(config=config)
    if not listen:
        DBOS.listen_queues([])
    DBOS.launch()
    # With a limit of 1, and no other limit of a partition, one statement claims of all partitions;
    # with any other limit there is one transaction for each partition.
    limits: dict[str, Any] = {"partition_concurrency": 1} if KEYS else {}
    await DBOS.register_queue_async(
        "default",
        worker_concurrency=CONCURRENCY or 500,
        polling_interval_sec=POLL_SECONDS,
        **limits,
    )


async def enqueue(kind: str, n: int) -> object:
    key = key_of(kind, n) if KEYS else None
    with SetEnqueueOptions(queue_partition_key=key):
        return await DBOS.enqueue_workflow_async("default", WORKFLOWS[kind], n)


class Peer:
    async def open(self) -> None:
        await launch(listen=False)

    async def close(self) -> None:
        DBOS.destroy()

    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        rest = iter(numbers)

        async def press() -> None:
            for n in rest:
                await enqueue(kind, n)

        await asyncio.gather(*(press() for _ in range(IN_FLIGHT)))

    async def one(self, kind: str, n: int) -> object:
        return await enqueue(kind, n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        common.run(self._work())

    async def _work(self) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        await launch(listen=True)
        await stopping.wait()
        DBOS.destroy()


if __name__ == "__main__":
    common.main(Peer())
