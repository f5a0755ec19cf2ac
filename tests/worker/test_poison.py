"""What user code can raise: each ends its own job, and touches no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App, Backoff, Worker, current_job
from pgqueue.worker.running_jobs import RunningJobs
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, quick, working

ROUTES = ["direct", "pgbouncer"]


class Rude(BaseException):
    pass


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RudeText(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__


class OddText(Exception):
    def __str__(self) -> Any:
        return 7  # noqa: PLE0307


class OddClass(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__"):
            raise SystemExit(2)
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=OddClass):
    pass


class Liar(Exception):
    @property
    def __class__(self) -> Any:
        raise KeyboardInterrupt


def _recursive() -> BaseException:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def _deep() -> BaseException:
    error: BaseException = ValueError("innermost")
    for n in range(5_000):
        outer = ValueError(f"number {n}")
        outer.__context__ = error
        error = outer
    return error


def _half_made_snooze() -> BaseException:
    from pgqueue import Snooze

    return Snooze.__new__(Snooze)


ERRORS: dict[str, Any] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "BaseException": lambda: Rude("rude"),
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "TimeoutError": TimeoutError,
    "no text": NoText,
    "rude text": RudeText,
    "odd text": OddText,
    "nameless": Nameless,
    "liar": Liar,
    "NUL": lambda: ValueError("a\0b"),
    "surrogates": lambda: ValueError("\ud800 \udfff"),
    "50 MB": lambda: ValueError("x" * 50_000_000),
    "group": lambda: ExceptionGroup("many", [ValueError(str(n)) for n in range(10_000)]),
    "rude group": lambda: BaseExceptionGroup("rude", [KeyboardInterrupt(), NoText()]),
    "recursive cause": _recursive,
    "deep context": _deep,
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "half-made Snooze": _half_made_snooze,
    "AssertionError": AssertionError,
}


@pytest.mark.past_bug(98)
@pytest.mark.fault("F4", "F37")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_whatever_is_raised(app: App, eyes: Eyes, kind: str) -> None:
    @app.task(max_attempts=1)
    async def on_the_loop(name: str) -> None:
        await asyncio.sleep(0)
        raise ERRORS[name]()

    @app.task(max_attempts=1)
    def in_a_thread(name: str) -> None:
        raise ERRORS[name]()

    @app.task(max_attempts=1)
    async def neighbour() -> None:
        await asyncio.sleep(0.01)

    raising = on_the_loop if kind == "async" else in_a_thread
    jobs = [job for name in ERRORS for job in (raising.job(name), neighbour.job())]
    ids = [e.id for e in await app.aenqueue_many(jobs)]
    async with working(app, concurrency=8) as worker:
        await eyes.settled(dead=len(ERRORS), completed=len(ERRORS))
        assert worker.statistics().dead == len(ERRORS)
    for name, job_id in zip(ERRORS, ids[::2], strict=True):
        (error,) = await eyes.errors(job_id)
        assert error["type"], name
        assert sum(len(str(part)) for part in error.values()) < 30_000, name


@pytest.mark.fault("F4")
async def test_a_task_may_raise_before_its_first_await(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def fail(name: str) -> None:
        raise ERRORS[name]()

    await app.aenqueue_many([fail.job(name) for name in ERRORS])
    async with working(app, concurrency=1):
        await eyes.settled(dead=len(ERRORS))


class Unprintable:
    def __repr__(self) -> str:
        raise SystemExit(1)

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise KeyboardInterrupt

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.past_bug(97)
async def test_whatever_is_returned_is_a_success(app: App, eyes: Eyes) -> None:
    values: dict[str, Any] = {
        "object": Unprintable(), "class": Unprintable, "error": ValueError("returned"),
        "nan": float("nan"), "bytes": b"\0", "lambda": lambda: 1,
    }  # fmt: skip

    @app.task
    async def on_the_loop(name: str) -> Any:
        return values[name]

    @app.task
    def in_a_thread(name: str) -> Any:
        return values[name]

    await app.aenqueue_many([t.job(name) for name in values for t in (on_the_loop, in_a_thread)])
    async with working(app):
        await eyes.settled(completed=2 * len(values))


async def test_context_variables_that_cannot_be_compared(app: App, eyes: Eyes) -> None:
    import contextvars

    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    variable.set(Unprintable())

    @app.task
    async def put() -> None:
        variable.set(Unprintable())

    await app.aenqueue_many([put.job() for _ in range(20)])
    async with working(app, concurrency=2):
        await eyes.settled(completed=20)


@pytest.mark.fault("F35")
async def test_the_board_tells_this_claim_of_a_job_from_a_former_one(app: App, eyes: Eyes) -> None:
    """It ran, failed, is claimed anew and waits its turn: nobody may say that it has begun."""
    gates = {name: asyncio.Event() for name in ("first", "second", "holds")}
    began: list[str] = []

    @app.task(retry=Backoff(base=3600.0))
    async def work(name: str) -> None:
        job = current_job()
        began.append(name)
        await gates[name].wait()
        if name == "first" and job.attempt == 1:
            raise ValueError("once")

    worker = Worker(app, **quick(concurrency=2, lease=30.0))
    running_jobs = RunningJobs.private(2)
    running = asyncio.create_task(worker.run(running_jobs=running_jobs))
    await eventually(lambda: worker.is_running)
    try:
        # Each in a place of its own, and that of the second is the one to be taken next.
        first = (await work.aenqueue("first")).id
        await eventually(nth(began, 1))
        second = (await work.aenqueue("second")).id
        await eventually(nth(began, 2))
        gates["first"].set()
        await eyes.reaches(first, "scheduled")
        gates["second"].set()
        await eyes.reaches(second, "completed")
        holds = (await work.using(delay=3600).aenqueue("holds")).id
        await eyes.sql("update pgqueue.job set crash_count = 2")  # such run one at a time
        await app.aretry(holds)
        await eventually(nth(began, 3))
        await app.aretry(first)
        await eyes.reaches(first, "running")
        tokens = {row["id"]: row["claim_token"] for row in await eyes.sql("table pgqueue.job")}
        assert {job_id for job_id, _ in running_jobs.read()} == {first, holds}
        assert (holds, tokens[holds]) in running_jobs.read()
        assert (first, tokens[first]) not in running_jobs.read()
        gates["holds"].set()
        await eyes.settled(completed=3)
    finally:
        await worker.stop()
        await running
    assert began == ["first", "second", "holds", "first"]
