"""RQ with its usual worker, which forks for each job."""

from __future__ import annotations

from collections.abc import Sequence

import common
from common import Enqueue, marks
from redis import Redis
from rq import Queue, Worker


def noop(n: int) -> None:
    marks.hit(n)


class Peer:
    async def open(self) -> None:
        self.queue = Queue(connection=Redis.from_url(common.DSN))

    async def close(self) -> None: ...
    async def install(self) -> None: ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        del kind
        jobs = [Queue.prepare_data("use_rq.noop", (n,), result_ttl=0) for n in numbers]
        for start in range(0, len(jobs), 1000):
            self.queue.enqueue_many(jobs[start : start + 1000])

    async def one(self, kind: str, n: int) -> object:
        del kind
        return self.queue.enqueue("use_rq.noop", n, result_ttl=0)

    async def client(self, variant: str) -> Enqueue:
        del variant
        return self.one

    def work(self) -> None:
        Worker(["default"], connection=Redis.from_url(common.DSN)).work(logging_level="ERROR")


if __name__ == "__main__":
    common.main(Peer())
