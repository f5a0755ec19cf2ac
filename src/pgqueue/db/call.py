"""What one call of a client may take: time from when it has a connection, and bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.errors import Unreachable

__all__ = ["CALL_SECONDS", "LEAST_SECONDS", "Call", "Ended"]

CALL_SECONDS = 30.0
"""What a call may take, if nobody says otherwise."""

LEAST_SECONDS = 3.0
"""With less left nothing is sent: a slow answer would come too late to know whether it was yes."""


class Ended(Unreachable):
    """The session was lost and nothing of the work can have come to stay: do it on another.

    It never reaches a caller: ``Call.again`` says in its place that there is no time left.
    """


class Call:
    """The bounds of one call. ``size``: see ``Pool.run``."""

    __slots__ = ("_retry", "_seconds", "_until", "checked", "size")

    def __init__(self, seconds: float, *, checked: bool, size: int | None) -> None:
        self.checked = checked
        self.size = size
        self._seconds = seconds
        self._until: float | None = None
        self._retry: Iterator[float] | None = None

    def begin(self, now: float) -> float:
        """Return until when it may take, counted from when it first had a connection.

        Raises Unreachable if too little is left for a statement to be sent.
        """
        if self._until is None:
            self._until = now + self._seconds
        if self._until - now < self._least():
            raise Unreachable(
                f"no usable connection within the {self._seconds:g} s of this call; "
                "nothing was sent"
            )
        return self._until

    def again(self, ended: Ended) -> float:
        """Return how long to wait before the next try, or raise what the caller is to hear."""
        if self._retry is None:
            # Not at all, then ever longer.
            self._retry = chain((0.0,), iter(RetryDelay().delay, None))
        wait = next(self._retry)
        until = self._until
        if until is not None and time.monotonic() + wait + self._least() > until:
            raise Unreachable(f"{ended}; nothing was sent") from ended.__cause__
        return wait

    def _least(self) -> float:
        return min(LEAST_SECONDS, self._seconds / 2)
