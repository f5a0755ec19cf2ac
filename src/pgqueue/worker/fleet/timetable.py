"""When each of several works is due. No clock: the time is handed in."""

from __future__ import annotations

import math

__all__ = ["Timetable"]


class Timetable:
    """A work is put down for a time, taken when it is due, and put down again once it is done.

    Meanwhile it is not due. A work that is called for is due at once, or as soon as it is put down;
    or it is called for later, and is due by then.
    """

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # those that wait
        self._called: dict[str, float] = {}

    def put(self, name: str, at: float) -> None:
        """Have it wait until then."""
        self._at[name] = at

    def call(self, name: str, at: float = -math.inf) -> None:
        """Call for it: do not let it wait longer than until then."""
        self._called[name] = min(at, self._called.get(name, math.inf))

    def next_at(self) -> float:
        """Return when the next one is due; -inf for at once, inf if none waits."""
        return min(map(self._due_at, self._at), default=math.inf)

    def due(self, now: float) -> list[tuple[str, bool]]:
        """Take those that are due, the longest due first; and say of each if it was called for."""
        due = sorted((n for n in self._at if self._due_at(n) <= now), key=self._due_at)
        called = {name for name in due if self._called.get(name, math.inf) <= now}
        for name in due:
            del self._at[name]
        for name in called:
            del self._called[name]
        return [(name, name in called) for name in due]

    def _due_at(self, name: str) -> float:
        return min(self._at[name], self._called.get(name, math.inf))
