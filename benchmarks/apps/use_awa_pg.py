"""Awa, whose engine is in Rust: the asyncio client, 500 workers on one queue, COPY."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import common
from awa import AsyncClient
from common import ASYNC_HANDLERS, CONCURRENCY, Enqueue

DSN = common.DSN.replace(
    "@/", "@localhost/"
)  # an empty host is refused; the socket's directory wins


@dataclass
class Noop:
    n: int


@dataclass
class Sleep:
    n: int


@dataclass
class Stamp:
    n: int


@dataclass
class Brief:
    n: int


KINDS: dict[str, type[Any]] = {"noop": Noop, "sleep": Sleep, "stamp": Stamp, "brief": Brief}


class Peer:
    async def open(self) -> None:
        self.client_ = AsyncClient(DSN)

    async def close(self) -> None:
        await self.client_.close()

    async def install(self) -> None:
        await self.client_.migrate()
        await self.client_.install_queue_storage()

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        make = KINDS[kind]
        for start in range(0, len(numbers), 10_000):
            part = numbers[start : start + 10_000]
            await self.client_.enqueue_many_copy([make(n) for n in part])

    async def one(self, kind: str, n: int) -> object:
        return await self.client_.insert(KINDS[kind](n))

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        client = AsyncClient(DSN)
        for name, kind in KINDS.items():
            _register(client, name, kind)
        await client.start([("default", CONCURRENCY or 500)])
        await stopping.wait()
        await client.shutdown()
        await client.close()


def _register(client: Any, name: str, kind: type[Any]) -> None:
    handler = ASYNC_HANDLERS[name]

    @client.task(kind)
    async def run(job: Any) -> None:
        await handler(job.args.n)


if __name__ == "__main__":
    common.main(Peer())
