"""Celery over Redis: results ignored, prefetch on, gossip and heartbeats off."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import common
from celery import Celery
from common import Enqueue, marks

app = Celery("use_celery", broker=common.DSN)
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=128,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task
def noop(n: int) -> None:
    marks.hit(n)


class Peer:
    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        del kind
        with app.producer_pool.acquire(block=True) as producer:
            for n in numbers:
                noop.apply_async((n,), producer=producer)

    async def one(self, kind: str, n: int) -> object:
        del kind
        return noop.delay(n)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        celery = os.path.join(os.path.dirname(sys.executable), "celery")
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
        os.execv(
            celery,
            [celery, "-A", "use_celery", "worker", "-c", "1", "-n", f"w{os.getpid()}", *quiet],
        )


if __name__ == "__main__":
    common.main(Peer())
