"""A job that no attempt has begun in time is cancelled, and never runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_an_expired_job_is_cancelled_and_does_not_run(app: App, eyes: Eyes) -> None:
    ran: list[str] = []

    @app.task
    async def note(name: str) -> None:
        ran.append(name)

    late = await note.using(expires=LONG_AGO).aenqueue("late")
    in_time = await note.using(expires=timedelta(hours=1)).aenqueue("in time")
    async with working(app):
        await eyes.reaches(late.id, "cancelled")
        await eyes.reaches(in_time.id, "completed")
    assert ran == ["in time"]
    expired = await app.aget_job(late.id)
    assert expired is not None
    assert expired.has_expired
    assert expired.expires_at == LONG_AGO
    done = await app.aget_job(in_time.id)
    assert done is not None
    assert not done.has_expired


async def test_a_job_that_was_claimed_in_time_and_waits_too_long_does_not_run(
    app: App, eyes: Eyes
) -> None:
    """A worker claims ahead of free slots. What would begin too late there does not."""
    ran: list[str] = []
    going_on = asyncio.Event()

    @app.task
    async def hold() -> None:
        await going_on.wait()

    @app.task
    async def note() -> None:
        ran.append("note")

    @app.task
    async def quick() -> None: ...

    # It claims ahead once it has run some.
    await app.aenqueue_many([quick.job() for _ in range(100)])
    async with working(app, concurrency=1):
        await eyes.settled(completed=100)
        first = await hold.aenqueue()
        jobs = await app.aenqueue_many([note.using(expires=0.3).job() for _ in range(5)])
        await eventually(
            lambda: eyes.value(
                "select now() > expires_at from pgqueue.job where id = $1", jobs[0].id
            )
        )
        going_on.set()
        await eyes.reaches(first.id, "completed")
        for job in jobs:
            await eyes.reaches(job.id, "cancelled")
    assert ran == []
    found = await app.aget_job(jobs[0].id)
    assert found is not None
    assert found.has_expired
    assert found.attempt == 1


async def test_a_job_that_began_in_time_may_run_on(app: App, eyes: Eyes) -> None:
    began: list[int] = []
    hold = asyncio.Event()

    @app.task
    async def slow() -> None:
        began.append(1)
        await hold.wait()

    job = await slow.using(expires=timedelta(hours=1)).aenqueue()
    async with working(app):
        await eventually(nth(began, 1))
        await eyes.sql("update pgqueue.job set expires_at = $1 where id = $2", LONG_AGO, job.id)
        hold.set()
        await eyes.reaches(job.id, "completed")


async def test_a_retry_that_would_begin_too_late_is_cancelled(app: App, eyes: Eyes) -> None:
    began: list[int] = []

    @app.task(retry=lambda attempt, error: 0)
    async def fails() -> None:
        began.append(1)
        await eyes.sql("update pgqueue.job set expires_at = $1", LONG_AGO)
        raise ValueError

    job = await fails.using(expires=3600).aenqueue()
    async with working(app):
        await eyes.reaches(job.id, "cancelled")
    assert began == [1]
    assert len(await eyes.errors(job.id)) == 1


async def test_a_redriven_job_has_no_end(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1, expires=3600)
    async def fails() -> None:
        raise ValueError

    job = await fails.aenqueue()
    async with working(app):
        await eyes.reaches(job.id, "dead")
    await eyes.sql("update pgqueue.dead set expires_at = $1", LONG_AGO)
    await app.aredrive(job.id)
    found = await app.aget_job(job.id)
    assert found is not None
    assert found.expires_at is None


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("count", [1, 9])
async def test_each_way_in_keeps_the_end(app: App, eyes: Eyes, key: str | None, count: int) -> None:
    options = [{} if key is None else {"unique_key": f"{key}{n}"} for n in range(count)]
    jobs = [app.job("t", expires=60, **one) for one in options]
    await app.aenqueue_many(jobs)
    rows = await eyes.sql("select expires_at - enqueued_at as span from pgqueue.job")
    assert [row["span"] for row in rows] == [timedelta(seconds=60)] * count


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ('"soon"', "invalid input syntax"),
        ("true", "neither seconds nor a time"),
        ("0", "not between 0.001 seconds and 100 years"),
        ('"20000-01-01"', "not within the years 1 to 9999"),
    ],
)
async def test_sql_refuses_what_is_no_end(eyes: Eyes, expires: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        await eyes.sql(
            "select * from pgqueue.enqueue($1::text::jsonb)",
            f'{{"task": "t", "expires": {expires}}}',
        )
