"""The buffer of a worker with tasks of both kinds, and fewer threads than slots.

A job of a task without async waits here for a thread and not in a slot: jobs of async tasks that
came after it take the slots meanwhile. Those that wait for a thread begin in the order in which
they came. What still waits after a second is released, but for as many as ended in that second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pgqueue.worker.busy import BusyClock
from pgqueue.worker.lease import Lease
from pgqueue.worker.limits.limited_queues import LimitedQueues
from pgqueue.worker.receipt import Claimed
from pgqueue.worker.run.buffer import Buffer, Taker, is_quarantined

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["FewThreads", "make_buffer", "sync_tasks"]

_WAITS_AT_MOST = 1.0
_TASK = itemgetter("task")


def sync_tasks(tasks: Mapping[str, Task[..., Any]]) -> frozenset[str]:
    """Return the names of the tasks whose jobs do not run on the loop."""
    return frozenset(name for name, task in tasks.items() if task.runs_in != "loop")


def make_buffer(
    taker: Taker, tasks: Mapping[str, Task[..., Any]], slots: int, threads: int,
    limited: LimitedQueues | None, *, lease: Lease, loop: asyncio.AbstractEventLoop,
    busy: BusyClock,
) -> Buffer:  # fmt: skip
    """Return the buffer of a worker with these tasks, slots and threads."""
    if threads < slots and (needy := sync_tasks(tasks)):
        return FewThreads(taker, needy, threads, lease=lease, loop=loop, limited=limited, busy=busy)
    return Buffer(taker, lease=lease, loop=loop, limited=limited)


class FewThreads(Buffer):
    """Claimed jobs that wait for a slot, or for one of so many threads.

    ``needy``: the names of the tasks whose jobs need a thread. ``busy``: for how long the runner
    has had something to run. The claimer sees in it how many threads are free.
    """

    def __init__(
        self,
        taker: Taker,
        needy: frozenset[str],
        threads: int,
        *,
        lease: Lease,
        loop: asyncio.AbstractEventLoop,
        limited: LimitedQueues | None = None,
        busy: BusyClock,
    ) -> None:
        super().__init__(taker, lease=lease, loop=loop, limited=limited)
        self._needy = needy
        self._size = threads
        self._busy = busy
        self._parked: deque[Claimed] = deque()
        self._in_line = 0  # of ``jobs``, how many need a thread
        self._came_without = False  # none of those that came last needs one
        self.in_threads = 0
        self.finished = 0
        self._finished_before = 0
        self._look_timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._parked) or super().__bool__()

    # -- for the claimer

    @property
    def is_unused(self) -> bool:
        """True while no job here needs a thread, nor one of those that came last."""
        return self._came_without and not (self.in_threads or self._in_line or self._parked)

    @property
    def waiting(self) -> int:
        """Jobs that were claimed and wait for a thread. From any thread: the heartbeat asks."""
        return len(self._parked) + self._in_line

    @property
    def free(self) -> int:
        """Threads without a job, not counting those that waiting jobs will take."""
        return max(0, self._size - self.in_threads - self.waiting)

    def busy_seconds(self, now: float) -> float:
        """For how long there has been something to run, since the start."""
        return self._busy.busy_seconds(now)

    # -- for the runner

    def way(self) -> Callable[[], Claimed | None]:
        """Return how to take jobs until others come: it costs less where none needs a thread."""
        if self.limited.waiting:
            return self.next_limited
        if self._in_line or self._parked or self.quarantined:
            return self.next
        return super().next

    def fits(self, record: Record) -> bool:
        """Return whether a job could begin now, if a slot is free."""
        has_thread = self.in_threads < self._size or not self._needs_one(record)
        return has_thread and super().fits(record)

    def took(self, record: Record) -> None:
        """Note that a job of a queue with limits takes a slot, and a thread if it needs one."""
        if self._needs_one(record):
            self._take_thread()

    def add(self, records: Sequence[Record], token: int) -> None:
        """Append what a claim brought."""
        apart = len(self.quarantined)
        super().add(records, token)
        needy = sum(map(self._needy.__contains__, map(_TASK, records)))
        self._came_without = not needy
        if len(self.quarantined) == apart:
            self._in_line += needy
        else:
            self._count()

    def next(self) -> Claimed | None:
        """Take the job to run next; one that needs a thread only if there is one."""
        while (claimed := self._foremost()) is not None:
            record, _ = claimed
            if not self._needs_one(record):
                return claimed
            if is_quarantined(record):
                self._take_thread()
                return claimed
            self._in_line -= 1
            if self.in_threads < self._size:
                self._take_thread()
                return claimed
            self._parked.append(claimed)
            if self._look_timer is None:
                self._look_later()
        return None

    def _foremost(self) -> Claimed | None:
        """Take the job that came first, of those that wait for a thread if one is free."""
        if not self._parked or self.in_threads >= self._size:
            return super().next()
        first = self._parked.popleft()
        self.jobs.appendleft(first)  # it came before all of these
        self._in_line += 1
        claimed = super().next()
        if claimed is not first:  # a quarantined one, or none without a lease
            self._parked.appendleft(self.jobs.popleft())
            self._in_line -= 1
        return claimed

    def left(self, record: Record) -> None:
        """Note that the job has left its slot, and its thread if it had one."""
        if self.in_threads and self._needs_one(record):
            self.in_threads -= 1
            self.finished += 1
            self.minds = self.in_threads > 0 or bool(self.limited)
        super().left(record)

    def learn(self, said: str | None, running: Mapping[str, int]) -> None:
        """Take limits of queues that differ."""
        super().learn(said, running)
        self.minds = self.minds or self.in_threads > 0

    def _take_thread(self) -> None:
        self.in_threads += 1
        self.minds = True

    def _count(self) -> None:
        self._in_line = sum(1 for record, _ in self.jobs if self._needs_one(record))

    def _needs_one(self, record: Record) -> bool:
        return record["task"] in self._needy

    def _waiting(self) -> Iterable[Claimed]:
        return chain(super()._waiting(), self._parked)

    def remove(self, job_ids: Container[int]) -> list[Claimed]:
        """Take out those of these jobs that wait."""
        found = [claimed for claimed in self._parked if claimed[0]["id"] in job_ids]
        for claimed in found:
            self._parked.remove(claimed)
        found += super().remove(job_ids)
        self._count()
        return found

    def take_surplus(self, keep: int) -> list[Claimed]:
        """Take out all but the first ``keep`` of those that wait for a slot."""
        taken = super().take_surplus(keep)
        self._count()
        return taken

    def clear(self) -> list[Claimed]:
        """Take out all, for good."""
        parked = list(self._parked)
        self._parked.clear()
        self.passed_on += len(parked)
        self._in_line = 0
        return parked + super().clear()

    def close(self) -> None:
        """Call nobody any more."""
        super().close()
        if self._look_timer is not None:
            self._look_timer.cancel()

    def _look_later(self) -> None:
        self._finished_before = self.finished
        self._look_timer = self._loop.call_later(_WAITS_AT_MOST, self._release)

    def _release(self) -> None:
        """Release what no thread will come free for within a second: the jobs are long."""
        self._look_timer = None
        keep, taken = self.finished - self._finished_before, list[Claimed]()
        while len(self._parked) > keep:
            taken.append(self._parked.pop())
        if self._parked:
            self._look_later()
        if taken:
            self.let_go(taken)
