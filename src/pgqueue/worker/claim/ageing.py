"""No job waits for ever behind a steady stream of higher priorities. Time is handed in.

A claim that takes all that it may comes down to some priority, and does not look at those below.
Where that goes on, a claim now and then begins at the priority that was not looked at for longest.
So the order of priorities is strict for some seconds, and then the lower ones get a small share.

| what lower priorities saw                                   | a claim begins below after      |
|-------------------------------------------------------------|---------------------------------|
| they were looked at                                         | not                             |
| not for 5 s                                                 | 16 claims                       |
| not for a minute                                            | 4 claims                        |
| the last claim that began below found a job                 | 16 claims                       |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgqueue.worker.claim.cursor import PRIORITIES
from pgqueue.worker.timings import TIMINGS, AgeTimings

__all__ = ["PASSED_BY", "Ageing", "Ages"]

PASSED_BY = 2**63 - 1
"""The cursor of a priority from which a claim takes nothing."""


class Ageing:
    """When claims of one queue came down to each of its priorities."""

    def __init__(self, timings: AgeTimings = TIMINGS.plan.ages) -> None:
        self._timings = timings
        self._reached: list[float] | None = None
        self._claims = 0  # since one began below, or came down to the last priority
        self._found = False

    def start(self, now: float) -> int:
        """Return the priority at which the next claim begins: nearly always 0."""
        if self._reached is None or self._claims < self._timings.least:
            return 0
        oldest = min(self._reached)
        passed_by = now - oldest
        if self._claims >= self._timings.every:
            due = self._found or passed_by >= self._timings.after
        else:
            due = passed_by >= self._timings.most
        return self._reached.index(oldest) if due else 0

    def answered(self, start: int, last: int | None, now: float, *, full: bool) -> None:
        """Note a claim that began at the priority ``start``.

        ``last``: the lowest priority of which it took a job. ``full``: it took all that it might.
        """
        end = last if full and last is not None else PRIORITIES - 1
        reached = self._reached
        if reached is None:
            reached = self._reached = [now] * PRIORITIES
        reached[start : end + 1] = [now] * (end + 1 - start)
        if start:
            self._found = last is not None
            self._claims = 0
        elif end == PRIORITIES - 1 and not full:
            self._found = False
            self._claims = 0
        else:
            self._claims += 1


class Ages:
    """The ageing of all queues of a worker, apart for claims of async tasks alone."""

    def __init__(self, queues: Iterable[str], timings: AgeTimings = TIMINGS.plan.ages) -> None:
        self._of = {(name, sync): Ageing(timings) for name in queues for sync in (True, False)}

    def lift(
        self, queues: Sequence[str], cursors: list[int], now: float, *, sync: bool
    ) -> dict[str, int]:
        """Change the cursors of queues whose claim begins below; return where each begins."""
        below: dict[str, int] = {}
        for n, name in enumerate(queues):
            start = self._of[name, sync].start(now)
            if start:
                below[name] = start
                cursors[n * PRIORITIES : n * PRIORITIES + start] = [PASSED_BY] * start
        return below

    def answered(
        self, queue: str, start: int, last: int | None, now: float, *, full: bool, sync: bool
    ) -> None:
        """Note what a claim of this queue brought; see ``Ageing.answered``."""
        self._of[queue, sync].answered(start, last, now, full=full)
