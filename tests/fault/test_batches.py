"""A batch whose worker is killed or stopped, whose commit gets no answer: each effect once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgqueue import App, Backoff, Worker, current_batch, failpoints
from pgqueue.worker.timings import StopTimings, Timings
from tests.harness.proxy import Proxy
from tests.harness.waiting import PATIENCE, eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, quick, working

SIZE = 4
WAIT = 2.0
DONE_ONCE = (
    "select count(*) = $1 and count(distinct job) = $1 from public.effect where what = 'done'"
)
FLAVOURS = pytest.mark.parametrize("flavour", ["async", "thread"])


class Pause:
    """Where the first call of a handler waits, in its open transaction, until it may go on.

    ``strike``: what happens there, in place of the wait.
    """

    def __init__(self, strike: Callable[[], None] | None = None) -> None:
        self.sizes: list[int] = []
        self.go_on = threading.Event()
        self._strike = strike

    def comes(self, size: int) -> bool:
        self.sizes.append(size)
        if len(self.sizes) > 1:
            return False
        if self._strike is None:
            return True
        self._strike()
        return False


def make(app: App, flavour: str, pause: Pause | None = None) -> Any:
    """A task that writes a row for each job in the transaction that completes them."""
    retry = Backoff(base=0.0)
    insert = "insert into public.effect (job, what) select pg_catalog.unnest(%s::bigint[]), 'done'"

    def ids() -> list[int]:
        return [job.id for job in current_batch().jobs]

    if flavour == "async":

        @app.task(batch=SIZE, batch_wait=WAIT, retry=retry)
        async def write(items: list[int]) -> None:
            async with current_batch().transaction() as tx:
                await tx.execute(insert % "$1", ids())
                if pause is not None and pause.comes(len(items)):
                    await asyncio.Event().wait()

        return write

    @app.task(batch=SIZE, batch_wait=WAIT, retry=retry)
    def write_in_a_thread(items: list[int]) -> None:
        with current_batch().transaction() as tx:
            tx.execute(insert, (ids(),))
            if pause is not None and pause.comes(len(items)):
                pause.go_on.wait(PATIENCE)

    return write_in_a_thread


@pytest.fixture
def armed() -> Iterator[None]:
    yield
    failpoints.disarm()


@pytest.mark.law(14)
@pytest.mark.usefixtures("armed")
@FLAVOURS
async def test_a_commit_that_gets_no_answer(app: App, eyes: Eyes, flavour: str) -> None:
    """First it was not carried out, and all run again; then it was, and no job runs again."""
    await eyes.sql(EFFECT)
    task = make(app, flavour)
    place = "transaction" if flavour == "async" else "thread_transaction"
    failpoints.arm(f"{place}.before_commit:cut,{place}.after_commit:cut")
    async with working(app) as worker:
        jobs = await app.aenqueue_many([task.job(n) for n in range(SIZE)])
        await eyes.settled(completed=SIZE)
        await eventually(lambda: worker.statistics().completed == SIZE)
    assert await eyes.value(DONE_ONCE, SIZE)
    for job in jobs:
        (error,) = await eyes.errors(job.id)
        assert (error["attempt"], (await eyes.job(job.id))["attempt"]) == (1, 2)
        assert "rolled back: its connection was lost" in error["message"]


@pytest.mark.law(13)
@FLAVOURS
async def test_a_network_that_falls_silent_in_the_block(
    proxy: Proxy, eyes: Eyes, flavour: str
) -> None:
    """The end of the block gives the connection up; all of its jobs run again."""
    await eyes.sql(EFFECT)
    app = App(proxy.dsn)
    task = make(app, flavour, Pause(proxy.blackhole))
    await app.aenqueue_many([task.job(n) for n in range(SIZE)])
    worker = Worker(app, **quick(lease=30.0, heartbeat=0.3, deadline=1.0))
    await worker.start()
    try:
        await eventually(lambda: worker.statistics().retried == SIZE)
        proxy.cut()
        proxy.heal()
        await eyes.settled(completed=SIZE)
    finally:
        proxy.cut()
        proxy.heal()
        await worker.stop()
        await app.aclose()
    assert await eyes.value(DONE_ONCE, SIZE)


@FLAVOURS
async def test_a_stop_gives_its_jobs_back_and_no_attempt_counts(
    app: App, eyes: Eyes, flavour: str
) -> None:
    """A thread goes on: what it then wants to commit is not its own any more."""
    await eyes.sql(EFFECT)
    pause = Pause()
    task = make(app, flavour, pause)
    jobs = await app.aenqueue_many([task.job(n) for n in range(SIZE)])
    briefly = Timings(stop=StopTimings(cancel=0.2))
    async with working(app, grace=0.0, timings=briefly):
        await eventually(lambda: len(pause.sizes) == 1)
    rows = await eyes.sql("select attempt, crash_count, errors, worker_id from pgqueue.job")
    assert [tuple(row) for row in rows] == [(0, 0, None, None)] * SIZE
    pause.go_on.set()
    async with working(app):
        await eyes.settled(completed=SIZE)
    assert pause.sizes == [SIZE, SIZE]
    assert await eyes.value(DONE_ONCE, SIZE)
    assert {(await eyes.job(job.id))["attempt"] for job in jobs} == {1}


@pytest.mark.alone
@pytest.mark.fault("F1")
async def test_jobs_of_a_killed_worker_come_back_each_alone(app: App, dsn: str, eyes: Eyes) -> None:
    await eyes.sql(EFFECT)
    there = "select count(*) from public.effect where what = $1"
    with child(dsn, lease=3.0, heartbeat=0.5) as victim:
        await victim.ready(eyes)
        theirs = app_of(dsn)
        jobs = await theirs.aenqueue_many([theirs.tasks.get("many").job(n) for n in range(SIZE)])
        await theirs.aclose()
        await eventually(lambda: eyes.value("select count(*) from public.effect"))
        victim.kill()
    assert await eyes.value(there, f"began {SIZE}") == 1
    assert await eyes.value(there, "done") == 0
    survivor = app_of(dsn)
    async with working(survivor, lease=3.0, heartbeat=0.5):
        await eyes.settled(completed=SIZE)
    await survivor.aclose()
    assert await eyes.value(there, "began 1") == SIZE
    assert await eyes.value(DONE_ONCE, SIZE)
    for job in jobs:
        row = await eyes.job(job.id)
        assert row["crash_count"] == 1
        assert [error["type"] for error in await eyes.errors(job.id)] == ["WorkerLost"]
