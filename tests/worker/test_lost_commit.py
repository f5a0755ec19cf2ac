"""A commit of ``job.transaction()`` whose answer is lost: the database is asked about it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pgqueue import App, current_job, failpoints
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn


@pytest.fixture(params=["thread", "async"])
def task(app: App, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A task that loses its connection as its commit is answered."""

    @app.task
    def settle_in_a_thread() -> None:
        job = current_job()
        with job.transaction():
            pass

    @app.task
    async def settle() -> None:
        job = current_job()
        async with job.transaction():
            pass

    thread = request.param == "thread"
    failpoints.arm(("thread_" if thread else "") + "transaction.after_commit:cut")
    yield settle_in_a_thread if thread else settle
    failpoints.disarm()


async def test_whoever_asks_leaves_no_session(app: App, eyes: Eyes, task: Any) -> None:
    before = set(await eyes.sessions())
    await asyncio.to_thread(app.close)
    job_id = (await task.aenqueue()).id
    async with working(app):
        await eyes.settled(completed=1)
        row = await eyes.job(job_id)
    assert (row["attempt"], row["errors"]) == (1, None)
    await app.aclose()

    async def are_gone() -> bool:
        return set(await eyes.sessions()) <= before

    await eventually(are_gone)
