"""Runs claimed jobs: ``concurrency`` at a time, each in a context of its own, some in threads.

A slot is a place with a number, under which its job is noted for the supervisor. Jobs that wait
begin in the order in which they came. From Python 3.12 on a task makes its first step as it is
made: a job that never waits is over at once, and costs the event loop nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from pgqueue.outcome import CANCELLED
from pgqueue.running import Transactions
from pgqueue.within import without_blocks
from pgqueue.worker.busy import BusyClock
from pgqueue.worker.lease import Lease
from pgqueue.worker.limits.limited_queues import LimitedQueues
from pgqueue.worker.neighbours import Outcomes
from pgqueue.worker.receipt import Claimed, Entry, entry_of
from pgqueue.worker.run.admission import Admission
from pgqueue.worker.run.attempt import Attempts
from pgqueue.worker.run.eager import START, YIELD_EVERY, NewTask
from pgqueue.worker.run.few_threads import FewThreads, make_buffer
from pgqueue.worker.run.in_child import InChildren
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.marks import Marks
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.settle import Why
from pgqueue.worker.run.slot import Counts, Slot, abandon
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.stop_times import SLOTS_SECONDS
from pgqueue.worker.timings import TIMINGS, Timings

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["Runner"]


class Runner:
    """Runs jobs and hands their outcomes to the completer."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        *,
        concurrency: int, threads: int | None = None, running_jobs: RunningJobs,
        completer: Outcomes, transactions: Transactions, marks: Marks, large: LargeJobs,
        misfits: Misfits, lease: Lease, loop: asyncio.AbstractEventLoop, timings: Timings = TIMINGS,
        limited: LimitedQueues | None = None, children: InChildren | None = None,
    ) -> None:  # fmt: skip
        self._completer = completer
        self.has_room = asyncio.Event()
        self._loop = loop
        self._busy = BusyClock()
        threads = threads or concurrency
        self.buffer = make_buffer(
            self, tasks, concurrency, threads, limited, lease=lease, loop=loop, busy=self._busy
        )
        self.threads = self.buffer if isinstance(self.buffer, FewThreads) else None
        admission = Admission(
            marks=marks, large=large, misfits=misfits, lease=lease, put_off=timings.put_off
        )
        self._attempts = Attempts(
            tasks, running_jobs=running_jobs, completer=completer, transactions=transactions,
            admission=admission, threads=threads, owner=self, loop=loop,
            cancel_seconds=timings.stop.cancel, children=children,
        )  # fmt: skip
        self.slots = [Slot(place, self) for place in range(concurrency)]
        self._free = self.slots.copy()
        self._over: set[Slot] = set()  # those given up, and maybe some that were
        self._rung = False  # the loop is going to call _dispatch
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._context = without_blocks(copy_context())  # each job runs in a copy of it
        self.started = 0

    # -- for the claimer

    @property
    def running(self) -> int:
        """Jobs that have a slot."""
        return len(self.slots) - len(self._free)

    @property
    def finished(self) -> int:
        """Jobs that ran, whatever became of them."""
        return self.started - self.running

    @property
    def buffered(self) -> int:
        """Jobs that were claimed and wait for a slot; not those that wait for each other."""
        return len(self.buffer.jobs)

    @property
    def free(self) -> int:
        """Slots without a job, not counting those that waiting jobs will take."""
        # Of quarantined jobs one runs at a time; the others are put off before they could take any.
        return len(self._free) - len(self.buffer.jobs) - bool(self.buffer.quarantined)

    @property
    def stuck(self) -> int:
        """Slots whose job was told to end seconds ago and goes on."""
        return self._attempts.stuck

    @property
    def counts(self) -> Counts:
        """How many attempts came to what."""
        return self._attempts.counts

    @property
    def passed_on(self) -> int:
        """How many jobs were given up before they began, for others to have."""
        return self.buffer.passed_on

    @property
    def waits(self) -> bool:
        """True if a job is here that has not begun."""
        return bool(self.buffer)

    def busy_seconds(self, now: float) -> float:
        """For how long there has been something to run, up to the monotonic time ``now``."""
        return self._busy.busy_seconds(now)

    def tell_when(self, buffered_at_most: int) -> None:
        """Set ``has_room`` once no more than so many jobs are buffered."""
        self.buffer.low = buffered_at_most

    def add(self, records: Sequence[Record], token: int) -> None:
        """Take claimed jobs, in the order in which they should run."""
        if self.buffer.minds:
            records = self.buffer.limited.take(records, token)
        if records:
            self.buffer.add(records, token)
        self._attempts.claimed(token)
        self._quiet.clear()
        self._busy.begin(time.monotonic())
        self.ring()

    def put_off(self, quarantined: list[Claimed]) -> None:
        """Let others have these jobs, later: as they were, they would come back at once."""
        self.pass_on(entry_of(one, token, TIMINGS.put_off.a_moment()) for one, token in quarantined)
        self.has_room.set()

    def pass_on(self, entries: Iterable[Entry]) -> None:
        """Write what becomes of jobs that have not begun."""
        for entry in entries:
            self._completer.add(entry)
        self._settle_quiet()

    def take_surplus(self, keep: int) -> list[Claimed]:
        """Return buffered jobs but the first ``keep``: for others to have."""
        taken = self.buffer.take_surplus(keep)
        self._settle_quiet()
        return taken

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs that run or wait here, but for those given up."""
        owed = {(s.record["id"], s.token) for s in self.slots if s.record and s.is_owed}
        return owed.union(self.buffer.receipts())

    def cancel(self, job_ids: Sequence[int], why: Why) -> None:
        """Cancel these jobs, wherever they are; ``why`` decides the outcome."""
        wanted = set(job_ids)
        for slot in self.slots:
            if slot.record is not None and slot.record["id"] in wanted:
                slot.cancel(why)
        waiting = self.buffer.remove(wanted)
        self.counts.cancelled += len(waiting)
        self.pass_on(entry_of(record, token, CANCELLED) for record, token in waiting)

    def cancel_all(self, why: Why) -> None:
        """Cancel every running job."""
        for slot in self.slots:
            if slot.record is not None:
                slot.cancel(why)

    def empty_buffer(self) -> list[Claimed]:
        """Return what was claimed and not started, for good."""
        taken = self.buffer.clear()
        self._settle_quiet()
        return taken

    def abandon(self) -> list[Claimed]:
        """Give up on what still runs although it was cancelled: its outcome is nobody's now."""
        return abandon(self.slots)

    def disown(self) -> None:
        """Run nothing more in this process, which was forked by a job."""
        self.buffer.clear()
        self._attempts.disown()

    async def wait_quiet(self, seconds: float | None) -> bool:
        """Return True once no outcome is to come, False after so many seconds, if any."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
                return True
        return False

    async def stop(self) -> None:
        """End what still runs, and the threads that have nothing to do."""
        self._attempts.closing = True
        self.buffer.close()
        tasks = [slot.task for slot in self.slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SLOTS_SECONDS)
        await self._attempts.stop()

    # -- slots

    def ring(self) -> None:
        """Have waiting jobs begun, by the loop itself: nobody's stack or task is beneath them."""
        if not self._rung and not self._attempts.closing:
            self._rung = True
            self._loop.call_soon(self._dispatch, context=self._context)

    def _dispatch(self) -> None:
        """Begin waiting jobs while slots are free; after some, let the loop have a turn."""
        self._rung = False
        if self._attempts.closing:
            return
        free, take, run = self._free, self.buffer.way(), self._attempts.run
        loop, pristine = self._loop, self._context
        begun_tasks: list[tuple[Slot, asyncio.Task[None]]] = []
        begun = 0
        try:
            while free and (claimed := take()) is not None:
                slot = free.pop()
                slot.record, slot.token = claimed
                slot.began = self.buffer.looked_at
                record = slot.record
                self.started += 1
                try:
                    task = NewTask(run(slot, record), loop=loop, context=pristine.copy(), **START)
                except BaseException:
                    if slot.record is record:  # for lack of memory
                        self._attempts.never_began(slot, record)
                    raise
                if slot.record is record:  # it waits, or is to make its first step
                    slot.wait_in(task)
                    begun_tasks.append((slot, task))
                begun += 1
                if begun == YIELD_EVERY:
                    self.ring()
                    break
        finally:
            if begun_tasks:
                self._attempts.look_after(begun_tasks)

    def left(self, slot: Slot, record: Record) -> None:
        """A job is over: its slot is another's."""
        slot.clear()
        self._free.append(slot)
        if self.buffer.minds:
            self.buffer.left(record)
        if self.buffer.in_quarantine and self.buffer.in_quarantine == (record["id"], slot.token):
            self.buffer.in_quarantine = None
        if self.buffer.jobs:
            if not self._rung:
                self.ring()
        else:
            if self.buffer:
                self.ring()
            self.has_room.set()
            self._settle_quiet()

    def told(self, slot: Slot, task: asyncio.Task[None]) -> None:
        """Note that the job of a slot was told to end, in this task."""
        self._attempts.told(slot, task)

    def given_up(self, slot: Slot) -> None:
        """Note that the attempt in a slot is over, though its job goes on."""
        self._over.add(slot)
        self._settle_quiet()

    def _settle_quiet(self) -> None:
        if self.buffer:
            return
        if self._over:
            self._over = {slot for slot in self._over if slot.why == "abandoned"}
        if self.running > len(self._over):
            return
        if not self.running:
            self._busy.end(time.monotonic())
        self._quiet.set()
