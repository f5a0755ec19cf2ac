"""The loop of a machine: one step after the other, whatever they raise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

__all__ = ["first_of", "keep_up"]

_UNSAID = 1.0


def _for_ever() -> bool:
    return True


async def keep_up(
    step: Callable[[], Awaitable[object]],
    on_error: Callable[[Exception], float],
    *,
    going: Callable[[], bool] = _for_ever,
) -> None:
    """Do a step again and again while ``going()``. To be run in a task of its own.

    ``on_error``: called with what a step raises; returns the seconds until the next step.
    """
    own = asyncio.current_task()
    while going():
        try:
            await step()
        except Exception as exc:
            if asyncio.current_task() is not own:
                # The loop was closed before this task ended, and the garbage collector closes it
                # from within another one. A timeout that is set now would cancel that.
                raise
            seconds = _UNSAID
            with contextlib.suppress(Exception):  # it logs, as the user has set it up
                seconds = on_error(exc)
            await asyncio.sleep(seconds)


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
