"""Jobs of flows on real workers: limits hold, keys take turns, order is kept, none stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from pgqueue import App, Flow
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_pg


class Running:
    """How many jobs of each key run, and how many did at most."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_in_all = 0
        self.begun: list[tuple[str, int]] = []

    def begin(self, key: str, n: int = 0) -> None:
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        self.most_in_all = max(self.most_in_all, self.now.total())
        self.begun.append((key, n))

    def end(self, key: str) -> None:
        self.now[key] -= 1


async def test_no_limit_is_exceeded_by_several_workers(app: App, eyes: Eyes) -> None:
    running = Running()

    @app.task(flow=Flow("f", key="key", concurrency=5, key_concurrency=2))
    async def work(key: str, n: int) -> None:
        running.begin(key, n)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        running.end(key)

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(app))
        await app.aenqueue_many([work.job(f"k{n % 7}", n) for n in range(400)])
        await eventually(lambda: len(running.begun) == 400)
        await eventually(lambda: not running.now.total())
    assert len(set(running.begun)) == 400
    assert running.most_in_all <= 5
    assert max(running.most.values()) <= 2
