"""Which queues are full: one worker counts for all, each second, the queues with a max_depth.

A full queue refuses what is enqueued: the functions of the schema look at ``queue.full_at``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.timings import TIMINGS, DepthTimings

__all__ = ["Depths", "Floors", "wait_after"]

log = logging.getLogger("pgqueue.worker")

_PRIORITIES = 10


class Floors:
    """The first ready position of each queue and priority, where the next count begins.

    A count from zero would walk over all that lies dead. A job that is released may lie below, and
    is not counted until it is all forgotten.
    """

    def __init__(self, forget_every: float) -> None:
        self._forget_every = forget_every
        self._forgotten_at = 0.0
        self._firsts: dict[str, list[int]] = {}

    def learn(self, queue: str, firsts: Sequence[int | None]) -> None:
        """Note where the jobs of each priority began; where there was none, it stays as it is."""
        before = self._firsts.get(queue, [0] * _PRIORITIES)
        self._firsts[queue] = [
            old if first is None else first for old, first in zip(before, firsts, strict=True)
        ]

    def at(self, now: float) -> tuple[list[str], list[int]]:
        """Return the queues, and ten floors for each."""
        if now >= self._forgotten_at + self._forget_every:
            self._firsts.clear()
            self._forgotten_at = now
        names = list(self._firsts)
        return names, [position for name in names for position in self._firsts[name]]


def wait_after(timings: DepthTimings, took: float, *, counted: bool, wanted: bool) -> float:
    """Return the seconds until this worker asks again.

    Who counted goes on to. The others ask now and then whether it still does.
    """
    if not wanted:
        return timings.unwanted_every
    if not counted:
        return timings.others_every
    return max(timings.every, timings.share * took)


class Depths:
    """On the heartbeat thread's loop."""

    def __init__(self, store: Store, timings: DepthTimings = TIMINGS.duties.depths) -> None:
        self._store = store
        self._timings = timings
        self._floors = Floors(timings.forget_every)

    def begin(self) -> float:
        """Return the seconds until it first asks."""
        return random.uniform(0.0, self._timings.every)

    async def step(self, *, called: bool) -> float:
        """Count, unless another worker does; return the seconds until the next time."""
        del called
        began = time.monotonic()
        names, floors = self._floors.at(began)
        try:
            async with self._store.turn:
                rows = await self._store.count_depths(names, floors, self._timings.every)
        except PgQueueError as exc:
            log.debug("the depth of queues is not counted now: %s", exc)
            return self._timings.others_every
        took = time.monotonic() - began
        for row in rows[:-1]:
            self._floors.learn(row["queue"], row["firsts"])
        wait = wait_after(self._timings, took, counted=len(rows) > 1, wanted=rows[-1]["wanted"])
        return wait * random.uniform(0.9, 1.0)
