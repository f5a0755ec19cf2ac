"""When each of several works is due. No clock: the time is handed in."""

from __future__ import annotations

import math

__all__ = ["Timetable"]


class Timetable:
    """A work is put down for a time, taken when it is due, and put down again once it is done.

    Meanwhile it is not due. A work that is called for is due at once, or as soon as it is put down.
    """

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # those that wait
        self._called: set[str] = set()

    def put(self, name: str, at: float) -> None:
        """Have it wait until then."""
        self._at[name] = at

    def call(self, name: str) -> None:
        """Call for it: do not let it wait."""
        self._called.add(name)

    def next_at(self) -> float:
        """Return when the next one is due; -inf for at once, inf if none waits."""
        return min(map(self._due_at, self._at), default=math.inf)

    def due(self, now: float) -> list[tuple[str, bool]]:
        """Take those that are due, the longest due first; and say of each if it was called for."""
        due = sorted((n for n in self._at if self._due_at(n) <= now), key=self._due_at)
        taken = [(name, name in self._called) for name in due]
        for name in due:
            del self._at[name]
            self._called.discard(name)
        return taken

    def _due_at(self, name: str) -> float:
        return -math.inf if name in self._called else self._at[name]
