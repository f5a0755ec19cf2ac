"""Which tasks a claim is for: all, or those alone whose jobs need no thread.

A worker with tasks of both kinds and fewer threads than slots claims for all tasks no more jobs
than it has threads for. Where it has more slots, every other claim is for async tasks alone; and
each claim is, while no thread is free. Those claims have cursors of their own, which pass jobs that
are left for threads. Time is handed in, and nothing is sent.

| threads it may claim for | the claim before                | this claim                          |
|--------------------------|---------------------------------|-------------------------------------|
| as many as slots, or more|                                 | all tasks                           |
| no job uses or wants one |                                 | all tasks                           |
| fewer                    | all tasks, as many as threads   | async tasks alone, for all slots    |
| fewer                    | another                         | all tasks, as many jobs as threads  |
| none                     |                                 | async tasks alone, for all slots    |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pgqueue.worker.claim.cursor import Cursors
from pgqueue.worker.timings import TIMINGS, PlanTimings

__all__ = ["Scope"]


class Scope:
    """``cursors`` are those of claims for all tasks. ``left``: queues to look at for threads."""

    def __init__(self, queues: Collection[str], timings: PlanTimings = TIMINGS.plan) -> None:
        self.cursors = Cursors(queues, timings)
        self._alone = Cursors(queues, timings)
        self.cut = False  # the last claim was for all tasks, full, and for fewer jobs than slots
        self.left: set[str] = set()

    def of(self, *, sync: bool) -> Cursors:
        """Return the cursors of claims that take jobs of sync tasks, or of those that do not."""
        return self.cursors if sync else self._alone

    # -- what to ask

    def next(self, room: int, threads: int | None) -> tuple[bool, int]:
        """Return whether the next claim takes jobs of sync tasks, and how many jobs in all.

        ``threads``: how many of these may be there; None: as many as there is room.
        """
        if threads is None or threads >= room:
            self.cut = False
            return True, room
        self.cut = threads > 0 and not self.cut
        return (True, threads) if self.cut else (False, room)

    def heads(self, queues: Sequence[str], *, sync: bool) -> list[int]:
        """Return the cursors for a claim."""
        heads = self.cursors.heads(queues)
        return heads if sync else _later(heads, self._alone.heads(queues))

    def lagging(
        self, queues: Sequence[str], now: float, age: float, *, sync: bool, poll: bool = False
    ) -> list[int]:
        """Return the cursors as they were ``age`` seconds ago.

        Stragglers are searched for up to the cursors of all tasks: each poll begins there.
        """
        heads = self.cursors.lagging(queues, now, age)
        return heads if sync or poll else _later(heads, self._alone.lagging(queues, now, age))

    # -- what an answer says

    def answered(self, queues: Iterable[str], full: Collection[str], *, sync: bool) -> None:
        """Note a claim of these queues, and which had all that it might take."""
        self.cut = self.cut and bool(full)
        if not sync:
            self.left.update(queues)
        elif self.cut:
            self.left.update(full)

    def rewind(self, queue: str, position: int) -> None:
        """Go back: a job is ready at an old position."""
        self.cursors.rewind(queue, position)
        self._alone.rewind(queue, position)


def _later(left: list[int], right: list[int]) -> list[int]:
    return list(map(max, left, right))
