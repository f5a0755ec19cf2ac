"""Tasks without async have a limit of their own, beside which async ones go on."""

from __future__ import annotations

import asyncio
import threading
from types import CoroutineType
from typing import Any

import pytest

from pgqueue import App, ConfigError, Worker
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_pg


class Crowd:
    """Counts who is inside at the same time; a gate keeps them there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.through = 0
        self.gate = threading.Event()

    def __call__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.gate.wait()
        with self.lock:
            self.inside -= 1
            self.through += 1


def inside(task: asyncio.Task[Any] | None, function: str) -> bool:
    """True if this is one of the coroutines that the task waits in."""
    step: Any = task and task.get_coro()
    while isinstance(step, CoroutineType) and step.cr_code.co_name != function:
        step = step.cr_await
    return isinstance(step, CoroutineType)


async def test_a_backlog_of_sync_jobs_does_not_keep_async_ones_waiting(
    app: App, eyes: Eyes
) -> None:
    crowd = Crowd()
    done: list[int] = []

    @app.task
    def slow() -> None:
        crowd()

    @app.task
    async def quick(n: int) -> None:
        done.append(n)

    await app.aenqueue_many([slow.job() for _ in range(500)])
    async with working(app, concurrency=20, threads=4) as worker:
        await eventually(lambda: crowd.inside == 4)
        await app.aenqueue_many([quick.job(n) for n in range(300)])
        await eventually(lambda: len(done) == 300)
        claimed = await eyes.value(
            "select count(*) from pgqueue.job where worker_id is not null and task = 'slow'"
        )
        assert claimed == 4, "the others are for workers with free threads"
        assert not worker.machines.claimer.takes_jobs
        crowd.gate.set()
        await eyes.settled(completed=800)
    assert crowd.most == 4
    assert done == sorted(done)


async def test_another_worker_takes_the_jobs_for_which_there_is_no_thread_here(
    app: App, eyes: Eyes
) -> None:
    crowd = Crowd()

    @app.task
    def slow() -> None:
        crowd()

    @app.task
    async def quick() -> None: ...

    async with working(app, threads=2), working(app, threads=3):
        await app.aenqueue_many([slow.job() for _ in range(10)])
        await eventually(lambda: crowd.inside == 5)
        crowd.gate.set()
        await eyes.settled(completed=10)
    assert crowd.most == 5


async def test_a_job_that_comes_while_no_thread_is_free_begins_once_there_is_one(
    app: App, eyes: Eyes
) -> None:
    """It was announced while nobody could take it: the end of a job is the reason to look.

    No other reason is left by then: no poll, no notification, and no look that was to come.
    """
    crowd = Crowd()

    @app.task
    def slow() -> None:
        crowd()

    @app.task
    async def quick() -> None: ...

    async with working(app, threads=1, poll_interval=600.0) as worker:
        claimer = worker.machines.claimer
        await slow.aenqueue()
        await eventually(lambda: crowd.inside == 1)
        for _ in range(5):
            await slow.aenqueue()
            await eyes.reaches((await quick.aenqueue()).id, "completed")
        (state,) = claimer.states.values()
        await eventually(
            lambda: inside(claimer.task, "_wait_bell") and not (state.owed or state.looks)
        )
        assert claimer.plan.scope.left == {"default"}
        crowd.gate.set()
        await eyes.settled(completed=11)
    assert crowd.most == 1


async def test_sync_jobs_of_a_mixed_app_are_claimed_ahead_when_they_are_short(
    app: App, eyes: Eyes
) -> None:
    @app.task
    def nothing() -> None: ...

    @app.task
    async def quick() -> None: ...

    jobs = [task.job() for _ in range(1500) for task in (nothing, quick)]
    await app.aenqueue_many(jobs)
    async with working(app, concurrency=50, threads=4) as worker:
        await eyes.settled(completed=3000)
        assert worker.statistics().claims < 400


async def test_what_waits_for_a_thread_is_released_at_a_stop(app: App, eyes: Eyes) -> None:
    crowd = Crowd()

    @app.task
    def turns_slow(n: int) -> None:
        if n >= 400:
            crowd()

    @app.task
    async def quick() -> None: ...

    await app.aenqueue_many([turns_slow.job(n) for n in range(600)])
    async with working(app, concurrency=20, threads=4) as worker:
        await eventually(lambda: crowd.inside == 4)
        stopping = asyncio.create_task(worker.stop())
        await eventually(lambda: worker.machines.claimer.is_stopping)
        crowd.gate.set()
        await stopping
    states = await eyes.states()
    assert set(states) == {"completed", "pending"}
    assert states.total() == 600
    assert await eyes.value("select max(attempt) from pgqueue.job") == 0


async def test_a_worker_of_sync_tasks_alone_has_no_more_slots_than_threads(
    app: App, eyes: Eyes
) -> None:
    crowd = Crowd()

    @app.task
    def slow() -> None:
        crowd()

    async with working(app, concurrency=50, threads=3) as worker:
        await app.aenqueue_many([slow.job() for _ in range(20)])
        await eventually(lambda: crowd.inside == 3)
        assert len(worker.machines.runner.slots) == 3
        crowd.gate.set()
        await eyes.settled(completed=20)
    assert crowd.most == 3


def test_threads_are_checked() -> None:
    app = App("postgresql://nowhere.invalid/none")
    assert Worker(app).settings.threads == 16
    with pytest.raises(ConfigError, match="threads must be from 1 to 10000, got 0"):
        Worker(app, threads=0)


async def test_a_function_without_async_that_returns_a_coroutine_runs_to_its_end(
    app: App, eyes: Eyes
) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)

    @app.task
    def outer() -> object:
        return inner()

    @app.task
    async def quick() -> None: ...

    await app.aenqueue_many([outer.job() for _ in range(20)])
    async with working(app, threads=2):
        await eyes.settled(completed=20)
