"""Waits until a worker has nothing to do: what is idle is decided by the database (is_idle.sql)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.errors import PgQueueError
from pgqueue.worker.timings import IdleTimings

__all__ = ["wait_idle"]

log = logging.getLogger("pgqueue.worker")


async def wait_idle(
    *,
    wait_quiet: Callable[[], Awaitable[object]],
    is_idle: Callable[[], Awaitable[bool]],
    timings: IdleTimings,
) -> None:
    """Return once ``is_idle`` says so, which is asked while no job runs here.

    ``wait_quiet`` returns when no job runs here. A database that does not answer is asked again.
    """
    retry = RetryDelay(timings.first, timings.most)
    away = False
    while True:
        await wait_quiet()
        try:
            if await is_idle():
                return
            away = False
        except PgQueueError as exc:
            if not away:
                away = True
                log.warning("whether the queues are empty cannot be asked now: %s", exc)
        await asyncio.sleep(retry.delay())
