"""Family D, unique keys: duplicates in mid-run, and one live job a key under load."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App, Enqueued, current_job
from tests.worker.support import Eyes, Runs, working


@pytest.mark.past_bug(66)
async def test_a_duplicate_is_an_answer_and_not_an_error(app: App, eyes: Eyes) -> None:
    """A handler enqueues under its own key, over and over: it is told, and the worker lives."""
    told: list[Enqueued] = []

    @app.task
    async def again() -> None:
        job = current_job()
        told.append(await again.using(unique_key="k").aenqueue())
        told.extend(await app.aenqueue_many([again.using(unique_key="k").job()] * 2))
        assert {one.id for one in told} == {job.id}

    @app.task
    async def other() -> None: ...

    first = await again.using(unique_key="k").aenqueue()
    assert not first.duplicate
    async with working(app):
        await eyes.settled(completed=1)
        await other.aenqueue()
        await eyes.settled(completed=2)
    assert [one.duplicate for one in told] == [True] * 3
    assert {one.state for one in told} == {"running"}


@pytest.mark.past_bug(71)
async def test_a_key_is_held_by_a_constraint(dsn: str, eyes: Eyes) -> None:
    """Twelve enqueuers, 300 calls of a few keys, two workers: no error, and never two at a time.

    A mutex made of "insert where not exists" let pairs through; here the unique index decides.
    """
    apps = [App(dsn, pool_size=6) for _ in range(2)]
    runs = Runs()

    def register(app: App) -> Any:
        @app.task
        async def work(key: int) -> None:
            with runs.of(key):
                await asyncio.sleep(0.005)

        return work

    tasks = [register(app) for app in apps]
    answers: list[Enqueued] = []

    async def enqueue(n: int) -> None:
        for call in range(25):
            key = (n + call) % 3
            answers.append(await tasks[n % 2].using(unique_key=f"k{key}").aenqueue(key))

    async with working(apps[0]), working(apps[1]):
        await asyncio.gather(*[enqueue(n) for n in range(12)])
        made = {one.id for one in answers if not one.duplicate}
        await eyes.settled(completed=len(made))
    assert len(answers) == 300
    assert {one.id for one in answers} == made
    assert len(runs.seen) == len(made)
    assert not runs.overlaps
    for app in apps:
        await app.aclose()
