"""The loop of a machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pgqueue.worker.keep_up import keep_up


async def test_it_goes_on_after_an_error() -> None:
    errors: list[str] = []
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        raise ValueError(steps)

    def on_error(error: Exception) -> float:
        errors.append(str(error))
        return 0.0

    await keep_up(step, on_error, going=lambda: steps < 3)
    assert errors == ["1", "2", "3"]


async def test_a_cancelled_one_ends() -> None:
    async def step() -> None:
        await asyncio.sleep(3600)

    task = asyncio.create_task(keep_up(step, lambda error: 0.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_that_outlives_its_loop_cancels_nobody_elses_task() -> None:
    """The garbage collector closes it, from within whatever runs then."""

    async def step() -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        finally:
            raise RuntimeError("the event loop is closed")  # as a lock of that loop says

    async def begin() -> Coroutine[Any, Any, None]:
        left = keep_up(step, lambda error: 0.0)
        task = asyncio.create_task(left)
        await asyncio.sleep(0)
        del task
        return left

    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(begin())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore
    loop.close()

    async def somebody_elses() -> str:
        with pytest.raises(RuntimeError, match="the event loop is closed"):
            left.close()
        await asyncio.sleep(0.01)
        return "not cancelled"

    assert asyncio.run(somebody_elses()) == "not cancelled"


async def test_it_goes_on_when_the_log_raises() -> None:
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        raise ValueError(steps)

    def on_error(error: Exception) -> float:
        if steps < 2:
            raise KeyError("a filter of the user's")
        return 0.0

    await keep_up(step, on_error, going=lambda: steps < 2)
    assert steps == 2
