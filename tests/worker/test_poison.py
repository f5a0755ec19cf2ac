"""What user code can raise: each ends its own job, and touches no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App
from tests.worker.support import Eyes, working

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


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_past_bug_98_F4_F37_whatever_is_raised(app: App, eyes: Eyes, kind: str) -> None:
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


async def test_F4_a_task_may_raise_before_its_first_await(app: App, eyes: Eyes) -> None:
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


async def test_past_bug_97_whatever_is_returned_is_a_success(app: App, eyes: Eyes) -> None:
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
