"""Repeats a transaction of ours that PostgreSQL gave up so that others could go on.

A serialization failure (40001) and a deadlock (40P01) roll the whole transaction back and say
nothing against the statement: the same again will succeed. On our own connections nobody else
could repeat it. On a connection of the caller's only the caller can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pgqueue.db.retry_delay import RetryDelay

__all__ = ["again", "gave_way"]

T = TypeVar("T")
_GAVE_WAY = frozenset({"40001", "40P01"})


def gave_way(error: BaseException) -> bool:
    """True if the transaction was rolled back in favour of another one."""
    return getattr(error, "sqlstate", None) in _GAVE_WAY


async def again(
    work: Callable[[], Awaitable[T]], until: float, *, retry: RetryDelay | None = None
) -> T:
    """Run ``work``, which is one transaction, and repeat it while it has to give way.

    ``until``: no try begins later than this, in monotonic seconds.
    """
    while True:
        try:
            return await work()
        except Exception as exc:
            if not gave_way(exc):
                raise
            retry = retry or RetryDelay(0.005, 1.0)
            wait = retry.delay()
            if time.monotonic() + wait >= until:
                raise
        await asyncio.sleep(wait)
