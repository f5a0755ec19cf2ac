"""Family F, data: what goes in is what the task gets, or is refused where it was given."""

from __future__ import annotations

import contextlib
import functools
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from pgqueue import App, PayloadError
from tests.worker.support import Eyes, working

VALUES: list[tuple[Any, Any]] = [
    (float, math.nan), (float, math.inf), (float, -math.inf), (float, 1e308), (float, 5e-324),
    (float, -0.0), (float, 1e16), (float, 2**53), (float, 2**53 + 1), (Any, math.nan),
    (Any, 1e16), (Any, 0.1), (int, 2**63), (int, -(2**200)), (int, 10**4299), (int, 10**4300),
    (Any, 10**4299), (Any, True), (Any, None), (str, ""), (str, "\0"), (str, "a\0b"),
    (str, "\\u0000"), (str, "\\\0"), (str, "\ud800"), (str, "\udfff!"), (str, "\U0010ffff"),
    (str, "\ufeff\u202e\u2028"), (Any, {"\0": 1}), (Any, {"\ud800": 1}), (Any, [["\udc00"]]),
    (bytes, b"\0\xff"), (bytes, b""), (Any, b"x"), (datetime, datetime(2024, 2, 29, 12, 0, 0, 1)),
    (datetime, datetime(1, 1, 1, tzinfo=UTC)), (datetime, datetime.max.replace(tzinfo=UTC)),
    (Any, datetime(2024, 1, 1)), (date, date(9999, 12, 31)), (time, time(23, 59, 59, 999999)),
    (timedelta, timedelta(days=-1, microseconds=1)), (timedelta, timedelta.max),
    (UUID, UUID(int=0)), (Any, UUID(int=1)), (Decimal, Decimal("1e-30")),
    (Decimal, Decimal("NaN")), (Decimal, Decimal("Infinity")), (Decimal, Decimal("1" * 60)),
    (Any, Decimal(1)), (set[int], {1, 2}), (Any, {1, 2}), (tuple[int, str], (1, "a")),
    (Any, (1, 2)), (Any, object()), (Any, print), (Any, ValueError("x")), (list[Any], [[]] * 3),
    (dict[int, str], {1: "a", -1: "b"}), (Any, {1: "a"}), (Any, {"": {"": None}}),
]  # fmt: skip


def same(given: Any, got: Any) -> bool:
    if isinstance(given, (float, Decimal)) and given != given:
        return type(got) is type(given) and got != got
    return type(got) is (float if type(given) is int and type(got) is float else type(given)) and (
        got == given
    )


@pytest.mark.past_bug(95)
async def test_a_value_returns_as_it_was_or_is_refused(app: App, eyes: Eyes) -> None:
    """Never an error at the worker: each of these is refused by the enqueue, or arrives equal."""
    got: dict[int, Any] = {}
    jobs = []
    taken: list[int] = []
    for n, (kind, value) in enumerate(VALUES):

        async def take(value: Any, n: int = n) -> None:
            got[n] = value

        take.__annotations__["value"] = kind
        task = app.task(name=f"take {n}", max_attempts=1)(take)
        with contextlib.suppress(PayloadError):
            jobs.append(task.job(value))
            taken.append(n)
    await app.aenqueue_many(jobs)
    async with working(app):
        await eyes.settled(completed=len(jobs))
    assert sorted(got) == taken
    for n in taken:
        assert same(VALUES[n][1], got[n]), (VALUES[n], got[n])
    assert 25 < len(taken) < len(VALUES) - 15


@pytest.mark.past_bug(100)
@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
async def test_an_empty_value_is_a_value(app: App, eyes: Eyes, value: Any) -> None:
    """Results are not stored yet; what holds of them one day holds of arguments now."""
    got: list[Any] = []

    @app.task
    async def take(value: Any = "default") -> Any:
        got.append(value)
        return value

    await take.aenqueue(value)
    async with working(app):
        await eyes.settled(completed=1)
    assert got == [value]
    assert type(got[0]) is type(value)


@pytest.mark.past_bug(104)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_wrapper_of_the_users_swallows_nothing(app: App, eyes: Eyes, kind: str) -> None:
    """There is no middleware between a task and its outcome; a decorator is the user's own."""

    def traced(function: Any) -> Any:
        if kind == "async":

            @functools.wraps(function)
            async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                finally:
                    seen.append("left")

            return on_the_loop

        @functools.wraps(function)
        def in_a_thread(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                seen.append("left")

        return in_a_thread

    seen: list[str] = []

    if kind == "async":

        async def fail(n: int) -> None:
            raise ValueError(n)

        task = app.task(max_attempts=1)(traced(fail))
    else:

        def fail_in_a_thread(n: int) -> None:
            raise ValueError(n)

        task = app.task(max_attempts=1)(traced(fail_in_a_thread))
    with pytest.raises(PayloadError):
        task.job("not an int")
    job_id = (await task.aenqueue(1)).id
    async with working(app):
        await eyes.reaches(job_id, "dead")
    assert seen == ["left"]
    assert [error["type"] for error in await eyes.errors(job_id)] == ["ValueError"]
