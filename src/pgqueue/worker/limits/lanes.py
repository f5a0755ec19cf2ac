"""The queues of a worker that have limits, each with its lane."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from pgqueue.flow.queue_limits import Limits
from pgqueue.worker.limits.lane import Lane
from pgqueue.worker.receipt import Claimed

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Lanes"]


class Lanes:
    """``asks``: set when there may be something to ask. ``bell``: when there may be to claim."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._lanes: dict[str, Lane] = {}
        self._said: str | None = None
        self._others = False
        self.asks, self.bell = asyncio.Event(), asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, queue: str) -> Lane | None:
        """Return the lane of a queue; None if it has no limits."""
        return self._lanes.get(queue)

    # -- which queues have limits

    def differ(self, said: str | None) -> bool:
        """Return whether the limits are other ones than before. ``said``: as the event has them."""
        return said != self._said

    def learn(self, said: str | None, running: Mapping[str, int]) -> list[Lane]:
        """Take limits that differ; return the lanes of queues that have none any more.

        ``running``: how many jobs of each queue run here.
        """
        self._said = said
        found: dict[str, Any] = json.loads(said or "{}")
        gone = [lane for lane in self if lane.queue not in found]
        for lane in gone:
            del self._lanes[lane.queue]
        for queue, settings in found.items():
            limits = Limits.of(settings)
            if (lane := self._lanes.get(queue)) is not None:
                lane.limits, lane.stirred = limits, True
                continue
            self._lanes[queue] = Lane(queue, limits, self._slots, running=running.get(queue, 0))
        self.ring()
        return gone

    def ring(self) -> None:
        """There may be something to ask, and to claim."""
        self.asks.set()
        self.bell.set()

    def forget(self) -> None:
        """The worker was lost to the others: what it had is void."""
        for lane in self:
            lane.forget()
        self.ring()

    # -- for the runner

    @property
    def waiting(self) -> bool:
        """True if a job of such a queue waits here."""
        return any(lane.jobs for lane in self)

    def take(self, records: Sequence[Record], token: int) -> Sequence[Record]:
        """Take the jobs of these queues; return the others."""
        if not self._lanes:
            return records
        others: list[Record] = []
        now = time.monotonic()
        for record in records:
            if (lane := self._lanes.get(record["queue"])) is None:
                others.append(record)
            else:
                lane.jobs.append((record, token))
                lane.drained = False
                lane.speed.begin(now)
        if len(others) < len(records):
            self.asks.set()
        return others

    def others_first(self) -> bool:
        """True every other time: jobs of queues with limits and others take turns."""
        self._others = not self._others
        return self._others

    def foremost(self, now: float, fits: Callable[[Record], bool]) -> Lane | None:
        """Return a lane whose first job may begin, and fits."""
        for lane in self._lanes.values():
            if lane.can_begin(now) and fits(lane.jobs[0][0]):
                return lane
        return None

    def begin(self, lane: Lane) -> Claimed:
        """Take the first job of a lane, which begins; the other lanes come first next time."""
        claimed = lane.begin()
        if len(self._lanes) > 1:
            self._lanes[lane.queue] = self._lanes.pop(lane.queue)
        if len(lane.jobs) <= lane.speed.low:
            self.bell.set()
        if lane.limits.rate is not None and len(lane.tokens) < len(lane.jobs):
            self.asks.set()
        return claimed

    def left(self, record: Record) -> None:
        """A job has left its slot."""
        lane = self._lanes.get(record["queue"])
        if lane is None:
            return
        lane.running -= 1
        lane.speed.finished += 1
        if not lane.jobs:
            self.bell.set()
            if not lane.running:
                lane.speed.end(time.monotonic())
        if (lane.held > lane.may and lane.held > lane.running) or lane.give_way():
            self.asks.set()

    def receipts(self) -> Iterable[tuple[int, int]]:
        """Return ids and tokens of the jobs that wait."""
        return ((record["id"], token) for record, token in self._waiting())

    def _waiting(self) -> Iterator[Claimed]:
        return chain.from_iterable(lane.jobs for lane in self)

    def remove(self, job_ids: Container[int]) -> list[Claimed]:
        """Take out those of these jobs that wait."""
        found = [claimed for claimed in self._waiting() if claimed[0]["id"] in job_ids]
        for claimed in found:
            self._lanes[claimed[0]["queue"]].jobs.remove(claimed)
        return found

    def clear(self) -> list[Claimed]:
        """Take out all that wait."""
        found = list(self._waiting())
        for lane in self:
            lane.jobs.clear()
        return found

    # -- for the claimer

    def allowance(self, queue: str) -> int | None:
        """Return how many jobs of a queue may be claimed; None: it has no limits."""
        lane = self._lanes.get(queue)
        return None if lane is None else lane.allowance()

    def next_at(self, now: float) -> float:
        """Return when there will be something to do without anybody's saying so."""
        return min((lane.next_at(now) for lane in self), default=math.inf)
