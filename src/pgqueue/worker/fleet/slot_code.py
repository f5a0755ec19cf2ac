"""The code of users that gives the arguments of slots, each call in a thread of its own.

It may block, and it may never return: heartbeats, and the end of the worker, do not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["call_apart"]

T = TypeVar("T")


async def call_apart(call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises. Cancelled, it is left to itself."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = call()
        except Exception as exc:
            error = exc
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            return  # the worker has ended

    threading.Thread(target=run, name="pgqueue-schedule", daemon=True).start()
    return await answer
