"""How many jobs to claim now: what slots are free for, and some ahead of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.overload import Overload
from pgqueue.worker.claim.prefetch import Prefetch
from pgqueue.worker.claim.queue_state import QueueState
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.lease import Lease
from pgqueue.worker.neighbours import Room
from pgqueue.worker.receipt import Claimed
from pgqueue.worker.timings import TIMINGS, OverloadTimings

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["SURPLUS_SECONDS", "Intake"]

SURPLUS_SECONDS = 1.0
"""A job that no slot will come free for within so many seconds is released."""

_SINGLY_SECONDS = 10.0
_LATE_SHARE = 8  # a renewal that took so much of the lease is late


class Intake:
    """What the runner can take. Who gives it a job says so; nothing here waits."""

    def __init__(
        self,
        runner: Room,
        lease: Lease,
        *,
        settings: WorkerSettings,
        states: Collection[QueueState],
        seating: Seating,
        timings: OverloadTimings = TIMINGS.plan.overload,
    ) -> None:
        self._runner = runner
        self._lease = lease
        self._settings = settings
        self._states = states
        self._seating = seating
        self.overload = Overload(settings.concurrency, timings)
        self._prefetch = Prefetch(runner, settings.max_prefetch)
        self._thread_prefetch: Prefetch | None = None
        if runner.threads is not None:
            self._thread_prefetch = Prefetch(runner.threads, settings.max_prefetch)
        self._returning: set[tuple[str, int]] = set()  # released, and not written yet
        self._singly_until = 0.0
        self.claimed = 0
        self.closed = False

    # -- how much

    def room(self, now: float) -> int:
        """How many jobs the runner can take.

        None could begin without a lease. Beside jobs on their way back, later ones would overtake
        them.
        """
        if self.closed or self._lease.is_over or self._returning:
            return 0
        room = self._runner.free + self._ahead(self._prefetch)
        if self.overload.is_on:
            room = max(0, self._runner.free - self._settings.concurrency + self.overload.allowed)
        if self._settings.max_jobs is not None:
            room = min(room, self._settings.max_jobs - self._kept)
        return room if now >= self._singly_until else min(room, 1)

    def is_worth_it(self, now: float) -> bool:
        """True if there is room for a batch worth claiming; else it rings once there may be."""
        low = self._ahead(self._prefetch) // 2
        if self._runner.buffered <= low and self.room(now) > 0:
            return True
        self._runner.tell_when(low)
        return False

    def thread_room(self) -> int | None:
        """How many jobs of tasks without async may be among them; None: as many as there is room.

        None also while no job here needs a thread, nor one of those that came last. 0 while those
        that wait for a thread are more than half of what is claimed ahead.
        """
        threads = self._runner.threads
        if threads is None or threads.is_unused or self._thread_prefetch is None:
            return None
        ahead = self._ahead(self._thread_prefetch)
        waiting = threads.waiting
        return 0 if waiting > ahead // 2 else threads.free + max(0, ahead - waiting)

    @property
    def has_free_thread(self) -> bool:
        """True if a job of any task could begin in a free slot."""
        threads = self._runner.threads
        return threads is None or threads.free > 0

    @property
    def has_free_slot(self) -> bool:
        """True if a slot has no job, and none that was claimed for it; nor has a thread."""
        return self._runner.free > 0 and self.has_free_thread

    @property
    def takes_jobs(self) -> bool:
        """True if a job that is enqueued now can begin here."""
        most = self._settings.max_jobs
        return (
            self._runner.running < self.overload.allowed
            and (most is None or self._kept < most)
            and self.has_free_thread
        )

    @property
    def is_spent(self) -> bool:
        """True once the last of ``max_jobs`` has begun."""
        most = self._settings.max_jobs
        return most is not None and self._kept >= most and not self._runner.waits

    def running_beside(self, count: int) -> int:
        """How many jobs run, or wait, that were here before a claim of ``count`` jobs."""
        return self._settings.concurrency - self._runner.free - count

    def answered(self, lag: float) -> bool:
        """Note how long the loop took to answer; return whether there may be more room by that."""
        late = self._lease.took * _LATE_SHARE >= self._settings.lease
        return self.overload.look(lag, late=late)

    @property
    def _kept(self) -> int:
        """Jobs that were claimed and not passed on to others."""
        return self.claimed - self._runner.passed_on

    def _ahead(self, prefetch: Prefetch) -> int:
        """How many jobs to claim ahead of free slots: none while others may have free ones."""
        turn = max(state.contention.turn for state in self._states)
        if self._seating.seat.workers == 1:
            return prefetch.ahead(turn)
        if all(state.full_since is None for state in self._states):
            prefetch.forget()  # what comes next may take longer
            return 0
        # Nor at the rate of the jobs that ran before.
        if self._prefetch.ended < self._settings.concurrency:
            return 0
        return prefetch.ahead_at_first(turn)

    # -- what comes, and what goes back

    def add(self, records: Sequence[Record], token: int) -> None:
        """Hand on what was claimed."""
        self.claimed += len(records)
        self._runner.add(records, token)

    def one_by_one(self, now: float) -> None:
        """Claim single jobs for a while: one that cannot be read is alone then."""
        self._singly_until = now + _SINGLY_SECONDS

    def mark(self) -> None:
        """From here on it is full: what is finished counts for ``take_surplus``."""
        self._prefetch.mark()

    def take_surplus(self) -> list[Claimed]:
        """Return what no slot will come free for within a second or so: the jobs are long."""
        prefetch = self._prefetch.since_mark(at_least=SURPLUS_SECONDS)
        taken = self._runner.take_surplus(int(prefetch * SURPLUS_SECONDS))
        self._returning.update((record["queue"], record["position"]) for record, _ in taken)
        if taken:
            self._prefetch.slow_to(prefetch)
        return taken

    def returned(self, queue: str, position: int) -> bool:
        """Note that a job is ready again; True if there may be room by that."""
        if not self._returning:
            return False
        self._returning.discard((queue, position))
        return True
