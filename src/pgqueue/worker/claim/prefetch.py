"""How fast jobs go through the runner, and so how many to claim ahead of free slots."""

from __future__ import annotations

import time

from pgqueue.worker.neighbours import Speed

__all__ = ["Prefetch"]

_AHEAD = 0.1
_AHEAD_LONGEST = 0.5
_ENOUGH_TO_TELL = 50
_SHORTEST_SPAN = 0.02
_FORGET_AFTER = 0.2


class Prefetch:
    """The rate at which the runner finishes jobs: over what it was busy, and since a mark.

    Only time with something to run counts towards the first: who waits for a turn at a crowded
    queue does not become slower by it. The first rate is of the jobs since the start, or since it
    was told to forget.
    """

    def __init__(self, runner: Speed, max_prefetch: int) -> None:
        self._runner = runner
        self._max_prefetch = max_prefetch
        self._rate = 0.0  # jobs a second
        self._busy = 0.0
        self._finished = 0
        self._forgotten = 0  # jobs that say nothing of those that run now
        self._marked_at = 0.0
        self._marked_finished = 0

    @property
    def ended(self) -> int:
        """How many of the jobs have ended that count."""
        return self._runner.finished - self._forgotten

    def forget(self) -> None:
        """What runs from here on is other work, which may take longer."""
        self._rate = 0.0
        self._busy = self._runner.busy_seconds(time.monotonic())
        self._finished = self._forgotten = self._runner.finished

    def ahead_at_first(self, turn: float) -> int:
        """Return the same as ``ahead``, but no more than have ended until fifty have.

        So few jobs tell only of as many more.
        """
        ended = self.ended
        if ended >= _ENOUGH_TO_TELL:
            return self.ahead(turn)
        span = self._runner.busy_seconds(time.monotonic()) - self._busy
        if not self._rate and 0 < span < _SHORTEST_SPAN:
            return min(self._done(ended / span, turn), ended)
        return min(self.ahead(turn), ended)

    def ahead(self, turn: float) -> int:
        """Return how many jobs to claim ahead of free slots: what is done until the next turn.

        That is a tenth of a second, or ``turn``, the seconds that the last one took to come.
        """
        busy = self._runner.busy_seconds(time.monotonic())
        span = busy - self._busy
        finished = self._runner.finished
        # One of many workers runs a claim in a millisecond: 20 ms would be twenty turns.
        first = not self._rate and finished - self._finished >= _ENOUGH_TO_TELL
        if span >= _SHORTEST_SPAN or (first and span > 0):
            rate = (finished - self._finished) / span
            weight = min(1.0, span / _FORGET_AFTER) if self._rate else 1.0
            self._rate += (rate - self._rate) * weight
            self._busy = busy
            self._finished = finished
        return self._done(self._rate, turn)

    def _done(self, rate: float, turn: float) -> int:
        """How many are done until the next turn; a single one is none."""
        if self._max_prefetch == 0:
            return 0
        ahead = int(rate * min(max(_AHEAD, turn), _AHEAD_LONGEST))
        return min(ahead, self._max_prefetch) if ahead > 1 else 0

    def mark(self) -> None:
        """What is finished from here on counts for ``since_mark``."""
        self._marked_at, self._marked_finished = time.monotonic(), self._runner.finished

    def since_mark(self, at_least: float) -> float:
        """Return how many jobs a second were finished since the mark, which moves to now.

        A shorter time counts as ``at_least`` seconds.
        """
        marked_at, finished = self._marked_at, self._marked_finished
        self.mark()
        return (self._marked_finished - finished) / max(self._marked_at - marked_at, at_least)

    def slow_to(self, rate: float) -> None:
        """Jobs take longer than they did: claim ahead no more than by that rate."""
        self._rate = rate
