"""Whether to call more workers to a queue that has more than this one can take. Time is handed in.

Who is on watch calls the first; the last of those who were called call twice as many.

What fills all the room of a watcher may be short jobs that it soon works off. So it puts the call
off for some ms. So does who was called, if it had room for a few jobs only; these may be single
ones that just came closely, and from one such call to the next it is a tenth of a second.
"""

from __future__ import annotations

from pgqueue.worker.seat import WATCH, Seat

__all__ = ["Calling"]

_CALLED_WITHIN, _CALLED_SECONDS = 0.03, 0.1
_CALL_EVERY = 1.0
_CALLED_FIRST = 8
_MANY = 8  # so many jobs do not come one by one
_FULL_FOR, _CALL_APART = 0.005, 0.1
assert _FULL_FOR < _CALL_APART < _CALL_EVERY


class Calling:
    """The calls about one queue: those that were heard, and those that are due."""

    __slots__ = ("_called", "_called_at", "_called_until", "put_off_to")

    def __init__(self) -> None:
        self._called = 0  # how many were called with us
        self._called_at = float("-inf")  # when we called others
        self._called_until = float("-inf")
        self.put_off_to = float("inf")  # call then, unless there has been room

    def heard(self, reach: int, seat: Seat, now: float, rand: float) -> float | None:
        """Return when to look, after a call for ``reach`` workers; None if it was for others.

        ``rand``: 0 to 1.
        """
        if seat.place is None or seat.place >= reach:
            return None
        self._called_until = now + _CALLED_SECONDS
        self._called = reach
        return now + rand * _CALLED_WITHIN

    def is_wanted(self, now: float) -> bool:
        """True for a moment after a call."""
        return now < self._called_until

    def end(self) -> None:
        """There is no more than can be taken."""
        self.put_off_to = float("inf")

    def due(self, count: int, seat: Seat, full_since: float, now: float) -> int:
        """Return how many workers are to be called now, beside those who were.

        A claim of ``count`` jobs took all that it might. Who was looking for one job and found it
        leaves it to the rest of the watch to call; of those who were called the last two do, and at
        once where there were many: the watch has waited already.
        """
        self.put_off_to = float("inf")
        if count < 2 and seat.rank is not None and seat.rank + 1 < WATCH:
            return 0
        if self._called_at >= full_since:  # for the same burst
            return self.call(seat, now) if now >= self._called_at + _CALL_EVERY else 0
        moment = full_since if seat.rank is None and count >= _MANY else full_since + _FULL_FOR
        if count < _MANY:
            moment = max(moment, self._called_at + _CALL_APART)
        if now < moment:
            self.put_off_to = moment if self._reach(seat, now) else float("inf")
            return 0
        return self.call(seat, now)

    def call(self, seat: Seat, now: float) -> int:
        """Return how many are to be called, and note that they were."""
        self.put_off_to = float("inf")
        reach = self._reach(seat, now)
        if reach:
            self._called_at = now
        return reach

    def _reach(self, seat: Seat, now: float) -> int:
        if seat.workers < 2:
            return 0
        if seat.rank is not None:
            return WATCH + _CALLED_FIRST
        last = seat.place is not None and seat.place >= self._called - 2
        if not last or now >= self._called_until or self._called >= seat.hearers:
            return 0
        return 2 * self._called
