"""How a drain calls the function of a task: where it was called itself, and awaited on its loop.

A function without ``async`` runs in the caller's thread, in a context of its own. What has to be
awaited runs on the loop that drains; where there is none, on one that this makes. Django has a loop
of its own for that, on which the ORM's async methods use the connection of the caller's thread.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Protocol

from pgqueue.errors import ConfigError
from pgqueue.worker.run.slot import Slot

__all__ = ["Functions", "OnLoop", "WithoutLoop"]


class Functions(Protocol):
    """Calls what a task is made of. ``timeout``: in seconds; None: as long as it takes.

    ``context``: what the function sees in context variables; what it leaves there ends with it.
    """

    async def call(
        self, function: Callable[[], Any], slot: Slot, timeout: float | None, context: Context
    ) -> Any:
        """Call it, and await what it returns if that is to be awaited."""
        ...

    def close(self) -> None:
        """End what was made for it."""
        ...


class OnLoop:
    """In a drain that is awaited."""

    async def call(
        self, function: Callable[[], Any], slot: Slot, timeout: float | None, context: Context
    ) -> Any:
        result = _in_this_thread(function, context, slot, timeout)
        if not inspect.isawaitable(result):
            return result
        awaited = _awaited(result, slot, timeout)
        return _given(await asyncio.get_running_loop().create_task(awaited, context=context))

    def close(self) -> None:
        pass


class WithoutLoop:
    """In a drain that blocks."""

    def __init__(self, driver: str) -> None:
        self._driver = driver
        self._runner: asyncio.Runner | None = None

    async def call(
        self, function: Callable[[], Any], slot: Slot, timeout: float | None, context: Context
    ) -> Any:
        result = _in_this_thread(function, context, slot, timeout)
        if not inspect.isawaitable(result):
            return result
        awaited = _awaited(result, slot, timeout)
        if _loop_runs():
            awaited.close()
            raise ConfigError(
                "this task is async, and drain() was called where an event loop runs: "
                "lend an asynchronous connection, and write: await adrain()"
            )
        if self._driver == "django":
            sync: Any = importlib.import_module("asgiref.sync")
            return _given(context.run(sync.async_to_sync(_wrapped), awaited))
        if self._runner is None:
            self._runner = asyncio.Runner()
        return _given(self._runner.run(awaited, context=context))

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


async def _wrapped(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


_Ended = tuple[Any, BaseException | None]


async def _awaited(awaitable: Awaitable[Any], slot: Slot, timeout: float | None) -> _Ended:
    """Return what it came to: an exit that a task of asyncio raises would end the loop."""
    slot.task = asyncio.current_task()
    if timeout is not None:
        slot.timer = asyncio.get_running_loop().call_later(timeout, slot.time_out)
    try:
        return await awaitable, None
    except BaseException as exc:
        return None, exc


def _given(ended: _Ended) -> Any:
    result, error = ended
    if error is not None:
        raise error
    return result


def _in_this_thread(
    function: Callable[[], Any], context: Context, slot: Slot, timeout: float | None
) -> Any:
    """Call it. One that has outlasted its time is over, whatever it returns, as in a worker."""
    timer = None if timeout is None else threading.Timer(timeout, slot.cancel, ("timeout",))
    if timer is not None:
        timer.daemon = True
        timer.start()
    # No context manager: contextlib looks into the error, which is the user's and may raise.
    try:
        result = context.run(function)
    except StopIteration as exc:  # in a coroutine it would mean another thing
        raise RuntimeError("the task raised StopIteration") from exc
    finally:
        if timer is not None:
            timer.cancel()
    if slot.why == "timeout" and not inspect.isawaitable(result):
        raise asyncio.CancelledError
    return result


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
