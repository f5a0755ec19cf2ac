"""What is said where a queue is full, and how a call waits for room."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pgqueue.config import check_seconds
from pgqueue.errors import QueueFull
from pgqueue.job import NewJob

__all__ = ["Wait", "apatient", "check_wait", "full", "patient", "pauses", "question"]

T = TypeVar("T")
Wait = float | timedelta | None
"""Seconds, or a timedelta, for which an enqueue waits for room; None: not at all."""

_FIRST, _LONGEST = 0.05, 1.0
_ASKED = ("queue", "flow", "flow_key", "delay", "run_at")


def question(jobs: Sequence[NewJob]) -> str:
    """Return the documents of the jobs as find_full wants them."""
    return json.dumps(
        [{name: job.options[name] for name in _ASKED if name in job.options} for job in jobs]
    )


def full(rows: Sequence[Any], job: NewJob) -> QueueFull:
    """Return the error for what find_full answered; ``job``: one that was refused."""
    if not rows:  # there was none a moment ago
        return QueueFull(job.options.get("queue", "default"), None, None)
    queue, flow, key, depth, most = rows[0]
    return QueueFull(queue, depth, most, flow=flow, key=key)


def pauses(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Yield how long to wait before each next try, until so many seconds have gone by."""
    until, longest = clock() + seconds, _FIRST
    while (left := until - clock()) > 0:
        yield min(left, longest * random.uniform(0.5, 1.0))
        longest = min(2 * longest, _LONGEST)


def check_wait(wait: Wait) -> float | None:
    """Return the seconds of a ``wait``; ConfigError for what is none."""
    return None if wait is None else check_seconds(wait, "wait")


def _seconds(wait: Wait, connection: object | None) -> float:
    """Return how long to wait: not at all in somebody's transaction, which would wait as well."""
    seconds = check_wait(wait)
    return seconds if seconds is not None and connection is None else 0.0


def patient(call: Callable[[], T], wait: Wait, connection: object | None) -> T:
    """Call until there is room, for ``wait`` seconds at most."""
    for pause in pauses(_seconds(wait, connection)):
        try:
            return call()
        except QueueFull:
            time.sleep(pause)
    return call()


async def apatient(call: Callable[[], Awaitable[T]], wait: Wait, connection: object | None) -> T:
    """Do what ``patient`` does, in an event loop."""
    for pause in pauses(_seconds(wait, connection)):
        try:
            return await call()
        except QueueFull:
            await asyncio.sleep(pause)
    return await call()
