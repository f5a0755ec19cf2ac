"""How fast the jobs of one queue with limits go through: see ``Speed`` of the neighbours."""

from __future__ import annotations

__all__ = ["QueueSpeed"]


class QueueSpeed:
    """``finished``: jobs that ran. The time in which none waits or runs does not count.

    ``ahead``: how many jobs are worth claiming before they may begin, as the claimer says. ``low``:
    more are claimed once so few wait.
    """

    def __init__(self) -> None:
        self.finished = self.ahead = self.low = 0
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
        """For how long there has been something to run, up to the monotonic time ``now``."""
        return self._seconds + (0.0 if self._since is None else now - self._since)
