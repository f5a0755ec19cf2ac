"""The server's clock beside the monotonic one of this machine."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

__all__ = ["clock_offset"]

_TRIES = 20


async def clock_offset(connection: asyncpg.Connection[Any]) -> float:
    """What to take from the server's clock for the monotonic time.

    It is known as well as the quickest of some answers was quick: on a busy machine one alone may
    take longer than what is measured by it.
    """
    found: list[tuple[float, float]] = []
    for _ in range(_TRIES):
        before = time.monotonic()
        now = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
        took = time.monotonic() - before
        found.append((took, now - before - took / 2))
    return min(found)[1]
