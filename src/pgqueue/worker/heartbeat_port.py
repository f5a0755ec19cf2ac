"""Answers what the heartbeat thread reads of its worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.fleet.holdings import Receipts
from pgqueue.worker.run.runner import Runner

__all__ = ["HeartbeatPort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatPort:
    """The view of the heartbeat thread: see ``WorkerView``."""

    claimer: Claimer
    promoter: Promoter
    runner: Runner
    completer: Completer
    listen: bool = True

    @property
    def running(self) -> int:
        return self.runner.running

    @property
    def takes_jobs(self) -> bool:
        return self.claimer.takes_jobs

    @property
    def allowed_slots(self) -> int | None:
        overload = self.claimer.intake.overload
        return overload.allowed if overload.is_on else None

    @property
    def watches(self) -> bool:
        seating = self.claimer.seating
        return seating.seat.rank is not None or not self.listen

    @property
    def due_since(self) -> datetime:
        return self.promoter.since

    def cursors(self) -> list[int]:
        return self.claimer.cursors()

    def successes(self) -> Receipts:
        return self.completer.successes()
