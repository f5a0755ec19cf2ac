"""Before which due time no job is looked for. Time is handed in."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from pgqueue.worker.timings import TIMINGS

__all__ = ["DueFloor"]

_EVER = datetime(1, 1, 2, tzinfo=UTC)
_BACK = timedelta(seconds=60)


class DueFloor:
    """The due time before which no scheduled job is left, as far as was seen.

    Jobs can appear below it: a transaction with a delayed job may commit late. So now and then all
    is looked at again, from the start of the index.

    The promoter's task alone calls the methods. The thread of the heartbeat reads ``moment``, which
    is one read of one reference and changes nothing here.
    """

    __slots__ = ("_every", "from_ever_at", "moment")

    def __init__(self, from_ever_every: float = TIMINGS.due.from_ever_every) -> None:
        self._every = from_ever_every
        self.moment = _EVER
        self.from_ever_at = -math.inf

    def look_from(self, now: float) -> datetime:
        """Return where a look at this moment begins; now and then that is the start."""
        if now >= self.from_ever_at:
            self.moment = _EVER
            self.from_ever_at = now + self._every
        return self.moment

    def rests(self, now: float) -> float:
        """Return for how many seconds no look begins at the start."""
        return self.from_ever_at - now

    def clear_until(self, run_at: datetime) -> None:
        """Note that no job was left before ``run_at``; a minute is kept for clocks that differ."""
        self.moment = max(self.moment, run_at - _BACK)
