"""How long to wait before something is tried again."""

from __future__ import annotations

import random

__all__ = ["RetryDelay"]


class RetryDelay:
    """How long to wait before the next try: doubling to a cap, spread by jitter."""

    def __init__(self, first: float = 0.05, cap: float = 1.5) -> None:
        self._first = first
        self._cap = cap
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def delay(self) -> float:
        now = self._next
        self._next = min(self._next * 2, self._cap)
        return now * random.uniform(0.5, 1.0)
