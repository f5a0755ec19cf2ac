"""When a worker looks at which flow. Neither server nor clock: time is handed in.

| what is said of a flow                 | it is looked at                                      |
|----------------------------------------|------------------------------------------------------|
| it has tickets                         | now, or when the worker's turn is among those told   |
| more could be admitted                 | now                                                  |
| another worker was at it               | after 1, 2, 4 ... 250 ms                             |
| a rate or a break lets more in later   | then; and later each time that another one was first |
| the database refuses it                | after 10 s                                           |

Who waits for another worker, or was refused, is not called before that by tickets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pgqueue.worker.flows.floors import Answer
from pgqueue.worker.timings import FLOW_TIMINGS, FlowTimings

__all__ = ["Agenda", "Look"]

_MOST_DOUBLINGS = 20


@dataclass(slots=True)
class Look:
    """``at``: monotonic seconds. ``timed``: a time has come, and nobody said that there is work.

    ``fixed``: tickets do not bring it forward.
    """

    at: float
    timed: bool = False
    fixed: bool = False


class Agenda:
    """The looks to come of one worker."""

    def __init__(self, timings: FlowTimings = FLOW_TIMINGS) -> None:
        self._timings = timings
        self._looks: dict[str, Look] = {}
        self._busy: dict[str, int] = {}  # how often in a row another was at it
        self._late: dict[str, int] = {}  # how often in a row another was first when a time came

    @property
    def next_at(self) -> float:
        """When the next look is due; infinity if none is."""
        return min((look.at for look in self._looks.values()), default=math.inf)

    def ticketed(self, flows: Iterable[str], now: float, delay: float = 0.0) -> None:
        """Note that these flows have tickets, which others may see to within ``delay``."""
        for flow in flows:
            look = self._looks.get(flow)
            if look is None:
                self._looks[flow] = Look(now + delay)
            elif not look.fixed:
                self._looks[flow] = Look(min(look.at, now + delay))

    def take(self, now: float) -> tuple[str, Look] | None:
        """Return the flow whose look has been due the longest; None if none is."""
        flow = min(self._looks, key=lambda name: self._looks[name].at, default=None)
        if flow is None or self._looks[flow].at > now:
            return None
        return flow, self._looks.pop(flow)

    def answered(self, flow: str, look: Look, answer: Answer, now: float) -> None:
        """Note what came of a look."""
        if answer["admitted"] < 0:
            step = self._busy[flow] = min(self._busy.get(flow, 0) + 1, _MOST_DOUBLINGS)
            wait = min(self._timings.busy_first * 2 ** (step - 1), self._timings.busy_most)
            self._looks[flow] = Look(now + wait, timed=look.timed, fixed=True)
            return
        self._busy.pop(flow, None)
        if answer["admitted"] or not look.timed:
            self._late.pop(flow, None)
        elif answer["wait"] is not None:
            self._late[flow] = min(self._late.get(flow, 0) + 1, _MOST_DOUBLINGS)
        if answer["more"]:
            self.ticketed((flow,), now)
        elif answer["wait"] is not None and flow not in self._looks:
            self._looks[flow] = Look(now + answer["wait"] + self._behind(flow), timed=True)

    def refused(self, flow: str, now: float) -> None:
        """Note that the database refuses to admit jobs of this flow."""
        self._looks[flow] = Look(now + self._timings.refused, fixed=True)

    def _behind(self, flow: str) -> float:
        """Return how much later this worker comes than who is first as a rule."""
        late = self._late.get(flow)
        if late is None:
            return 0.0
        return min(self._timings.busy_first * 2**late, self._timings.late_most)
