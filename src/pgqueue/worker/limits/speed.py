"""How fast the jobs of one queue with limits go through: see ``Speed`` of the neighbours."""

from __future__ import annotations

from pgqueue.worker.busy import BusyClock

__all__ = ["QueueSpeed"]


class QueueSpeed(BusyClock):
    """``finished``: jobs that ran. The time in which none waits or runs does not count.

    ``ahead``: how many jobs are worth claiming before they may begin, as the claimer says. ``low``:
    more are claimed once so few wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.finished = self.ahead = self.low = 0
