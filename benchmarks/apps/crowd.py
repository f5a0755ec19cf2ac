"""What presses a fleet: callers in a loop, a stream that outlives errors, bursts in one call.

Every job is a timed one: its number is when it was enqueued.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

__all__ = ["ROLES", "now_us"]


class Peer(Protocol):
    async def bulk(self, kind: str, numbers: Sequence[int]) -> None: ...
    def one(self, kind: str, n: int) -> Awaitable[object]: ...


def now_us() -> int:
    return time.monotonic_ns() // 1000


async def callers(peer: Peer, count: str, seconds: str) -> dict[str, Any]:
    """So many callers, each with its next job as soon as the last one is enqueued."""
    await peer.one("stamp", now_us())  # connects
    began = now_us()
    end = began + int(float(seconds) * 1e6)

    async def call() -> int:
        sent = 0
        while now_us() < end:
            await peer.one("stamp", now_us())
            sent += 1
        return sent

    sent = sum(await asyncio.gather(*(call() for _ in range(int(count)))))
    return {"sent": sent, "before": 1, "began_us": began, "seconds": (now_us() - began) / 1e6}


async def feed(peer: Peer, rate: str, seconds: str, most: str) -> dict[str, Any]:
    """Enqueue evenly at a rate. Count what fails, and leave out what is due while ``most`` wait."""
    await peer.one("stamp", now_us())
    running: set[asyncio.Task[None]] = set()
    counts = {"asked": 0, "sent": 0, "failed": 0}

    async def call() -> None:
        try:
            await peer.one("stamp", now_us())
            counts["sent"] += 1
        except Exception:
            counts["failed"] += 1

    due = began = time.monotonic()
    while due < began + float(seconds):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        counts["asked"] += 1
        if len(running) < int(most):
            task = asyncio.ensure_future(call())
            running.add(task)
            task.add_done_callback(running.discard)
        due += 1 / float(rate)
    took = time.monotonic() - began
    while running:
        await asyncio.wait(running)
    return {**counts, "before": 1, "began_us": int(began * 1e6), "seconds": took}


async def bursts(peer: Peer, kind: str, size: str, times: str, pause: str) -> dict[str, Any]:
    """Enqueue jobs in one call, so many times, with a pause between."""
    began = now_us()
    for number in range(int(times)):
        if number:
            await asyncio.sleep(float(pause))
        await peer.bulk(kind, [now_us()] * int(size))
    return {"sent": int(size) * int(times), "before": 0, "began_us": began}


ROLES = {"callers": callers, "feed": feed, "bursts": bursts}
