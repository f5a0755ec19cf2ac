"""Hooks around jobs: where they run, what they see, and that they change nothing by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from pgqueue import App, ConfigError, Discard, Retry, RunningJob, Snooze, current_job
from pgqueue.around import Around
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_pg

Calls = list[tuple[str, int, object]]


class Hooks:
    """Two hooks of each kind that note what they see."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.places: set[object] = set()
        self.results: list[object] = []
        self.errors: list[BaseException] = []

    def sync(self, name: str) -> Callable[..., Any]:
        def hook(job: RunningJob, call_next: Callable[[], Any]) -> Any:
            assert job is current_job()
            self.seen.append((f"{name} in", job.attempt))
            self.places.add(threading.current_thread())
            try:
                result = call_next()
            except BaseException as exc:
                self.errors.append(exc)
                raise
            finally:
                self.seen.append((f"{name} out", job.attempt))
            self.results.append(result)
            return result

        return hook

    def asynchronous(self, name: str) -> Callable[..., Any]:
        async def hook(job: RunningJob, call_next: Callable[[], Awaitable[Any]]) -> Any:
            assert job is current_job()
            self.seen.append((f"{name} in", job.attempt))
            self.places.add(asyncio.current_task())
            try:
                result = await call_next()
            except BaseException as exc:
                self.errors.append(exc)
                raise
            finally:
                self.seen.append((f"{name} out", job.attempt))
            self.results.append(result)
            return result

        return hook

    @property
    def all(self) -> list[Any]:
        return [
            self.sync("outer sync"), self.asynchronous("outer"),
            self.sync("inner sync"), self.asynchronous("inner"),
        ]  # fmt: skip


async def test_hooks_run_where_the_job_runs_the_first_outermost(app_dsn: str, eyes: Eyes) -> None:
    hooks, value, places = Hooks(), object(), list[object]()
    app = App(app_dsn, around=hooks.all)

    @app.task
    def in_thread() -> object:
        places.append(threading.current_thread())
        hooks.seen.append(("task", 1))
        return value

    @app.task
    async def on_loop() -> object:
        places.append(asyncio.current_task())
        hooks.seen.append(("task", 1))
        return value

    async with working(app):
        for task, kind in ((in_thread, " sync"), (on_loop, "")):
            hooks.seen.clear()
            await eyes.reaches((await task.aenqueue()).id, "completed")
            order = [f"outer{kind} in", f"inner{kind} in", "task"]
            order += [f"inner{kind} out", f"outer{kind} out"]
            assert hooks.seen == [(name, 1) for name in order]
    assert hooks.places == set(places)
    assert hooks.results == [value] * 4


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError("no"), "scheduled"),
        (Retry(delay=600), "scheduled"),
        (Snooze(600), "scheduled"),
        (Discard("done with"), "dead"),
    ],
    ids=["error", "retry", "snooze", "discard"],
)
async def test_what_a_task_raises_passes_as_it_is(
    app_dsn: str, eyes: Eyes, kind: str, error: Exception, state: str
) -> None:
    hooks = Hooks()
    app = App(app_dsn, around=hooks.all)
    if kind == "sync":

        @app.task(name="task", retry=lambda attempt, exc: 600.0)
        def task() -> None:
            raise error

    else:

        @app.task(name="task", retry=lambda attempt, exc: 600.0)
        async def task() -> None:  # type: ignore[misc]
            raise error

    async with working(app):
        job = await task.aenqueue()
        await eyes.reaches(job.id, state)
    assert hooks.errors == [error, error]
    assert all(seen is error for seen in hooks.errors)


async def test_a_cancel_passes_through_async_hooks(app_dsn: str, eyes: Eyes) -> None:
    hooks, begun = Hooks(), asyncio.Event()
    app = App(app_dsn, around=hooks.all)

    @app.task
    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with working(app):
        job = await wait.aenqueue()
        await begun.wait()
        await app.acancel(job.id)
        await eyes.reaches(job.id, "cancelled")
    assert [type(error) for error in hooks.errors] == [asyncio.CancelledError] * 2


