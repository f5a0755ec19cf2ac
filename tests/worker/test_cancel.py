"""Cancel requests, in listen mode and in poll mode."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pgqueue import App, Backoff, current_job
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

ROUTES = ["direct", "pgbouncer"]

MODES = pytest.mark.parametrize("listen", [True, False], ids=["listen", "poll"])


@pytest.fixture
def mode(route: str, listen: bool) -> None:
    if listen and route == "pgbouncer":
        pytest.skip("there is no listening through a pooler")


@pytest.mark.past_bug(105)
@MODES
@pytest.mark.usefixtures("mode")
async def test_a_running_job_is_stopped_in_time(app: App, eyes: Eyes, listen: bool) -> None:
    ended = asyncio.Event()
    started: list[int] = []

    @app.task
    async def forever() -> None:
        started.append(1)
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    job_id = (await forever.aenqueue()).id
    # Who listens is told: its next heartbeat is minutes away.
    seldom = {"lease": 1200.0, "heartbeat": 300.0} if listen else {}
    async with working(app, listen=listen, **seldom):
        await eventually(nth(started, 1))
        (result,) = await app.acancel(job_id)
        assert result.state == "requested"
        row = await eyes.reaches(job_id, "cancelled")
        assert ended.is_set()
        assert row["attempt"] == 1
        assert not (await app.acancel(job_id))[0].changed


@pytest.mark.past_bug(105)
@MODES
@pytest.mark.usefixtures("mode")
async def test_without_being_told(app: App, eyes: Eyes, listen: bool) -> None:
    started: list[int] = []

    @app.task
    async def forever() -> None:
        started.append(1)
        await asyncio.sleep(60)

    job_id = (await forever.aenqueue()).id
    async with working(app, listen=listen):
        await eventually(nth(started, 1))
        await eyes.sql("update pgqueue.job set cancel_requested = true where id = $1", job_id)
        await eyes.reaches(job_id, "cancelled")


async def test_a_job_that_waits_never_starts(app: App, eyes: Eyes) -> None:
    ran: list[str] = []

    @app.task
    async def note(name: str) -> None:
        ran.append(name)

    @app.task(queue="other")
    async def other() -> None: ...

    pending = (await note.aenqueue("pending")).id
    scheduled = (await note.using(delay=0.4).aenqueue("scheduled")).id
    assert (await app.acancel(pending))[0].state == "cancelled"
    assert (await app.acancel(scheduled))[0].state == "cancelled"
    flagged = (await note.aenqueue("flagged")).id
    await eyes.sql("update pgqueue.job set cancel_requested = true where id = $1", flagged)
    async with working(app):
        await eyes.settled(cancelled=3)
    assert ran == []


async def test_a_claimed_job_that_waits_for_a_slot_never_starts(app: App, eyes: Eyes) -> None:
    gate = asyncio.Event()
    started: list[str] = []

    @app.task
    async def hold(name: str) -> None:
        started.append(name)
        await gate.wait()

    async with working(app, concurrency=1, max_prefetch=0) as worker:
        first = (await hold.aenqueue("first")).id
        await eventually(nth(started, 1))
        second = (await hold.aenqueue("second")).id
        await eyes.sql(
            "update pgqueue.job set worker_id = $2, claim_token = 1, attempt = 1 where id = $1",
            second, worker.machines.heartbeat_thread.worker_id,
        )  # fmt: skip
        worker.machines.runner.add(
            await eyes.sql(
                "select id, position, queue, priority, task, args::text, attempt, max_attempts,"
                " crash_count, timeout_seconds, tags, metadata, null as refused,"
                " date_part('epoch', enqueued_at) as enqueued_epoch, null::timestamptz as due_at"
                " from pgqueue.job where id = $1", second,
            ),
            1,
        )  # fmt: skip
        await app.acancel(second)
        await eyes.reaches(second, "cancelled")
        gate.set()
        await eyes.reaches(first, "completed")
    assert started == ["first"]


@pytest.mark.past_bug(106)
@pytest.mark.parametrize(
    ("how", "state"),
    [("fails", "cancelled"), ("returns", "completed"), ("goes on", "completed"),
     ("raises Cancelled late", "cancelled")],
)  # fmt: skip
async def test_what_a_task_makes_of_being_cancelled(
    app: App, eyes: Eyes, how: str, state: str
) -> None:
    started: list[int] = []

    @app.task(retry=Backoff(base=0.0))
    async def stubborn() -> None:
        started.append(1)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            match how:
                case "fails":
                    raise ValueError("while it was told to stop") from None
                case "returns":
                    return
                case "goes on":
                    await asyncio.sleep(0.1)
                case _:
                    await asyncio.sleep(0.1)
                    raise

    job_id = (await stubborn.aenqueue()).id
    async with working(app):
        await eventually(nth(started, 1))
        await app.acancel(job_id)
        await eyes.reaches(job_id, state)
    assert started == [1]


@pytest.mark.past_bug(106)
async def test_asked_to_stop_while_the_failure_is_on_its_way(app: App, eyes: Eyes) -> None:
    gate = asyncio.Event()

    @app.task(retry=Backoff(base=0.0))
    async def fail() -> None:
        await gate.wait()
        raise ValueError

    @app.task(max_attempts=1)
    async def fail_at_last() -> None:
        await gate.wait()
        raise ValueError

    ids = [e.id for e in await app.aenqueue_many([fail.job(), fail_at_last.job()])]
    async with working(app, heartbeat=0.5):
        await eventually(
            lambda: eyes.value("select count(*) = 2 from pgqueue.job where worker_id is not null")
        )
        await eyes.sql("update pgqueue.job set cancel_requested = true where id = any ($1)", ids)
        gate.set()
        await eyes.settled(cancelled=2)


async def test_a_thread_sees_that_it_should_end(app: App, eyes: Eyes) -> None:
    ended = threading.Event()
    started: list[int] = []

    @app.task
    def look() -> None:
        job = current_job()
        started.append(1)
        deadline = time.monotonic() + 60
        while not job.is_cancelled and time.monotonic() < deadline:
            time.sleep(0.01)
        if job.is_cancelled:
            ended.set()

    job_id = (await look.aenqueue()).id
    async with working(app) as worker:
        await eventually(nth(started, 1))
        await app.acancel(job_id)
        await eyes.reaches(job_id, "cancelled")
        await eventually(ended.is_set)
        await eventually(lambda: worker.statistics().running == 0)
        assert worker.statistics().cancelled == 1


async def test_cancel_while_the_worker_is_lost(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    job_id = (await note.aenqueue()).id
    await eyes.sql(
        "update pgqueue.job set worker_id = 7, claim_token = 8, attempt = 1 where id = $1", job_id
    )
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues)"
        " values (7, now() - interval '1 h', now(), now(), 1, 1, 1, 'h', '0', '{default}')"
    )
    await app.acancel(job_id)
    async with working(app):
        await eyes.reaches(job_id, "cancelled")
