"""Until when others leave alone what this worker has claimed, and how often it is renewed."""

from __future__ import annotations

import math
import threading
import time

__all__ = ["Lease", "heartbeat_every"]

_FLEET_BEATS = 250.0
_LEAST_BEATS = 4
assert _LEAST_BEATS > 3  # settings allow a third of a lease; renew_lease.sql forgets after half
_AT_REST = 4


def heartbeat_every(usual: float, lease: float, workers: int, *, at_rest: bool = False) -> float:
    """Return the seconds between two heartbeats of each of so many workers.

    All of them together send 250 a second, while each still sends four a lease; and no worker sends
    more than it was set to. One ``at_rest``, which is not on watch and has nothing to run, sends
    fewer.
    """
    wanted = max(_AT_REST * usual if at_rest else usual, workers / _FLEET_BEATS)
    return max(usual, min(wanted, lease / _LEAST_BEATS))


class Lease:
    """The worker's lease as its own clock has it. What waits to begin, waits for it.

    The heartbeat thread writes it, the worker's loop reads it; ``until`` is by time.monotonic(). It
    is counted from before the heartbeat was sent: so it ends here before it ends in the database.
    Nobody sees that the clock stood still while the host was suspended.
    ``renewing_since``: the begin of the time in which heartbeats succeeded without a gap, as far as
    this worker may judge others by it, and itself. ``took``: the seconds that the last one took.
    """

    def __init__(self) -> None:
        self.until = -math.inf
        self.renewing_since = time.monotonic()
        self.took = 0.0
        self._next = -math.inf
        self._losses = 0
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    def hold(self, since: float, seconds: float) -> None:
        """It runs for so many seconds from the time ``since``."""
        with self._lock:
            self._next = since + seconds
            self.took = time.monotonic() - since
            self._settle()

    def cut(self, moment: float) -> None:
        """It runs until then at most: others may take this worker for dead."""
        with self._lock:
            self._next = min(self._next, moment)
            self._settle()

    def lose(self) -> None:
        """It is lost; a new one is of no use before ``forget`` was called as often as this."""
        with self._lock:
            self._losses += 1
            self._next = -math.inf
            self._settle()

    def forget(self) -> None:
        """What was claimed under a lost lease is not kept any more."""
        with self._lock:
            self._losses -= 1
            self._settle()

    def _settle(self) -> None:
        self.until = -math.inf if self._losses > 0 else self._next