async def test_a_hook_that_fails_fails_the_attempt(app_dsn: str, eyes: Eyes) -> None:
    called: list[int] = []

    def broken(job: RunningJob, call_next: Callable[[], Any]) -> Any:
        if job.attempt == 1:
            raise RuntimeError("the hook is broken")
        return call_next()

    app = App(app_dsn, around=[broken])

    @app.task(retry=lambda attempt, exc: 0.01)
    def task() -> None:
        called.append(current_job().attempt)

    async with working(app):
        job = await task.aenqueue()
        await eyes.reaches(job.id, "completed")
    assert called == [2]
    assert (await eyes.errors(job.id))[0]["message"] == "the hook is broken"


async def test_what_a_hook_sets_is_seen_by_its_job_alone(app_dsn: str, eyes: Eyes) -> None:
    setting: ContextVar[int] = ContextVar("setting", default=0)
    seen: dict[int, int] = {}

    async def sets(job: RunningJob, call_next: Callable[[], Awaitable[Any]]) -> Any:
        assert setting.get() == 0
        setting.set(job.id)
        return await call_next()

    app = App(app_dsn, around=[sets])

    @app.task
    async def look() -> None:
        await asyncio.sleep(0)
        seen[current_job().id] = setting.get()

    async with working(app):
        await app.aenqueue_many([look.job() for _ in range(50)])
        await eyes.settled(completed=50)
    assert all(job == value for job, value in seen.items())
    assert len(seen) == 50


async def test_a_hook_with_close_is_closed_when_the_worker_has_stopped(
    app_dsn: str, eyes: Eyes
) -> None:
    class Counting:
        closed = 0

        def __call__(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
            assert not self.closed
            return call_next()

        def close(self) -> None:
            self.closed += 1

    hook = Counting()
    app = App(app_dsn, around=[hook])

    @app.task
    def task() -> None: ...

    async with working(app):
        await eyes.reaches((await task.aenqueue()).id, "completed")
    await eventually(lambda: hook.closed == 1)


async def test_a_hook_stays_open_while_another_worker_of_the_app_runs(
    app_dsn: str, eyes: Eyes
) -> None:
    class Closing:
        closed = 0

        def __call__(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
            return call_next()

        def close(self) -> None:
            self.closed += 1

    hook = Closing()
    app = App(app_dsn, around=[hook])

    @app.task
    def task() -> None: ...

    async with working(app):
        async with working(app):
            pass
        assert not hook.closed
        await eyes.reaches((await task.aenqueue()).id, "completed")
    assert hook.closed == 1
    async with working(app):
        pass
    assert hook.closed == 2


def test_without_hooks_a_worker_calls_the_function_itself() -> None:
    app = App("postgresql://nowhere.invalid/none")
    only_sync = App("postgresql://nowhere.invalid/none", around=[Hooks().sync("one")])

    async def plain() -> None: ...

    assert app.task(plain).call is plain
    assert only_sync.task(plain).call is plain
    calls: list[int] = []
    task = only_sync.task(name="counts")(lambda: calls.append(1))
    task()
    assert calls == [1], "a call of the task is a call of the function"


def generator(job: RunningJob, call_next: Callable[[], Any]) -> Any:
    yield call_next()


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (Hooks().sync("one"), "around must be a list of hooks"),
        ("hook", "around must be a list of hooks, got 'hook'"),
        (3, "around must be a list of hooks, got 3"),
        ([3], "a hook must be a function, got 3"),
        ([[Hooks().sync("one")]], r"around holds a list, .*; write around=\[\*hooks, ...\]"),
        ([Hooks], "is a class; a hook is an object of it"),
        ([generator], "is a generator; it calls the job itself"),
        ([lambda job: None], r"does not take \(job, call_next\): too many positional arguments"),
        ([lambda job, call_next, more: None], "missing a required argument: 'more'"),
    ],
)
def test_what_is_no_hook_is_refused_at_once(hooks: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        App("postgresql://nowhere.invalid/none", around=hooks)
    with pytest.raises(ConfigError):
        Around(hooks)
