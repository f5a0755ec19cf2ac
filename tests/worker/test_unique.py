"""Unique jobs while a worker runs them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgqueue import App, Debounce, Replace, Throttle, Unique
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working


async def test_calls_during_a_run_make_one_follower(app: App, eyes: Eyes) -> None:
    began: list[str] = []
    hold = asyncio.Event()

    @app.task(unique=Unique(by=[], until="started"))
    async def note(name: str) -> None:
        began.append(name)
        await hold.wait()

    async with working(app):
        first = await note.aenqueue("first")
        await eventually(nth(began, 1))
        done = [await note.using(delay=0.01).aenqueue("second") for _ in range(3)]
        assert first.id not in {one.id for one in done}
        assert not done[0].duplicate
        hold.set()
        await eyes.reaches(first.id, "completed")
        await eyes.reaches(done[0].id, "completed")
    assert began[:2] == ["first", "second"]


@pytest.mark.past_bug(64)
async def test_a_job_that_fails_again_and_again_is_not_hit_by_its_key(app: App, eyes: Eyes) -> None:
    """Its follower has the key by then, and runs beside it."""
    tried: list[str] = []

    @app.task(unique=Unique(by=[], until="started"), retry=lambda attempt, error: 0)
    async def fails(name: str) -> None:
        tried.append(name)
        await fails.using(delay=3600).aenqueue("follower")
        if tried.count(name) <= 5:
            raise ValueError(name)

    job = await fails.aenqueue("first")
    async with working(app):
        assert (await eyes.reaches(job.id, "completed"))["attempt"] == 6
    assert tried == ["first"] * 6
    assert await eyes.states() == {"completed": 1, "scheduled": 1}


async def test_starts_of_a_throttled_job_are_a_period_apart(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task(unique=Throttle(0.2, by=[]))
    async def note(n: int) -> None:
        ran.append(n)

    made: set[int] = set()
    async with working(app):
        for n in range(1000):
            made.add((await note.aenqueue(n)).id)
            if len(made) == 4:
                break
            await asyncio.sleep(0.005)
        await eyes.settled(completed=len(made))
    assert len(ran) == len(made)
    gaps = await eyes.sql(
        "select extract(epoch from claimed_at - lag(claimed_at) over (order by claimed_at)) as gap"
        " from pgqueue.history"
    )
    assert all(row["gap"] >= 0.2 for row in gaps[1:])


async def test_a_debounced_job_runs_once_with_the_last_arguments(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task(unique=Debounce(0.3, by=[]))
    async def note(n: int) -> None:
        ran.append(n)

    done = await app.aenqueue_many([note.job(n) for n in range(5)])
    async with working(app):
        await eyes.reaches(done[0].id, "completed")
    assert ran == [4]


async def test_a_ready_job_that_was_locked_while_workers_claimed_is_found(
    dsn: str, app: App, eyes: Eyes
) -> None:
    """Its position is one that the worker has passed, and the commit names it."""
    ran: list[str] = []

    @app.task
    async def note(name: str) -> None:
        ran.append(name)

    job = await note.using(unique_key="k").aenqueue("old")
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    changed = await note.using(
        unique_key="k", unique=Replace("args"), connection=connection
    ).aenqueue("new")
    assert (changed.id, changed.replaced) == (job.id, True)
    async with working(app):
        later = await note.aenqueue("later")
        await eyes.reaches(later.id, "completed")
        await transaction.commit()
        await eyes.reaches(job.id, "completed")
    assert ran == ["later", "new"]
    await connection.close()
