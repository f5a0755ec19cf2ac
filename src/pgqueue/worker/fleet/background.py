"""The tasks of one loop that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["AGAIN_AFTER", "Background", "on_error"]

log = logging.getLogger("pgqueue.worker")

AGAIN_AFTER = 1.0
"""Seconds until what ended by an error that nobody expected begins again."""


class Background:
    """Keeps tasks until they end, and logs the errors that end them. Used on one loop alone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin; the task is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    async def cancel(self, seconds: float) -> None:
        """Cancel all, and wait for their end for so many seconds."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a duty failed", exc_info=error)


def on_error(error: Exception) -> float:
    """Log what ended a work; return the seconds until that begins again."""
    log.error("a duty failed; it begins again", exc_info=error)
    return AGAIN_AFTER
