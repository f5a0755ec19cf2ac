"""Dramatiq over Redis: one process a worker, its usual eight threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import common
import dramatiq
from common import Enqueue, marks
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=common.DSN))


@dramatiq.actor
def noop(n: int) -> None:
    marks.hit(n)


class Peer:
    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        del kind
        for n in numbers:
            noop.send(n)

    async def one(self, kind: str, n: int) -> object:
        del kind
        return noop.send(n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        program = os.path.join(os.path.dirname(sys.executable), "dramatiq")
        os.execv(program, [program, "use_dramatiq", "--processes", "1", "--threads", "8"])


if __name__ == "__main__":
    common.main(Peer())
