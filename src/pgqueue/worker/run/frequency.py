"""Says which tasks run so often that nobody would read a line about each of their jobs."""

from __future__ import annotations

__all__ = ["LINES_A_SECOND", "Frequency"]

LINES_A_SECOND = 200
"""A task that runs more often than this gets no line for each job."""


class Frequency:
    """How often something happens, by the second. All times are monotonic and handed in.

    ``passes`` is called with each; it is True while there are few. After a second with too many
    there is silence, for as long as each second has too many.
    """

    __slots__ = ("_count", "_most", "_quiet", "_until")

    def __init__(self, most: int = LINES_A_SECOND) -> None:
        self._most = most
        self._count = 0
        self._quiet = False
        self._until = float("-inf")

    def passes(self, now: float) -> bool:
        """Count one more; return True if it gets a line."""
        if now >= self._until:
            self._quiet = self._count > self._most and now < self._until + 1.0
            self._until = now + 1.0
            self._count = 0
        self._count += 1
        return not self._quiet and self._count <= self._most
