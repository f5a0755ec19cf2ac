"""For how long there has been something to run."""

from __future__ import annotations

__all__ = ["BusyClock"]


class BusyClock:
    """Counts the seconds between each ``begin`` and the next ``end``; all times are monotonic."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None

    def begin(self, now: float) -> None:
        """There is something to run, as there may have been before."""
        if self._since is None:
            self._since = now

    def end(self, now: float) -> None:
        """There is nothing to run any more."""
        self._seconds = self.busy_seconds(now)
        self._since = None

    def busy_seconds(self, now: float) -> float:
        """Return how many seconds there was something to run, up to now."""
        return self._seconds + (0.0 if self._since is None else now - self._since)
