"""A job of low priority behind a stream of higher ones that never ends, on a real worker."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pgqueue import App
from pgqueue.worker.timings import TIMINGS, AgeTimings
from tests.worker.support import Eyes, working

pytestmark = [pytest.mark.one_pg, pytest.mark.one_turn]

SOON = dataclasses.replace(
    TIMINGS, plan=dataclasses.replace(TIMINGS.plan, ages=AgeTimings(after=0.0, every=8))
)


async def test_a_job_of_the_last_priority_runs_behind_an_endless_stream(
    app: App, eyes: Eyes
) -> None:
    stopped = asyncio.Event()

    @app.task(priority=0)
    async def again() -> None:
        # As many jobs as before are there whenever a claim looks.
        if not stopped.is_set():
            await again.aenqueue()

    @app.task(priority=9)
    async def last() -> None: ...

    await app.aenqueue_many([again.job() for _ in range(300)])
    job = await last.aenqueue()
    async with working(app, concurrency=4, timings=SOON, max_prefetch=8):
        await eyes.reaches(job.id, "completed")
        stopped.set()
