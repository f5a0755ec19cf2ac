"""How many workers there are, as the heartbeats told; from that, how often this one sends them."""

from __future__ import annotations

from pgqueue.worker.fleet.fleet_size import (
    held_every,
    passed_every,
    share_of_counts,
    share_of_looks,
)
from pgqueue.worker.lease import heartbeat_every
from pgqueue.worker.seat import WATCH
from pgqueue.worker.timings import TIMINGS

__all__ = ["Census"]


class Census:
    """Used on the heartbeat thread alone. ``heartbeat``, ``lease``: as set, in seconds.

    ``workers``: how many there are of all kinds. ``alike``: how many serve the same.
    ``lookers``: how many of all look for lost workers at each heartbeat.
    ``spacing``: seconds from the last heartbeat to the next, as was wanted then.
    """

    def __init__(
        self, heartbeat: float, lease: float, lookers: float = TIMINGS.rescue.lookers
    ) -> None:
        self._heartbeat = heartbeat
        self._lease = lease
        self.lookers = lookers
        self.workers = 1
        self.alike = 1
        self.spacing = heartbeat
        self._on_watch = True

    def learn(self, before: int, counted: tuple[int, int] | None) -> None:
        """Take one answer: how many come before this worker; all and those alike, if counted."""
        if counted is not None:
            self.workers, self.alike = counted
        self._on_watch = before < WATCH

    def at_rest(self, running: int, *, stopping: bool) -> bool:
        """True if others see to what comes, and nothing runs here."""
        return not (self._on_watch or running or stopping)

    def every(self, *, at_rest: bool) -> float:
        """Return the seconds from one heartbeat to the next."""
        return heartbeat_every(self._heartbeat, self._lease, self.workers, at_rest=at_rest)

    def share_of_looks(self) -> float:
        """Return in what part of its heartbeats this worker looks for lost ones."""
        return share_of_looks(self.workers, self.spacing / self._heartbeat, self.lookers)

    def share_of_counts(self) -> float:
        """Return in what part of its heartbeats this worker counts the others."""
        return share_of_counts(self.alike)

    def passed_every(self, interval: float, *, listen: bool) -> float:
        """Return the seconds between two looks for jobs that the cursors passed."""
        return passed_every(interval, self.alike, listen=listen)

    def held_every(self, interval: float) -> float:
        """Return the seconds between two looks of a worker at rest for what it holds."""
        return held_every(interval, self.alike)
