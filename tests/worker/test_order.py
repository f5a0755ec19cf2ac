"""One slot, one queue: jobs begin in the order of their commits, also when some are released."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App
from pgqueue.db.store import Store
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = [pytest.mark.one_pg, pytest.mark.one_turn]


async def test_jobs_released_are_not_overtaken(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a long job others are released; none that is younger begins before they are."""
    begun: list[int] = []
    going_on, asked, written = asyncio.Event(), asyncio.Event(), asyncio.Event()
    release = Store.release

    async def slow(self: Store, *args: Any) -> list[int]:
        asked.set()
        await written.wait()
        return await release(self, *args)

    @app.task
    async def note(n: int) -> None:
        begun.append(n)
        if n == 300:
            await going_on.wait()

    await app.aenqueue_many([note.job(n) for n in range(300)])
    async with working(app, concurrency=1) as worker:
        await eventually(lambda: len(begun) == 300)
        monkeypatch.setattr(Store, "release", slow)
        # While one slot runs job 300, what follows waits in this process, and in the table.
        jobs = await app.aenqueue_many([note.job(n) for n in range(300, 1500)])
        await asked.wait()
        going_on.set()
        await eventually(
            lambda: not worker.machines.runner.waits and not worker.machines.runner.running
        )
        for _ in range(10):
            await asyncio.sleep(0)  # the claimer hears that there is room
        await eventually(lambda: not worker.machines.claimer.looks.store.turn.locked())
        written.set()
        await eyes.reaches(jobs[-1].id, "completed")
    assert begun == sorted(begun)
