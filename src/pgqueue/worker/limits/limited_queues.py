"""The queues of a worker that have limits."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from pgqueue.flow.queue_limits import Limits
from pgqueue.worker.limits.limited_queue import LimitedQueue
from pgqueue.worker.receipt import Claimed

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["LimitedQueues"]


class LimitedQueues:
    """``asks``: set when there may be something to ask. ``bell``: when there may be to claim."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._queues: dict[str, LimitedQueue] = {}
        self._said: str | None = None
        self._others = False
        self.asks, self.bell = asyncio.Event(), asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[LimitedQueue]:
        return iter(self._queues.values())

    def get(self, queue: str) -> LimitedQueue | None:
        """Return the queue of that name; None if it has no limits."""
        return self._queues.get(queue)

    # -- which queues have limits

    def differ(self, said: str | None) -> bool:
        """Return whether the limits are other ones than before. ``said``: as the event has them."""
        return said != self._said

    def learn(self, said: str | None, running: Mapping[str, int]) -> list[LimitedQueue]:
        """Take limits that differ; return the queues that have none any more.

        ``running``: how many jobs of each queue run here.
        """
        self._said = said
        found: dict[str, Any] = json.loads(said or "{}")
        gone = [one for one in self if one.queue not in found]
        for one in gone:
            del self._queues[one.queue]
        for queue, settings in found.items():
            limits = Limits.of(settings)
            if (one := self._queues.get(queue)) is not None:
                one.limits, one.stirred = limits, True
                continue
            self._queues[queue] = LimitedQueue(
                queue, limits, self._slots, running=running.get(queue, 0)
            )
        self.ring()
        return gone

    def ring(self) -> None:
        """There may be something to ask, and to claim."""
        self.asks.set()
        self.bell.set()

    def forget(self) -> None:
        """The worker was lost to the others: what it had is void."""
        for one in self:
            one.forget()
        self.ring()

    # -- for the runner

    @property
    def waiting(self) -> bool:
        """True if a job of such a queue waits here."""
        return any(one.jobs for one in self)

    def take(self, records: Sequence[Record], token: int) -> Sequence[Record]:
        """Take the jobs of these queues; return the others."""
        if not self._queues:
            return records
        others: list[Record] = []
        now = time.monotonic()
        for record in records:
            if (one := self._queues.get(record["queue"])) is None:
                others.append(record)
            else:
                one.jobs.append((record, token))
                one.drained = False
                one.speed.begin(now)
        if len(others) < len(records):
            self.asks.set()
        return others

    def others_first(self) -> bool:
        """True every other time: jobs of queues with limits and others take turns."""
        self._others = not self._others
        return self._others

    def foremost(self, now: float, fits: Callable[[Record], bool]) -> LimitedQueue | None:
        """Return a queue whose first job may begin, and fits."""
        for one in self._queues.values():
            if one.can_begin(now) and fits(one.jobs[0][0]):
                return one
        return None

    def begin(self, one: LimitedQueue) -> Claimed:
        """Take the first job of a queue, which begins; the others come first next time."""
        claimed = one.begin()
        if len(self._queues) > 1:
            self._queues[one.queue] = self._queues.pop(one.queue)
        if len(one.jobs) <= one.speed.low:
            self.bell.set()
        if one.limits.rate is not None and len(one.tokens) < len(one.jobs):
            self.asks.set()
        return claimed

    def left(self, record: Record) -> None:
        """A job has left its slot."""
        one = self._queues.get(record["queue"])
        if one is None:
            return
        one.running -= 1
        one.speed.finished += 1
        if not one.jobs:
            self.bell.set()
            if not one.running:
                one.speed.end(time.monotonic())
        if (one.held > one.may and one.held > one.running) or one.give_way():
            self.asks.set()

    def receipts(self) -> Iterable[tuple[int, int]]:
        """Return ids and tokens of the jobs that wait."""
        return ((record["id"], token) for record, token in self._waiting())

    def _waiting(self) -> Iterator[Claimed]:
        return chain.from_iterable(one.jobs for one in self)

    def remove(self, job_ids: Container[int]) -> list[Claimed]:
        """Take out those of these jobs that wait."""
        found = [claimed for claimed in self._waiting() if claimed[0]["id"] in job_ids]
        for claimed in found:
            self._queues[claimed[0]["queue"]].jobs.remove(claimed)
        return found

    def clear(self) -> list[Claimed]:
        """Take out all that wait."""
        found = list(self._waiting())
        for one in self:
            one.jobs.clear()
        return found

    # -- for the claimer

    def allowance(self, queue: str) -> int | None:
        """Return how many jobs of a queue may be claimed; None: it has no limits."""
        one = self._queues.get(queue)
        return None if one is None else one.allowance()

    def next_at(self, now: float) -> float:
        """Return when there will be something to do without anybody's saying so."""
        return min((one.next_at(now) for one in self), default=math.inf)
