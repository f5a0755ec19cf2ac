"""How many jobs a claim may take of queues with limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pgqueue.worker.claim.prefetch import Prefetch
from pgqueue.worker.claim.queue_state import QueueState
from pgqueue.worker.limits.limited_queues import LimitedQueues

__all__ = ["NONE", "Quotas"]

NONE: Mapping[str, int] = {}


class Quotas:
    """Nothing is asked of it while no queue has limits."""

    def __init__(self, limited: LimitedQueues, max_prefetch: int) -> None:
        self.limited = limited
        self._max_prefetch = max_prefetch
        self._prefetches: dict[str, Prefetch] = {}

    def _learn_speeds(self) -> None:
        """Learn how fast the jobs of each queue go through: so many are worth claiming ahead."""
        for one in self.limited:
            prefetch = self._prefetches.get(one.queue)
            if prefetch is None:
                prefetch = self._prefetches[one.queue] = Prefetch(one.speed, self._max_prefetch)
            one.speed.ahead = prefetch.ahead_at_first(0.0)

    def open(self, states: list[QueueState]) -> list[QueueState]:
        """Return those of these queues that a claim may take jobs of."""
        if not self.limited:
            return states
        self._learn_speeds()
        return [state for state in states if self.limited.allowance(state.name) != 0]

    def open_or_owed(self, states: list[QueueState]) -> list[QueueState]:
        """Return the same; the others are to be looked back on later."""
        found = self.open(states)
        if len(found) < len(states):
            for state in states:
                state.owed = state not in found
        return found

    def of(self, queues: Iterable[str]) -> Mapping[str, int]:
        """Return how many jobs a claim may take of those of these queues that have limits."""
        if not self.limited:
            return NONE
        found = ((queue, self.limited.allowance(queue)) for queue in queues)
        return {queue: most for queue, most in found if most is not None}

    def on_short(self, states: Iterable[QueueState]) -> None:
        """These queues had fewer jobs than a claim might take."""
        if self.limited:
            for state in states:
                if (one := self.limited.get(state.name)) is not None:
                    one.on_empty()
                    one.give_way()
                    self.limited.asks.set()
