"""Joins a worker's machines to its heartbeat: answers what that reads, and does what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pgqueue.db.pool import Pool
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.fleet.events import (
    CancelWanted,
    Event,
    HeartbeatFailed,
    LeaseHeldAgain,
    LeaseRevoked,
    MinutePassed,
    NextDue,
    ReadyAgain,
    Rejoined,
    Seated,
    ServerSilent,
)
from pgqueue.worker.fleet.holdings import Receipts
from pgqueue.worker.lease import Lease
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.seat import Seat

__all__ = ["HeartbeatPort", "promotes"]

_OVERDUE = 0.5


def promotes(seconds: float, seat: Seat, *, listen: bool) -> bool:
    """Return whether a worker promotes what is due in so many seconds.

    The watch does; the others only what nobody has promoted.
    """
    return seat.rank is not None or not listen or seconds < -_OVERDUE


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatPort:
    """``take`` is called on the worker's loop, all else from the heartbeat thread as well."""

    claimer: Claimer
    promoter: Promoter
    runner: Runner
    completer: Completer
    lease: Lease
    pool: Pool
    listen: bool
    fail: Callable[[BaseException], None]

    @property
    def running(self) -> int:
        return self.runner.running

    @property
    def takes_jobs(self) -> bool:
        return self.claimer.takes_jobs

    @property
    def due_since(self) -> datetime:
        return self.promoter.since

    def cursors(self) -> list[int]:
        return self.claimer.cursors()

    def successes(self) -> Receipts:
        return self.completer.successes()

    def take(self, event: Event) -> None:
        """Do what the heartbeat says."""
        match event:
            case CancelWanted(job_ids):
                self.runner.cancel(job_ids, "cancelled")
            case LeaseRevoked():
                self.runner.cancel_all("lost")
                self.runner.empty_buffer()
                self.lease.forget()
            case NextDue(seconds):
                seat = self.claimer.seating.seat
                if promotes(seconds, seat, listen=self.listen):
                    self.promoter.due_in(seconds + seat.delay)
            case ServerSilent():
                self.pool.distrust()
            case MinutePassed():
                self.pool.rest()
            case HeartbeatFailed(error):
                self.fail(error)
            case LeaseHeldAgain() | Rejoined() | ReadyAgain() | Seated():
                self._tell_claimer(event)

    def _tell_claimer(self, event: LeaseHeldAgain | Rejoined | ReadyAgain | Seated) -> None:
        match event:
            case LeaseHeldAgain():
                self.claimer.on_room()
            case Rejoined():
                self.claimer.look_everywhere()
                self.claimer.on_room()
            case ReadyAgain(lowest):
                for queue, position in lowest.items():
                    self.claimer.on_rewind(queue, position)
            case Seated(before, alike, running, takes_jobs):
                self.claimer.seating.on_heartbeat(
                    before, alike, running=running, takes_jobs=takes_jobs
                )
