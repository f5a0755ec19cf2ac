"""The tokens of a queue's rate that this worker has. Time is handed in."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["AGAIN", "AHEAD", "VALID", "Tokens"]

AHEAD = 0.25
"""Seconds: the database gives no tokens that come later; see take_tokens()."""

VALID = 0.25
"""Seconds for which a token may be used. After that it is given back."""

AGAIN = 0.2
"""Seconds until a worker asks again that got fewer than it asked for, at the least."""

assert AGAIN < AHEAD  # it asks again before it has used what it got


class Tokens:
    """``few``: fewer were given than asked for; more can be had at ``again_at``.

    ``unused``: how many are to be given back.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.few = False
        self.again_at = 0.0
        self.unused = 0

    def __len__(self) -> int:
        return len(self._times)

    def ready(self, now: float) -> bool:
        """Return whether a job may begin now."""
        times = self._times
        while times and times[0] + VALID < now:
            times.popleft()
            self.unused += 1
        return bool(times) and times[0] <= now

    def use(self) -> None:
        """A job begins."""
        self._times.popleft()

    def next_at(self, now: float) -> float:
        """Return when the next one may be used that may not be used yet; infinity: none."""
        return next((moment for moment in self._times if moment > now), math.inf)

    def add(self, count: int, first: float, each: float, now: float) -> None:
        """Take so many: the first after so many seconds, each other one ``each`` later."""
        self._times.extend(now + max(0.0, first + n * each) for n in range(count))

    def wait(self, seconds: float, now: float) -> None:
        """There were no more; there will be in so many seconds."""
        self.few, self.again_at = True, now + max(seconds, AGAIN)

    def give_back(self) -> None:
        """No job is here to use them."""
        self.unused += len(self._times)
        self._times.clear()
        self.few = False

    def forget(self) -> None:
        """Nobody knows any more which were given."""
        self._times.clear()
        self.few, self.again_at, self.unused = False, 0.0, 0
