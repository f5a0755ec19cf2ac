"""app.run_until_idle(): a real worker, and what came of the jobs."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue import App, Backoff, Snooze, SyncInAsync
from tests.worker.support import Eyes, no_tasks_left


async def test_it_returns_how_attempts_ended_and_the_errors(app: App, eyes: Eyes) -> None:
    @app.task
    async def countdown(n: int) -> None:
        if n:
            await countdown.aenqueue(n - 1)

    @app.task(max_attempts=1)
    def dies() -> None:
        raise ValueError("no")

    @app.task(retry=Backoff(base=3600))
    def fails() -> None:
        raise KeyError("x")

    @app.task
    def later() -> None:
        raise Snooze(3600)

    assert await app.run_until_idle() == {}
    await app.aenqueue_many([countdown.job(3), dies.job(), fails.job(), later.job()])
    done = await app.run_until_idle(concurrency=2)
    assert done == {"completed": 4, "dead": 1, "retried": 1, "snoozed": 1}
    errors = {one.task: one.error for one in done.failures}
    assert {name: type(error) for name, error in errors.items()} == {
        "dies": ValueError, "fails": KeyError,
    }  # fmt: skip
    assert await eyes.states() == {"completed": 4, "dead": 1, "scheduled": 2}
    await no_tasks_left()


async def test_the_form_that_blocks_is_refused_in_a_loop(app: App, eyes: Eyes) -> None:
    @app.task
    def note() -> None: ...

    with pytest.raises(SyncInAsync, match="await run_until_idle"):
        app.run_until_idle_sync()
    await note.aenqueue()
    assert await asyncio.to_thread(app.run_until_idle_sync) == {"completed": 1}
