"""The jobs that this worker has claimed and not begun, in the order in which they will run.

A job that was running when two workers died is quarantined: such jobs run one at a time, so that
the next death says which it was. They are kept apart, and given up after a second, for they would
keep the worker from claiming what it has room for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from pgqueue.config import WorkerSettings
from pgqueue.outcome import RELEASED
from pgqueue.worker.lease import Lease
from pgqueue.worker.limits.limited_queues import LimitedQueues
from pgqueue.worker.receipt import Claimed, Entry, entry_of

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["QUARANTINE_CRASHES", "Buffer", "Taker", "is_quarantined"]

QUARANTINE_CRASHES = 2  # as in rescue_jobs.sql
_QUARANTINE_WAIT = 1.0
_LEASE_LOOKS = 0.05
assert WorkerSettings().crash_cap > QUARANTINE_CRASHES  # a job runs alone before it is buried


def is_quarantined(record: Record) -> bool:
    """True if the job may be what ended its workers."""
    crashes: int = record["crash_count"]
    return crashes >= QUARANTINE_CRASHES


class Taker(Protocol):
    """Who takes waiting jobs: the runner, as they see it."""

    @property
    def has_room(self) -> asyncio.Event:
        """To be set when no more jobs wait than was asked for."""
        ...

    def ring(self) -> None:
        """A slot that got no job may ask again."""
        ...

    def put_off(self, quarantined: list[Claimed]) -> None:
        """Let others have these, which have waited for too long."""
        ...

    def pass_on(self, entries: Iterable[Entry]) -> None:
        """Write what becomes of jobs that have not begun."""
        ...


class Buffer:
    """Claimed jobs that wait for a slot, each with the token of its claim."""

    def __init__(
        self,
        taker: Taker,
        *,
        lease: Lease,
        loop: asyncio.AbstractEventLoop,
        limited: LimitedQueues | None = None,
    ) -> None:
        self._taker = taker
        self.limited = LimitedQueues(0) if limited is None else limited
        self.minds = False  # it is to be told of each job that leaves its slot
        self._lease = lease
        self._loop = loop
        self._put_off_timer: asyncio.TimerHandle | None = None
        self._lease_timer: asyncio.TimerHandle | None = None
        self.jobs: deque[Claimed] = deque()
        self.quarantined: deque[Claimed] = deque()
        self.in_quarantine: tuple[int, int] | None = None  # id and token, as it was taken
        self.low = 0
        self.passed_on = 0
        self.looked_at = 0.0  # when a job was taken last

    def __bool__(self) -> bool:
        return bool(self.jobs or self.quarantined) or (self.minds and self.limited.waiting)

    def add(self, records: Sequence[Record], token: int) -> None:
        """Append what a claim brought."""
        fit = [(one, token) for one in records if one["crash_count"] < QUARANTINE_CRASHES]
        self.jobs.extend(fit)
        if len(fit) < len(records):
            self.quarantined.extend((one, token) for one in records if is_quarantined(one))
            if self._put_off_timer is None:
                self._put_off_timer = self._loop.call_later(_QUARANTINE_WAIT, self._put_off)

    def way(self) -> Callable[[], Claimed | None]:
        """Return how to take jobs until others come."""
        return self.next_limited if self.minds and self.limited.waiting else self.next

    def next(self) -> Claimed | None:
        """Take the job to run next. None begins without a lease: others may have it by now."""
        quarantined = self.quarantined and not self.in_quarantine
        if not self.jobs and not quarantined:
            return None
        self.looked_at = now = time.monotonic()
        if now >= self._lease.until:
            return self._without_lease()
        if quarantined:
            record, token = self.quarantined.popleft()
            self.in_quarantine = record["id"], token
            return record, token
        claimed = self.jobs.popleft()
        if len(self.jobs) == self.low:
            self._taker.has_room.set()
        return claimed

    def next_limited(self) -> Claimed | None:
        """Take the job to run next where jobs of queues with limits wait, which take turns."""
        if self.limited.others_first() and (claimed := self.next()) is not None:
            return claimed
        now = time.monotonic()
        one = self.limited.foremost(now, self.fits)
        if one is None:
            return self.next()
        if now >= self._lease.until:
            return self._without_lease()
        self.looked_at = now
        record, token = claimed = self.limited.begin(one)
        if is_quarantined(record):
            self.in_quarantine = record["id"], token
        self.took(record)
        return claimed

    def fits(self, record: Record) -> bool:
        """Return whether a job could begin now, if a slot is free."""
        return not (self.in_quarantine and is_quarantined(record))

    def took(self, record: Record) -> None:
        """Note that a job of a queue with limits takes a slot."""

    def left(self, record: Record) -> None:
        """Note that the job has left its slot."""
        self.limited.left(record)

    def learn(self, said: str | None, running: Mapping[str, int]) -> None:
        """Take limits of queues that differ: their jobs wait apart from the others."""
        for one in self.limited.learn(said, running):
            for record, token in one.jobs:
                self.add([record], token)
        for one in self.limited:
            one.jobs.extend(self.remove(self._of_queue(one.queue)))
        self.minds = bool(self.limited)

    def _of_queue(self, queue: str) -> set[int]:
        return {record["id"] for record, _ in self._waiting() if record["queue"] == queue}

    def _waiting(self) -> Iterable[Claimed]:
        return chain(self.jobs, self.quarantined)

    def receipts(self) -> Iterable[tuple[int, int]]:
        """Return ids and tokens of all."""
        mine = ((record["id"], token) for record, token in self._waiting())
        return chain(mine, self.limited.receipts())

    def remove(self, job_ids: Container[int]) -> list[Claimed]:
        """Take out those of these jobs that wait."""
        removed = self.limited.remove(job_ids)
        for waiting in (self.jobs, self.quarantined):
            found = [claimed for claimed in waiting if claimed[0]["id"] in job_ids]
            for claimed in found:
                waiting.remove(claimed)
            removed += found
        return removed

    def take_surplus(self, keep: int) -> list[Claimed]:
        """Take out all but the first ``keep`` that are not quarantined: for others to have.

        No slot comes free, so those of queues with limits go as well.
        """
        taken = self.limited.clear()
        while len(self.jobs) > keep:
            taken.append(self.jobs.pop())
        self.passed_on += len(taken)
        return taken

    def let_go(self, taken: Sequence[Claimed]) -> None:
        """Release what was taken out, for others to have."""
        self.passed_on += len(taken)
        self._taker.pass_on(entry_of(record, token, RELEASED) for record, token in taken)

    def clear(self) -> list[Claimed]:
        """Take out all, for good."""
        taken = [*self.jobs, *self.quarantined, *self.limited.clear()]
        self.passed_on += len(taken)
        self.jobs.clear()
        self.quarantined.clear()
        return taken

    def close(self) -> None:
        """Call nobody any more."""
        for timer in (self._put_off_timer, self._lease_timer):
            if timer is not None:
                timer.cancel()

    def _put_off(self) -> None:
        self._put_off_timer = None
        quarantined = list(self.quarantined)
        self.quarantined.clear()
        self.passed_on += len(quarantined)
        self._taker.put_off(quarantined)

    def _without_lease(self) -> None:
        if self._lease_timer is None:
            self._lease_timer = self._loop.call_later(_LEASE_LOOKS, self._look_at_lease)

    def _look_at_lease(self) -> None:
        self._lease_timer = None
        self._taker.ring()
