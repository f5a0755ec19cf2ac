"""How many of its slots a worker uses: fewer while its event loop lags or its renewals come late.

The watchdog asks the loop every half second or two. How long it took to answer is a look.

| looks                                                       | what follows                       |
|-------------------------------------------------------------|------------------------------------|
| three in a row were bad: a lag of 0.5 s, or a slow renewal  | half as many slots; one at least   |
| four in a row were good: half that lag at most              | twice as many; all at most         |
| others                                                      | as before                          |

One call that blocks the loop for long is one look. No running job is ended: the worker claims none
until fewer run. Time is handed in.
"""

from __future__ import annotations

import logging

from pgqueue.worker.timings import TIMINGS, OverloadTimings

__all__ = ["Overload"]

log = logging.getLogger("pgqueue.worker")


class Overload:
    """``allowed``: how many of its ``slots`` the worker may use now."""

    def __init__(self, slots: int, timings: OverloadTimings = TIMINGS.plan.overload) -> None:
        self._slots = slots
        self._timings = timings
        self._bad = self._good = 0  # looks in a row
        self.allowed = slots

    @property
    def is_on(self) -> bool:
        """True while it uses fewer slots than it has."""
        return self.allowed < self._slots

    def look(self, lag: float, *, late: bool) -> bool:
        """Take in a look; return whether more slots may be used than before.

        ``lag``: seconds until the event loop answered. ``late``: the last renewal of the lease took
        an eighth of it.
        """
        bad = late or lag >= self._timings.lag
        good = not late and lag <= self._timings.lag / 2
        self._bad = self._bad + 1 if bad else 0
        self._good = self._good + 1 if good else 0
        if self._bad >= self._timings.bad_looks:
            self._bad = 0
            why = "its renewals come late" if late else f"its event loop lags {lag:.1f} s"
            self._use_fewer(why)
        elif self.is_on and self._good >= self._timings.good_looks:
            self._good = 0
            self._use_more()
            return True
        return False

    def _use_fewer(self, why: str) -> None:
        before, self.allowed = self.allowed, max(1, self.allowed // 2)
        if before == self._slots > 1:
            log.warning(
                "overloaded: %s; this worker uses %d of its %d slots, and fewer if that goes on",
                why, self.allowed, self._slots,
            )  # fmt: skip

    def _use_more(self) -> None:
        self.allowed = min(self._slots, self.allowed * 2)
        if not self.is_on:
            log.info("not overloaded any more: all %d slots are used", self._slots)
