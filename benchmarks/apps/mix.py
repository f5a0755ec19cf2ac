"""A mix of jobs: of twenty, 16 only note their start, 3 wait for 20 ms, and 1 inserts a row.

Every job is a timed one: its number is when it was enqueued.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol

from crowd import now_us

__all__ = ["EFFECT", "INSERT", "ROLES", "kinds"]

EFFECT = "effect"
INSERT = "insert into public.effect (n) values ($1)"
_ORDER = [EFFECT if n == 8 else "nap" if n % 5 == 3 else "stamp" for n in range(20)]
_TICK_SECONDS = 0.005


class Mixer(Protocol):
    async def many(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Enqueue jobs of several kinds, each with its number, by the fastest call there is."""
        ...


def kinds(first: int, count: int) -> list[str]:
    """The kinds of so many jobs of the mix, from the one numbered ``first``."""
    return [_ORDER[n % len(_ORDER)] for n in range(first, first + count)]


def _effects(count: int) -> int:
    return kinds(0, count).count(EFFECT)


async def mixed_backlog(peer: Mixer, count: str, piece: str) -> dict[str, Any]:
    """Enqueue so many jobs, ``piece`` of them in each call."""
    for first in range(0, int(count), int(piece)):
        size = min(int(piece), int(count) - first)
        await peer.many([(kind, now_us()) for kind in kinds(first, size)])
    return {"sent": int(count), "effects": _effects(int(count))}


async def mixed_stream(peer: Mixer, rate: str, seconds: str) -> dict[str, Any]:
    """Enqueue at a rate: every 5 ms what is due, in one call, whatever the earlier ones take."""
    calls: list[asyncio.Task[None]] = []
    sent = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < float(seconds):
        if due := int(passed * float(rate)) - sent:
            now = now_us()
            jobs = [(kind, now) for kind in kinds(sent, due)]
            calls.append(asyncio.ensure_future(peer.many(jobs)))
            sent += due
        await asyncio.sleep(_TICK_SECONDS)
    await asyncio.gather(*calls)
    return {"sent": sent, "effects": _effects(sent), "seconds": time.monotonic() - began}


ROLES = {"mixed_backlog": mixed_backlog, "mixed_stream": mixed_stream}
