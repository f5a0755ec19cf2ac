"""One claim: what it asks for, and what it brought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = ["Answer", "Kind", "Request"]


class Kind(Enum):
    """Where the next claim begins, and of which queues."""

    POLL = auto()  # every queue, announced or not: a look back
    CLAIM = auto()  # at the cursors
    LOOK = auto()  # where the cursors stood a moment ago: the look back as well


@dataclass(frozen=True, slots=True)
class Request:
    """A claim of ``room`` jobs at most, from ten cursors for each queue.

    ``sync``: also jobs of tasks without async. ``below``: queues of which it takes no job of the
    first priorities, and at which one it begins. ``caps``: of queues with limits, how many.
    """

    queues: list[str]
    cursors: list[int]
    room: int
    sync: bool = True
    below: Mapping[str, int] = field(default_factory=dict[str, int])
    caps: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def quota(self) -> int:
        """How many jobs it may take of each queue without limits."""
        return max(1, -(-self.room // len(self.queues)))

    @property
    def quotas(self) -> list[int]:
        """How many jobs it may take of each queue."""
        quota, caps = self.quota, self.caps
        if not caps:
            return [quota] * len(self.queues)
        return [min(quota, caps.get(queue, quota)) for queue in self.queues]


@dataclass(frozen=True, slots=True)
class Answer:
    """How many jobs of each queue a claim took; ``busy``: where another worker was claiming."""

    counts: Counter[str]
    quota: int
    busy: Collection[str]
    sent: bool = True  # False without a worker's id
    sync: bool = True
    below: Mapping[str, int] = field(default_factory=dict[str, int])
    caps: Mapping[str, int] = field(default_factory=dict[str, int])

    def is_full(self, queue: str) -> bool:
        """True if it took of this queue all that it might."""
        quota = self.quota
        if self.caps:
            quota = min(quota, self.caps.get(queue, quota))
        return self.counts[queue] >= quota

    def has_more(self, queue: str) -> bool:
        """True if this queue may have more: also if the claim did not begin at its first job."""
        return self.is_full(queue) or queue in self.below
