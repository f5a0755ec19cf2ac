"""Says when to write a line about what happens often."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Seldom"]


class Seldom:
    """Due at once, and then every so many seconds at most. From any thread."""

    def __init__(self, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._at = float("-inf")
        self._count = 0

    def count(self) -> int:
        """Note that it happened. Return how often since the last line if one is due, else 0."""
        self._count += 1
        now = self._clock()
        if now < self._at + self._every:
            return 0
        count, self._count, self._at = self._count, 0, now
        return count
