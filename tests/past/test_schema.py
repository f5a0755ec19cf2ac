"""Family I, schema: a schema that grows under running workers."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue import App, Backoff, Discard, SchemaError, current_job
from pgqueue.db import migrate
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, Runs, nth, working

# What a migration that breaks nothing does: columns that are null or have a default, an index.
STEPS = (
    "alter table pgqueue.job add column later text",
    "alter table pgqueue.job add column counted integer not null default 7",
    "alter table pgqueue.history add column later text",
    "alter table pgqueue.dead add column later text, add column counted integer default 7",
    "alter table pgqueue.worker add column later jsonb",
    "alter table pgqueue.queue add column most integer",
    "create index job_later on pgqueue.job (later) where later is not null",
    "insert into pgqueue.migration (version, name, breaking) values ($1, 'later', false)",
)


@pytest.mark.past_bug(125)
async def test_old_workers_on_a_newer_schema(dsn: str, eyes: Eyes) -> None:
    """Two workers and a producer go on while a migration that breaks nothing is applied.

    For the ten minutes of a deployment: a statement of the migration after every 100 jobs.
    """
    apps = [App(dsn) for _ in range(2)]
    runs = Runs()
    for app in apps:

        @app.task(max_attempts=2, retry=Backoff(base=0.0))
        async def work(n: int) -> None:
            job = current_job()
            with runs.of((job.id, job.attempt)):
                await asyncio.sleep(0)
                if n % 10 == 1 and job.attempt == 1:
                    raise ValueError("once")
                if n % 10 == 2:
                    raise ValueError("always")

    task = apps[0].tasks.get("work")
    total = 0
    async with working(apps[0]), working(apps[1]):
        for step in STEPS:
            await apps[0].aenqueue_many([task.job(total + n) for n in range(100)])
            total += 100
            args = [migrate.known()[-1].version + 1] if "$1" in step else []
            await eyes.sql(step, *args)
            await task.using(delay=0.05).aenqueue(total + 13)
            await eventually(lambda t=total: len(runs.seen) >= t)
            total += 10
        dead = len(STEPS) * 10
        await eyes.settled(completed=len(STEPS) * 101 - dead, dead=dead)
    assert not runs.twice()
    # New processes look at the version first, and find that they can work with it.
    async with App(dsn) as late:
        late.task(name="work")(task.function)
        assert (await late.aredrive(queue="default")).redriven == dead
        async with working(late):
            await late.aenqueue("work", {"n": 9_000})
            await eyes.settled(completed=len(STEPS) * 101 - dead + 1, dead=dead)
    for app in apps:
        await app.aclose()


BREAKS = (
    "alter table pgqueue.job rename column position to place",
    "alter table pgqueue.job rename column claim_token to receipt",
    "alter table pgqueue.history rename column finished_at to ended_at",
    "alter table pgqueue.dead rename column reason to cause",
)
MENDS = (
    "alter table pgqueue.job rename column place to position",
    "alter table pgqueue.job rename column receipt to claim_token",
    "alter table pgqueue.history rename column ended_at to finished_at",
    "alter table pgqueue.dead rename column cause to reason",
)


@pytest.mark.past_bug(125)
async def test_a_breaking_migration_under_a_running_worker(
    app: App, dsn: str, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """It can neither claim nor write, and says so; what it ran is kept, and nothing runs twice.

    Once it is taken back, all of that is written. New workers are refused meanwhile.
    """
    runs = Runs()
    gate = asyncio.Event()

    @app.task(retry=Backoff(base=0.0))
    async def work(n: int) -> None:
        job = current_job()
        with runs.of((n, job.attempt)):
            if n < 3 and job.attempt == 1:
                await gate.wait()
            if n == 1 and job.attempt == 1:
                raise ValueError("once")
            if n == 2:
                raise Discard("no")

    newer = migrate.known()[-1].version + 1
    async with working(app, lease=60.0, heartbeat=0.3) as worker:
        await app.aenqueue_many([work.job(n) for n in range(3)])
        await eventually(nth(runs.seen, 3))
        for step in BREAKS:
            await eyes.sql(step)
        await eyes.sql("insert into pgqueue.migration values ($1, 'later', true)", newer)
        async with App(dsn) as late:
            late.task(name="work")(work.function)
            with pytest.raises(SchemaError, match="cannot work with; upgrade with"):
                async with working(late):
                    pass
        gate.set()
        await eventually(lambda: worker.statistics().unwritten == 3)
        await eventually(lambda: "does not exist" in caplog.text)
        for step in MENDS:
            await eyes.sql(step)
        await eyes.sql("delete from pgqueue.migration where version = $1", newer)
        await app.aenqueue("work", {"n": 3})
        await eyes.settled(completed=3, dead=1)
    assert sorted(runs.seen) == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1)]
