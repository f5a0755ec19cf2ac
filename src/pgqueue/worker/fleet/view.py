"""What the heartbeat thread reads of its worker."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pgqueue.worker.fleet.holdings import Receipts

__all__ = ["WorkerView"]


class WorkerView(Protocol):
    """The worker's loop writes what is read here; each answer is one read, or a copy."""

    @property
    def running(self) -> int:
        """Jobs that have a slot."""
        ...

    @property
    def takes_jobs(self) -> bool:
        """True if the worker can take a job now."""
        ...

    @property
    def allowed_slots(self) -> int | None:
        """How many slots it uses while it is overloaded; None: all of them."""
        ...

    @property
    def watches(self) -> bool:
        """True if this worker is one of those that wait for what will be due."""
        ...

    @property
    def due_since(self) -> datetime:
        """From which time on scheduled jobs are looked for."""
        ...

    def cursors(self) -> list[int]:
        """Return where the claims of each queue go on from."""
        ...

    def successes(self) -> Receipts:
        """Return what has succeeded and is not written yet."""
        ...
