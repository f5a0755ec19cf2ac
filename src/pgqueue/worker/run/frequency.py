"""Says which tasks run so often that nobody would read a line about each of their jobs."""

from __future__ import annotations

__all__ = ["LINES_A_SECOND", "SILENT_SECONDS", "Frequency"]

LINES_A_SECOND = 200
"""A task that runs more often than this gets no line for each job."""

SILENT_SECONDS = 10.0
"""For how long it gets none, before it is looked at anew."""


class Frequency:
    """How often something happens, by the second. All times are monotonic and handed in.

    ``passes`` is called with each, but not before ``silent_until``: to ask that is cheaper. So the
    jobs of a silent task are not counted.
    """

    __slots__ = ("_count", "_most", "_until", "silent_until")

    def __init__(self, most: int = LINES_A_SECOND) -> None:
        self._most = most
        self._count = 0
        self._until = float("-inf")
        self.silent_until = float("-inf")

    def passes(self, now: float) -> bool:
        """Count one more; return True if it gets a line. After a second with too many: silence."""
        if now < self.silent_until:
            return False
        if now >= self._until:
            self._until = now + 1.0
            self._count = 0
        self._count += 1
        if self._count > self._most:
            self.silent_until = now + SILENT_SECONDS
            return False
        return True
