"""When to promote due jobs, and when to look for the next. Time is handed in.

The times at which jobs will be due are known from heartbeats, from notifications of enqueues, and
from this worker's own retries. Nobody notifies while no worker waits: then it is time to look once
a second. When a flag was raised it is time at once and a second later, for enqueues that read the
flag before. And it is time after each promotion, because a bulk enqueue
notifies of its earliest due time alone.
"""

from __future__ import annotations

import heapq
import math
from datetime import datetime
from enum import Enum

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.due_floor import DueFloor
from pgqueue.worker.timings import TIMINGS, DueTimings

__all__ = ["DueTimes", "Step"]

_MOST_TICKS = 10_000
# There is room for all that a heartbeat tells of.
assert WorkerSettings().heartbeat < _MOST_TICKS * TIMINGS.due.tick


class Step(Enum):
    """What to do: make due jobs ready, or learn when the next one will be due."""

    PROMOTE = "promote"
    LOOK = "look"


class DueTimes:
    """What the promoter knows of jobs that will be due.

    The worker's loop alone calls its methods. The heartbeat's thread reads ``floor.moment``.
    """

    def __init__(self, settings: WorkerSettings, timings: DueTimings = TIMINGS.due) -> None:
        self._timings, self._tick = timings, timings.tick
        self.floor = DueFloor(timings.from_ever_every)
        self.notified = False  # enqueuers notify us of what will be due
        self.look_at = math.inf
        self.look_again_at = math.inf
        self.none_promoted = False  # a job was due, and none could be promoted
        self._last_was_look = False
        self._dues: list[int] = []  # a heap of ticks, each once
        self._ticks: set[int] = set()
        self._near = settings.heartbeat  # heartbeats tell of what is due later
        look_every = timings.look_every if settings.listen else settings.poll_interval
        # A heartbeat that comes as often does as well.
        self.look_every = math.inf if settings.heartbeat <= look_every else look_every

    def __len__(self) -> int:
        """How many times are noted at which jobs will be due."""
        return len(self._dues)

    # -- what happens

    def start(self, now: float) -> None:
        """Anything may be due already."""
        self.due_in(0.0, now)
        self.look_at = now + self.look_every

    def due_in(self, seconds: float, now: float) -> bool:
        """Note that a job will be due in so many seconds; True if none is due before."""
        tick = math.ceil((now + max(seconds, 0.0)) / self._tick)
        if tick in self._ticks or len(self._ticks) >= _MOST_TICKS:
            return False
        self._ticks.add(tick)
        heapq.heappush(self._dues, tick)
        return self._dues[0] == tick

    def on_flags(self, *, up: bool, raised: bool, now: float) -> bool:
        """Note whether our flags are up, and one was raised just now; True if that is news."""
        news = up != self.notified or (up and raised)
        if news and up:
            self.look_at = now
            self.look_again_at = now + self._timings.look_again_after
        elif news:
            self._look_by(now + self.look_every)
        self.notified = up
        return news

    def promoted(self, *, found: bool, now: float) -> None:
        """Note that what was due is promoted, and whether anything was found."""
        self.none_promoted = not found
        self._look_by(now + self._timings.look_after_promotion)

    def look_from(self, now: float) -> datetime:
        """Return from which due time on to look; this look counts for one that is due by now."""
        if self.look_again_at <= now:
            self.look_again_at = math.inf
        return self.floor.look_from(now)

    def looked(self, seconds: float | None, clear_until: datetime, now: float) -> None:
        """Note in how many seconds the next job is due, and up to where there is none."""
        self.floor.clear_until(clear_until)
        self.look_at = min(self.look_at, self.look_again_at)
        if not self.notified:
            self._look_by(now + self.look_every)
        if seconds is None or seconds > 0:
            self.none_promoted = False
        elif self.none_promoted:
            seconds = self._timings.look_after_none  # somebody else holds its row
        if seconds is not None and seconds <= self._near:
            self.due_in(seconds, now)

    def failed(self, wait: float, now: float) -> None:
        """Note that the database could not be asked; it is tried again after ``wait`` seconds."""
        self.due_in(wait, now)
        self._look_by(now + wait)

    def _look_by(self, moment: float) -> None:
        self.look_at = min(self.look_at, moment)

    # -- what to do

    def step(self, now: float) -> Step | None:
        """Return what to do now, as far as we know; None if there is nothing to do.

        Steps take turns where both are due: neither keeps the other from being done.
        """
        self.floor.look_from(now)  # the heartbeat looks from there, though nobody does here
        is_due = bool(self._dues) and self._dues[0] * self._tick <= now
        if self.look_at <= now and not (self._last_was_look and is_due):
            self._last_was_look = True
            self.look_at = math.inf  # what happens meanwhile may set it
            return Step.LOOK
        if not is_due:
            return None
        while self._dues and self._dues[0] * self._tick <= now:
            self._ticks.discard(heapq.heappop(self._dues))
        self._last_was_look = False
        return Step.PROMOTE

    def rest(self, now: float) -> float:
        """Return after how many seconds there is something to do, if nothing happens before."""
        rest = self._dues[0] * self._tick - now if self._dues else self._timings.longest_rest
        return min(rest, self.look_at - now, self.floor.rests(now))
