"""Wait for a condition with a deadline, which guards against a hang and measures nothing."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["PATIENCE", "eventually", "remaining", "wait_until"]

PATIENCE = 120.0

T = TypeVar("T")

_POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], T], *, timeout_s: float = PATIENCE, what: str = "") -> T:
    """Poll until ``condition()`` is true and return its value; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_late(condition, timeout_s, what, value))
        time.sleep(_POLL_SECONDS)
    return value


def remaining(things: Callable[[], list[str]], *, timeout_s: float) -> list[str]:
    """Poll until there are no such things; return those that are still there in the end."""
    deadline = time.monotonic() + timeout_s
    while (left := things()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, timeout_s: float = PATIENCE, what: str = ""
) -> T:
    """wait_until for a running event loop; the condition may be async."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_late(condition, timeout_s, what, value))
        await asyncio.sleep(_POLL_SECONDS)


def _late(condition: object, timeout_s: float, what: str, value: object) -> str:
    return f"{what or condition} did not come true within {timeout_s:g} s; last value: {value!r}"
