"""How many admitted jobs may wait for a worker at once: what the fleet begins in a moment."""

from __future__ import annotations

from collections import deque

__all__ = ["Throughput"]

_SPAN = 0.1
_STEP = 0.005
_MOST = 100_000


class Throughput:
    """Twice the slots of the fleet, or what it ran in the last 0.1 s. Time is handed in.

    A tenant that comes new waits for these jobs alone, and workers find enough of them.
    ``slots``, ``workers``: of the whole fleet, as the heartbeat told. What other workers ran is
    taken to be what this one did.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.workers = 1
        self._samples = deque[tuple[float, int]]()

    def ready_most(self, finished: int, now: float) -> int:
        """Return the bound. ``finished``: how many jobs this worker has run up to now."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - _SPAN:
            samples.popleft()
        ran = 0.0
        if samples:
            since, count = samples[0]
            ran = (finished - count) * min(1.0, _SPAN / max(now - since, _STEP))
        if not samples or now - samples[-1][0] >= _STEP:
            samples.append((now, finished))
        return min(_MOST, max(2 * self.slots, round(ran * self.workers)))
