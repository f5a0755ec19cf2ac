"""Workers and the limits of queues: never above, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from pgqueue import App, Retry
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, has_seen_enough, working

QUEUE = "mail"


class Meter:
    """How many jobs run at once, and when each began."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.began: list[float] = []
        self.gate = asyncio.Event()

    async def run(self, seconds: float | None) -> None:
        self.began.append(time.monotonic())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if seconds is None:
                await self.gate.wait()
            else:
                await asyncio.sleep(seconds)
        finally:
            self.running -= 1


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
async def apps(dsn: str, meter: Meter) -> AsyncIterator[list[App]]:
    made: list[App] = []
    for _ in range(4):
        app = App(dsn)

        @app.task(queue=QUEUE)
        async def send(seconds: float | None = 0.0) -> None:
            await meter.run(seconds)

        @app.task(queue="other")
        async def other() -> None: ...

        made.append(app)
    yield made
    for app in made:
        await app.aclose()


async def put(app: App, count: int, seconds: float | None = 0.0) -> None:
    await app.aenqueue_many([app.job("send", {"seconds": seconds}, queue=QUEUE)] * count)


async def drained(eyes: Eyes) -> bool:
    return not await eyes.value("select count(*) from pgqueue.job")


async def test_a_limit_of_one_holds_in_one_worker(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    apps[0].queue(QUEUE, concurrency=1)
    await put(apps[0], 50)
    async with working(apps[0]):
        await eventually(lambda: drained(eyes))
    assert (meter.most, len(meter.began)) == (1, 50)
    assert await eyes.value("select max(attempt) from pgqueue.history") == 1


@pytest.mark.past_bug(77)
@pytest.mark.parametrize(("limit", "jobs"), [(1, 100), (3, 300), (25, 600)])
async def test_a_limit_holds_over_workers(
    apps: list[App], eyes: Eyes, meter: Meter, limit: int, jobs: int
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=limit)
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await put(apps[0], jobs, 0.002)
        await eventually(lambda: drained(eyes))
    assert len(meter.began) == jobs
    assert 0 < meter.most <= limit
    assert await eyes.value("select max(attempt) from pgqueue.history") == 1


async def test_a_queue_at_its_limit_is_in_no_other_queue_s_way(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=1)
    await put(apps[0], 100, None)
    async with working(apps[0], queues=[QUEUE, "other"]):
        await eventually(lambda: meter.running == 1)
        await apps[0].aenqueue_many([apps[0].job("other", queue="other")] * 200)
        await eventually(
            lambda: eyes.value("select count(*) = 200 from pgqueue.history where queue = 'other'")
        )
        assert meter.most == 1
        claimed = await eyes.value(
            "select count(*) from pgqueue.job where worker_id is not null and queue = 'mail'"
        )
        assert claimed <= 2
        meter.gate.set()
        await eventually(lambda: drained(eyes))


async def test_a_permit_goes_to_another_worker_as_soon_as_it_is_free(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=1)
    apps[1].task(queue=QUEUE, name="rare")(meter.run)
    # Who waited for a heartbeat or a poll would wait for longer than this test does.
    slow = {"lease": 3600.0, "heartbeat": 600.0, "poll_interval": 600.0}
    async with working(apps[0], **slow):
        await put(apps[0], 1, None)
        await eventually(lambda: meter.running == 1)
        async with working(apps[1], **slow):
            # A job that the first worker does not know.
            await apps[1].aenqueue("rare", {"seconds": 0.0}, queue=QUEUE)
            await eventually(
                lambda: eyes.value("select count(*) = 1 from pgqueue.permit where n = 0")
            )
            assert meter.most == 1
            meter.gate.set()
            await eventually(lambda: drained(eyes))
    assert meter.most == 1


async def test_permits_of_a_lost_worker_are_another_s_once_it_is_rescued(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=1)
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, lease_seconds,"
        " pid, host, version, queues, concurrency, kind) values (7, now(), now(),"
        " pg_postmaster_start_time(), 1.0, 1, 'gone', '0', '{mail}', 10, 0)"
    )
    await eyes.sql("insert into pgqueue.permit values ('mail', 7, 1, 1, now())")
    async with working(apps[0]) as worker:
        has_seen_enough(worker)
        await put(apps[0], 3)
        await eventually(lambda: drained(eyes))
    assert not await eyes.value("select count(*) from pgqueue.permit where worker_id = 7")
    assert meter.most == 1


