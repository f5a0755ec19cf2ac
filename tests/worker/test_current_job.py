"""current_job(): which job the code runs for, and where it says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Annotated, Any, Optional

import pytest

from pgqueue import App, ConfigError, NotInJob, RunningJob, current_job
from tests.worker.support import Eyes, working


async def test_each_of_many_jobs_at_a_time_sees_itself(app: App, eyes: Eyes) -> None:
    seen: dict[int, set[int]] = {}
    gate = asyncio.Event()
    ready = threading.Event()

    @app.task
    async def on_the_loop(n: int) -> None:
        first = current_job().id
        await gate.wait()
        seen[n] = {first, current_job().id}

    @app.task
    def in_a_thread(n: int) -> None:
        first = current_job().id
        ready.wait(60)
        seen[n] = {first, current_job().id}

    jobs = [(on_the_loop if n % 2 else in_a_thread).job(n) for n in range(10)]
    ids = [one.id for one in await app.aenqueue_many(jobs)]
    async with working(app):
        await eyes.settled(running=10)
        gate.set()
        ready.set()
        await eyes.settled(completed=10)
    assert seen == {n: {job_id} for n, job_id in enumerate(ids)}


async def test_code_below_the_task_sees_its_job(app: App, eyes: Eyes) -> None:
    seen: dict[str, int] = {}

    def note(where: str) -> None:
        seen[where] = current_job().id

    async def anote(where: str) -> None:
        await asyncio.sleep(0)
        note(where)

    @app.task
    async def work() -> None:
        note("function")
        await anote("coroutine")
        await asyncio.to_thread(note, "to_thread")
        async with asyncio.TaskGroup() as group:
            group.create_task(anote("task group"))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, copy_context().run, note, "executor")

    @app.task
    def work_in_a_thread() -> None:
        note("thread")
        asyncio.run(anote("loop in a thread"))

    first = (await work.aenqueue()).id
    second = (await work_in_a_thread.aenqueue()).id
    async with working(app):
        await eyes.settled(completed=2)
    below = ("function", "coroutine", "to_thread", "task group", "executor")
    assert seen == {
        **dict.fromkeys(below, first),
        **dict.fromkeys(("thread", "loop in a thread"), second),
    }


async def test_what_is_left_of_a_job_never_sees_the_next_one(app: App, eyes: Eyes) -> None:
    gate = asyncio.Event()
    left: list[asyncio.Task[int]] = []

    async def linger() -> int:
        await gate.wait()
        return current_job().id

    @app.task
    async def work() -> None:
        left.append(asyncio.create_task(linger()))

    ids = [one.id for one in await app.aenqueue_many([work.job(), work.job()])]
    async with working(app, concurrency=1):
        await eyes.settled(completed=2)
        gate.set()
        assert await asyncio.gather(*left) == ids


def _said() -> str:
    with pytest.raises(NotInJob) as caught:
        current_job()
    return str(caught.value)


async def test_outside_of_a_job_the_error_says_what_to_do(app: App, eyes: Eyes) -> None:
    @app.task
    async def nothing() -> None: ...

    await nothing.aenqueue()
    async with working(app):
        await eyes.settled(completed=1)
        assert "with pgqueue.testing.running_job():" in _said()
    assert "outside of a job" in await asyncio.to_thread(_said)


def by_position(job: RunningJob, n: int) -> None: ...
def by_keyword(n: int, *, job: RunningJob) -> None: ...
def by_position_only(job: RunningJob, /) -> None: ...
def optional(n: int, job: Optional[RunningJob] = None) -> None: ...  # noqa: UP045
def or_none(n: int, job: RunningJob | None = None) -> None: ...
def annotated(job: Annotated[RunningJob, "mine"]) -> None: ...
def as_text(job: "RunningJob") -> None: ...  # noqa: UP037
def not_imported(job: pgqueue.RunningJob) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def asynchronous(job: RunningJob) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        *(by_position, by_keyword, by_position_only, optional, or_none, annotated, as_text),
        *(not_imported, asynchronous),
    ],
)
def test_a_parameter_for_the_job_is_refused_with_the_line_to_write(
    function: Callable[..., Any],
) -> None:
    for decorate in (App("postgresql://h/d").task, App("postgresql://h/d").task(queue="mail")):
        with pytest.raises(ConfigError) as caught:
            decorate(function)
        said = str(caught.value)
        assert f"{function.__name__} has a parameter 'job' for its job" in said
        assert said.endswith("\n    job = pgqueue.current_job()")


def test_what_only_looks_like_a_parameter_for_the_job_is_a_parameter() -> None:
    def work(job: int, running_job: str, jobs: list[str]) -> None: ...

    App("postgresql://h/d").task(work).job(1, "RunningJob", ["x"])
