"""Family A, claims and recovery: a rescuer that dies, a rolling restart, retries, limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from pgqueue import App, Retry, current_job
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, Runs, nth, quick, working


async def lose(eyes: Eyes, job_id: int) -> int:
    """Make the job one that a worker held which died a minute ago; return that worker's id."""
    lost = 7
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues)"
        " select $1, now() - interval '1 min', now() - interval '1 min',"
        "        pg_postmaster_start_time(), 1, 1, 1, 'gone', '0', '{default}'", lost,
    )  # fmt: skip
    await eyes.sql(
        "update pgqueue.job set worker_id = $1, claim_token = 1, claimed_at = now(), attempt = 1"
        " where id = $2", lost, job_id,
    )  # fmt: skip
    return lost


@pytest.mark.past_bug(3)
async def test_a_rescuer_killed_in_mid_rescue(app: App, dsn: str, eyes: Eyes) -> None:
    """Its rescue waits for a lock when it is killed; another worker completes the rescue."""
    await eyes.sql(EFFECT)
    ran: list[int] = []

    @app.task
    async def nap(seconds: float) -> None:
        job = current_job()
        ran.append(job.attempt)

    job_id = (await nap.aenqueue(0.0)).id
    lost = await lose(eyes, job_id)
    waits = (
        "select count(*) from pg_stat_activity where application_name = 'pgqueue duties'"
        " and datname = current_database() and wait_event_type = 'Lock'"
    )
    holder = await asyncpg.connect(dsn)
    async with holder.transaction():
        await holder.execute("lock table pgqueue.dead in access exclusive mode")
        with child(dsn) as rescuer:
            await eventually(lambda: eyes.value(waits), what="the rescue waits")
            rescuer.kill()
    await holder.close()
    async with working(app):
        await eyes.settled(completed=1)
    assert ran == [2]
    assert (await eyes.job(job_id))["crash_count"] == 1
    assert lost not in await eyes.worker_ids()


@pytest.mark.past_bug(5)
async def test_a_draining_worker_takes_nothing_back(dsn: str, eyes: Eyes) -> None:
    """The old worker drains when its job is rescued and run by the new one: it stays there."""
    old, new = App(dsn), App(dsn)
    seen: list[str] = []
    gate = asyncio.Event()

    def register(app: App, name: str) -> Any:
        @app.task
        async def work(n: int) -> None:
            seen.append(f"{name} {n}")
            if n == 0:
                await gate.wait()

        return work

    task = register(old, "old")
    register(new, "new")
    async with working(old, grace=20.0) as leaving:
        await task.aenqueue(0)
        await eventually(nth(seen, 1))
        stopping = asyncio.ensure_future(leaving.stop())
        await eventually(lambda: eyes.value("select stopping from pgqueue.worker"))
        former = await eyes.worker_ids()
        async with working(new):
            # Another took the draining worker for dead.
            await eyes.sql("delete from pgqueue.worker where id = any ($1)", list(former))
            await old.aenqueue_many([task.job(n) for n in range(1, 51)])
            await eventually(nth(seen, 52))
            gate.set()
            async with asyncio.timeout(60):
                await stopping
            await eyes.settled(completed=51)
    assert sorted(seen) == sorted(["old 0", *[f"new {n}" for n in range(51)]])
    assert await eyes.worker_ids() == set()
    await old.aclose()
    await new.aclose()


@pytest.mark.past_bug(22)
async def test_a_retry_may_run_elsewhere(dsn: str, eyes: Eyes) -> None:
    first, second = App(dsn), App(dsn)
    ran: list[tuple[str, int]] = []

    def register(app: App, name: str) -> Any:
        @app.task
        async def work() -> None:
            job = current_job()
            ran.append((name, job.attempt))
            if job.attempt == 1:
                raise Retry(delay=0.5)

        return work

    task = register(first, "first")
    register(second, "second")
    async with working(first):
        job_id = (await task.aenqueue()).id
        await eyes.reaches(job_id, "scheduled")
    row = await eyes.live(job_id)
    assert (row["worker_id"], row["claim_token"], row["quarantined"]) == (None, None, False)
    async with working(second):
        await eyes.settled(completed=1)
    assert ran == [("first", 1), ("second", 2)]
    await first.aclose()
    await second.aclose()


class Gauge:
    """How many run at the same time, and the most that ever did."""

    def __init__(self) -> None:
        self.now = self.most = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield
        finally:
            self.now -= 1


@pytest.mark.past_bug(26)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_batch_never_runs_above_the_concurrency(dsn: str, eyes: Eyes, kind: str) -> None:
    """A worker claims far more than it runs at a time; each of three keeps to its own three."""
    apps, gauges, runs = [App(dsn) for _ in range(3)], [Gauge() for _ in range(3)], Runs()

    def register(app: App, gauge: Gauge) -> Any:
        if kind == "async":

            @app.task(name="work")
            async def on_the_loop(n: int) -> None:
                with gauge.one(), runs.of(n):
                    await asyncio.sleep(0.002)

            return on_the_loop

        @app.task(name="work")
        def in_a_thread(n: int) -> None:
            with gauge.one(), runs.of(n):
                time.sleep(0.002)

        return in_a_thread

    tasks = [register(app, gauge) for app, gauge in zip(apps, gauges, strict=True)]
    await apps[0].aenqueue_many([tasks[0].job(n) for n in range(1_500)])
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(working(a, concurrency=3)) for a in apps]
        await eyes.settled(completed=1_500)
        batches = [w.statistics().claimed / w.statistics().claims for w in workers]
    assert max(batches) > 3, "no batch was larger than the concurrency"
    assert max(gauge.most for gauge in gauges) == 3
    assert not runs.twice()
    for app in apps:
        await app.aclose()


@pytest.mark.past_bug(25)
async def test_a_retry_that_lands_last_is_processed_by_whoever_serves_on(
    app: App, eyes: Eyes
) -> None:
    """``max_jobs`` is the only way to run dry: it counts, and leaves what it did not take."""
    from pgqueue import Worker

    @app.task(max_attempts=3)
    async def work() -> None:
        job = current_job()
        if job.attempt == 1:
            raise Retry(delay=0.0)

    await app.aenqueue_many([work.job()] * 3)
    async with asyncio.timeout(60):
        await Worker(app, **quick(max_jobs=3)).run()
    assert sum((await eyes.states()).values()) == 3
    assert not await eyes.value("select count(*) from pgqueue.job where worker_id is not null")
    async with working(app):
        await eyes.settled(completed=3)


@pytest.mark.past_bug(8)
async def test_the_only_slot_is_free_after_a_crash(dsn: str, eyes: Eyes) -> None:
    """Concurrency is counted by each process alone: nothing stored has to be released."""
    await eyes.sql(EFFECT)
    app = app_of(dsn)
    with child(dsn, concurrency=1) as victim:
        await victim.ready(eyes)
        await app.tasks.get("nap").aenqueue(0.2)
        await eventually(lambda: eyes.value("select count(*) from effect where what = 'began'"))
        victim.kill()
    async with working(app, concurrency=1):
        await app.tasks.get("nap").aenqueue(0.0)
        await eyes.settled(completed=2)
    await app.aclose()
