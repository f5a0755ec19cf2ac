"""When a worker asks which flows have tickets. Time is handed in."""

from __future__ import annotations

import math

from pgqueue.worker.timings import FLOW_TIMINGS, FlowTimings

__all__ = ["Search"]


class Search:
    """The next search, if one is wanted. ``at``: when it is due; infinity if none is.

    ``lines``: it is for flows with a key whose turn it is as well, not only for tickets. That costs
    more, and finds what waits for a time that nobody else knows of.
    """

    def __init__(self, timings: FlowTimings = FLOW_TIMINGS) -> None:
        self._timings = timings
        self._not_before = -math.inf
        self.at = math.inf
        self.lines = False

    def want(self, now: float, *, lines: bool) -> bool:
        """Search soon; return whether none was wanted before."""
        self.lines |= lines
        if self.at < math.inf:
            return False
        self.at = max(now, self._not_before)
        return True

    def begin(self) -> bool:
        """Begin it; return ``lines``. What is wanted from now on is wanted of the next one."""
        lines, self.lines, self.at = self.lines, False, math.inf
        return lines

    def end(self, began: float, now: float) -> None:
        """Note that it is over: the next one takes a share of the time only."""
        share = self._timings.search_share * (now - began)
        self._not_before = now + max(self._timings.search_spacing, share)
        if self.at < math.inf:
            self.at = max(self.at, self._not_before)
