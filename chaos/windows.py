"""When something was wrong with the world, so that what went wrong with a job may be its doing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Windows"]


class Windows:
    """Spans of time, merged where they meet."""

    def __init__(self, spans: Iterable[tuple[float, float]] = ()) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        for begin, end in sorted(spans):
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def meet(self, begin: float, end: float) -> bool:
        """True if any span has a moment in common with this one."""
        at = bisect_right(self._begins, end) - 1
        return at >= 0 and self._ends[at] >= begin

    def hold(self, begin: float, end: float) -> bool:
        """True if one span holds all of this one."""
        at = bisect_right(self._begins, begin) - 1
        return at >= 0 and self._ends[at] >= end

    def longest_gap(self, begin: float, end: float) -> float:
        """How many seconds in a row, of this span, no other has."""
        longest, free = 0.0, begin
        for first, last in zip(self._begins, self._ends, strict=True):
            if last < begin or first > end:
                continue
            longest = max(longest, first - free)
            free = max(free, last)
        return max(longest, end - free)

    def __len__(self) -> int:
        return len(self._begins)

    def total(self) -> float:
        """Seconds in all."""
        return sum(end - begin for begin, end in zip(self._begins, self._ends, strict=True))
