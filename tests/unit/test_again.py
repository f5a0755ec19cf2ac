"""What had to give way to another transaction is repeated, until its time is over."""

from __future__ import annotations

import math
from collections.abc import Iterable

import asyncpg
import pytest

from pgqueue.db.again import again
from pgqueue.db.retry_delay import RetryDelay


class Work:
    """Raises these errors, one a try, and then answers."""

    def __init__(self, errors: Iterable[Exception]) -> None:
        self.errors = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


AT_ONCE = RetryDelay(0.0, 0.0)


async def test_serialization_failures_and_deadlocks_are_repeated() -> None:
    work = Work([asyncpg.SerializationError("a"), asyncpg.DeadlockDetectedError("b")] * 20)
    assert await again(work, math.inf, retry=AT_ONCE) == "done"
    assert work.tries == 41


@pytest.mark.parametrize(
    "error",
    [asyncpg.UniqueViolationError("no"), asyncpg.LockNotAvailableError("no"), ValueError("no")],
)
async def test_nothing_else_is_repeated(error: Exception) -> None:
    work = Work([error])
    with pytest.raises(type(error)):
        await again(work, math.inf, retry=AT_ONCE)
    assert work.tries == 1


async def test_nothing_is_repeated_past_its_time() -> None:
    work = Work([asyncpg.SerializationError("no")])
    with pytest.raises(asyncpg.SerializationError):
        await again(work, -math.inf, retry=AT_ONCE)
    assert work.tries == 1
