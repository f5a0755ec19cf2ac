"""Where claims go on from, and what they may have passed.

A cursor is the highest position claimed for a queue and priority: a hint that skips what lies taken
or dead at the head of the index. Correctness never hangs on it: positions are handed out before
their transaction commits, so a lower one can appear behind a cursor. Most such stragglers are found
by claims from where the cursor stood a moment ago; the rest by a search upwards from the floor,
below which no job can appear any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from pgqueue.worker.timings import TIMINGS, PlanTimings

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["PRIORITIES", "Cursors", "last_of_each_priority"]

PRIORITIES = 10

_REACH = 100_000

_priority = itemgetter("priority")


def last_of_each_priority(records: Sequence[Record]) -> Iterator[Record]:
    """Return the records with the highest positions, without a look at all of them.

    ``records`` are of one queue, in the order of a claim: by priority, then by position.
    """
    end = 0
    while end < len(records):
        end = bisect_right(records, _priority(records[end]), lo=end, key=_priority)
        yield records[end - 1]


class Cursors:
    """The cursors of one process, in memory only."""

    def __init__(self, queues: Iterable[str], timings: PlanTimings = TIMINGS.plan) -> None:
        self._memory, self._step = timings.memory, timings.memory_step
        self._heads: dict[str, list[int]] = {queue: [0] * PRIORITIES for queue in queues}
        # Where looks back end: a first claim walks from zero over all that lies dead, and what was
        # in flight then had a position of the last moments.
        self._ends: dict[str, list[int]] = {queue: [0] * PRIORITIES for queue in queues}
        self._past: deque[tuple[float, dict[str, list[int]]]] = deque()
        self._rewound: dict[str, int] = {}

    def now(self, queues: Sequence[str]) -> list[int]:
        """Return where the cursors stand, ten for each queue."""
        return [position for queue in queues for position in self._heads[queue]]

    def heads(self, queues: Sequence[str]) -> list[int]:
        """Return the cursors for a claim; ``settle`` ends that claim."""
        self._rewound.clear()
        return [position for queue in queues for position in self._heads[queue]]

    def lagging(self, queues: Sequence[str], now: float, age: float) -> list[int]:
        """Return the cursors as they were ``age`` seconds ago, or as long ago as is remembered."""
        self._rewound.clear()
        then = self._heads
        for moment, heads in self._past:
            if moment > now - age and then is not self._heads:
                break
            then = heads
        return [
            min(max(past, end), head)
            for queue in queues
            for past, end, head in zip(
                then[queue], self._ends[queue], self._heads[queue], strict=True
            )
        ]

    def remember(self, now: float) -> None:
        """Keep where the cursors stand, for ``lagging``."""
        past = self._past
        if past and now - past[-1][0] < self._step:
            return
        past.append((now, {queue: list(heads) for queue, heads in self._heads.items()}))
        while len(past) > 1 and past[1][0] < now - self._memory:
            past.popleft()

    def advance(self, queue: str, priority: int, position: int) -> None:
        """Note that ``position`` was claimed."""
        heads = self._heads[queue]
        if position > heads[priority]:
            if not heads[priority]:
                self._ends[queue][priority] = position - _REACH
            heads[priority] = position

    def step(self, queue: str, position: int) -> None:
        """Go past ``position`` at all priorities: nothing up to it is for us."""
        for priority in range(PRIORITIES):
            self.advance(queue, priority, position)

    def rewind(self, queue: str, position: int) -> None:
        """Go back: a job is ready at ``position``, at any priority."""
        heads = self._heads.get(queue)
        if heads is not None:
            self._heads[queue] = [min(head, position - 1) for head in heads]
            self._rewound[queue] = min(position, self._rewound.get(queue, position))

    def settle(self) -> None:
        """Rewind again what was rewound while a claim was on its way and then advanced."""
        for queue, position in self._rewound.items():
            self._heads[queue] = [min(head, position - 1) for head in self._heads[queue]]
        self._rewound.clear()