async def test_a_limit_is_raised_lowered_and_lifted_while_jobs_run(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    limits = apps[0].queue_limits
    await limits.aset(QUEUE, concurrency=2)
    await put(apps[0], 30, None)
    async with working(apps[0]), working(apps[1]):
        await eventually(lambda: meter.running == 2)
        await limits.aset(QUEUE, concurrency=5)
        await eventually(lambda: meter.running == 5)
        await limits.aoff(QUEUE)
        await eventually(lambda: meter.running == 20, what="all slots run")
        await limits.aset(QUEUE, concurrency=1)
        meter.gate.set()
        await eventually(lambda: drained(eyes))
    assert len(meter.began) == 30


def excess(began: list[float], rate: float, burst: int, late: float) -> float:
    """By how many jobs the worst window is above the rate; each may be so late."""
    worst = float("-inf")
    for first in range(0, len(began), 3):
        for last in range(first, len(began)):
            span = began[last] - began[first] + late
            worst = max(worst, last - first + 1 - rate * span - burst)
    return worst


@pytest.mark.past_bug(78)
@pytest.mark.parametrize(("rate", "burst"), [(100, 10), (200, 1)])
async def test_a_rate_holds_over_workers(
    apps: list[App], eyes: Eyes, meter: Meter, rate: int, burst: int
) -> None:
    await apps[0].queue_limits.aset(QUEUE, rate=f"{rate}/s", burst=burst)
    async with working(apps[0]), working(apps[1]):
        await put(apps[0], 120)
        await eventually(lambda: drained(eyes))
    assert len(meter.began) == 120
    assert excess(meter.began, rate, burst, 0.25) <= 0
    assert await eyes.value("select max(attempt) from pgqueue.history") == 1


async def test_tasks_in_threads_and_others_share_the_limit_of_their_queue(
    dsn: str, eyes: Eyes
) -> None:
    app = App(dsn)
    app.queue(QUEUE, concurrency=2)
    running, seen = 0, []

    def note(change: int) -> None:
        nonlocal running
        running += change
        seen.append(running)

    @app.task(queue=QUEUE)
    def blocking() -> None:
        note(1)
        time.sleep(0.002)
        note(-1)

    @app.task(queue=QUEUE)
    async def other() -> None:
        note(1)
        await asyncio.sleep(0.002)
        note(-1)

    @app.task(queue="free")
    def free() -> None: ...

    await app.aenqueue_many([blocking.job(), other.job(), free.job()] * 40)
    async with working(app, threads=1):
        await eventually(lambda: drained(eyes))
    await app.aclose()
    assert len(seen) == 160
    assert max(seen) <= 2


async def test_permits_move_with_heartbeats_where_nobody_listens(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=2)
    pooled = {"listen": False, "heartbeat": 0.2, "poll_interval": 0.2}
    async with working(apps[0], **pooled), working(apps[1], **pooled):
        await put(apps[0], 60, 0.002)
        await eventually(lambda: drained(eyes))
    assert (meter.most, len(meter.began)) == (2, 60)


async def test_jobs_that_come_due_are_limited_too(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, rate="100/s", burst=5)
    jobs = [apps[0].job("send", {"seconds": 0.0}, queue=QUEUE, delay=0.2)] * 40
    await apps[0].aenqueue_many(jobs)
    async with working(apps[0]), working(apps[1]):
        await eventually(lambda: drained(eyes))
    assert len(meter.began) == 40
    assert excess(meter.began, 100, 5, 0.25) <= 0


async def test_retries_and_cancels_free_their_permits(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=1)
    app = apps[0]
    attempts = 0

    @app.task(queue=QUEUE)
    async def fails() -> None:
        nonlocal attempts
        attempts += 1
        raise Retry("once more", delay=0.01)

    failing = await fails.using(max_attempts=3).aenqueue()
    await put(app, 2, None)
    async with working(app):
        for _ in range(2):
            await eventually(lambda: meter.running == 1)
            (row,) = await eyes.sql(
                "select id from pgqueue.job where task = 'send' and worker_id is not null"
                " and not cancel_requested"
                " order by position limit 1"
            )
            await app.acancel(row["id"])
            await eventually(lambda: meter.running == 0 or len(meter.began) == 2)
        await eventually(lambda: drained(eyes))
    assert attempts == 3
    assert (await eyes.job(failing.id))["state"] == "dead"
    assert meter.most == 1


@pytest.mark.past_bug(77)
async def test_limits_cost_workers_that_wait_no_rows(
    apps: list[App], eyes: Eyes, meter: Meter
) -> None:
    await apps[0].queue_limits.aset(QUEUE, concurrency=1)
    await put(apps[0], 200, None)
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await eventually(lambda: eyes.value("select count(*) = 4 from pgqueue.permit"))
        # What the others had claimed is released.
        await eventually(lambda: eyes.value("select count(worker_id) = 1 from pgqueue.job"))
        jobs = "select md5(string_agg(xmin::text, ',' order by id)) from pgqueue.job"
        permits = "select md5(string_agg(xmin::text, ',' order by worker_id)) from pgqueue.permit"
        before = await eyes.value(jobs), await eyes.value(permits)
        heard = await eyes.value("select max(heartbeat_at) from pgqueue.worker")
        await eventually(
            lambda: eyes.value(
                "select min(heartbeat_at) > $1::timestamptz + interval '0.5 s' from pgqueue.worker",
                heard,
            )
        )
        assert (await eyes.value(jobs), await eyes.value(permits)) == before
        assert meter.most == 1
        meter.gate.set()
        await eventually(lambda: drained(eyes))
