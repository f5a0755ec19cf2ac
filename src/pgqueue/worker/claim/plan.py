"""What to claim next, and what an answer says of each queue. It sends nothing; time is handed in.

A claim that looks for one thing begins where the cursor stood a moment ago. Where there is more,
claims begin at the cursor; when one comes back short, the queue is looked at from a moment ago.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pgqueue.worker.claim.ageing import Ages
from pgqueue.worker.claim.cursor import last_of_each_priority
from pgqueue.worker.claim.queue_state import Heat, QueueState
from pgqueue.worker.claim.quotas import Quotas
from pgqueue.worker.claim.request import Answer, Kind, Request
from pgqueue.worker.claim.scope import Scope
from pgqueue.worker.limits.limited_queues import LimitedQueues
from pgqueue.worker.seat import Seat
from pgqueue.worker.timings import TIMINGS, PlanTimings

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Answer", "Kind", "Plan", "Request"]


class Plan:
    """The queues of a worker, their cursors, and when they are looked at next."""

    def __init__(
        self,
        queues: Sequence[str],
        timings: PlanTimings = TIMINGS.plan,
        quotas: Quotas | None = None,
    ) -> None:
        self._timings = timings
        self.quotas = Quotas(LimitedQueues(0), 0) if quotas is None else quotas
        self.states = {name: QueueState(name) for name in queues}
        self.scope = Scope(queues, timings)
        self.cursors = self.scope.cursors
        self._ages = Ages(queues, timings.ages)
        self._lowest: dict[str, int] = {}  # the lowest priority of which the last claim took a job
        self.poll_at = 0.0
        self.polls = 0
        self.claims = 0
        self.long = False  # the next claim has more to walk over than its time allows
        self._lag_at = 0.0  # no look back before
        self._step_at = 0.0

    # -- what is due

    def heat(self, queues: Iterable[str]) -> None:
        """Look at these queues in the next claim, and again for as long as they have jobs."""
        for name in queues:
            state = self.states.get(name)
            if state is not None:
                state.hot = Heat.HOT

    def due(self, now: float) -> tuple[list[QueueState], float]:
        """Return the queues to look at, or to look back on, and when to ask again if none."""
        states: list[QueueState] = []
        next_look = self.poll_at
        for state in self.states.values():
            state.look_if_due(now)
            if state.hot or (state.owed and self._lag_at <= now):
                states.append(state)
                continue
            if state.looks:
                next_look = min(next_look, state.looks[-1])
            if state.owed:
                next_look = min(next_look, self._lag_at)
        return self.quotas.open(states), next_look

    def kind(self, states: Iterable[QueueState], now: float) -> Kind:
        """Return what the next claim is, of these queues or of all."""
        if now >= self.poll_at:
            return Kind.POLL
        usual = Heat.ONCE if now >= self._lag_at else Heat.COLD
        return Kind.CLAIM if max(state.hot for state in states) > usual else Kind.LOOK

    def polled(self, now: float, after: float) -> None:
        """Note a poll; the next comes ``after`` so many seconds, or a bit sooner.

        Workers that began together must not poll together for ever.
        """
        self.poll_at = now + after * random.uniform(0.8, 1.0)
        self.polls += 1

    # -- what to ask

    def claim(
        self, states: Sequence[QueueState], room: int, now: float, threads: int | None = None
    ) -> Request:
        """Return a claim from the cursors; ``threads``: see ``Intake.thread_room``."""
        timings, scope = self._timings, self.scope
        sync, room = scope.next(room, threads)
        scope.of(sync=sync).remember(now)
        names = self._turned(states)
        cursors = scope.heads(names, sync=sync)
        full = any(state.full_since is not None for state in states)
        if full and now >= self._lag_at + timings.lag_every:
            # A queue that is never short would never be looked back on.
            cursors = scope.lagging(names, now, timings.near, sync=sync)
            self._lag_at = now + timings.lag_spacing
        for state in states:
            state.hot = Heat.COLD  # before the claim: a notification meanwhile counts
        below = self._ages.lift(names, cursors, now, sync=sync)
        return Request(names, cursors, room, sync, below, self.quotas.of(names))

    def look(
        self, states: Sequence[QueueState], room: int, now: float, threads: int | None = None,
        *, poll: bool = False,
    ) -> Request:  # fmt: skip
        """Return a claim from where the cursors stood a moment ago."""
        scope = self.scope
        sync, room = scope.next(room, threads)
        scope.of(sync=sync).remember(now)
        names = self._turned(states)
        lagging = scope.lagging(names, now, self._timings.far, sync=sync, poll=poll)
        for state in states:
            state.hot, state.owed = Heat.COLD, False
        return Request(names, lagging, room, sync, caps=self.quotas.of(names))

    def owe(self, states: Iterable[QueueState], now: float) -> bool:
        """Return True if a look back at these queues is put off until it is time to."""
        put_off = now < self._lag_at
        for state in states:
            state.owed = put_off
        return put_off

    def _turned(self, states: Sequence[QueueState]) -> list[str]:
        """Return the names with another one first each time, so that none is always last."""
        names = [state.name for state in states]
        if len(names) < 2:
            return names
        start = self.claims % len(names)
        return names[start:] + names[:start]

    # -- what an answer says

    def met(
        self, queues: Iterable[str], busy: Collection[str], seat: Seat, began: float, now: float,
        *, limit: float,
    ) -> None:  # fmt: skip
        """Note which queues were busy, and whether the claim took ``limit`` seconds or more."""
        self.claims += 1
        # Until the cursors are past it: the next one walks over the same.
        self.long = now - began > limit
        for name in queues:
            self.states[name].met(busy=name in busy, seat=seat, now=now)

    def advance(self, request: Request, records: Sequence[Record]) -> Counter[str]:
        """Take the cursors past what was claimed; return how many of each queue."""
        counts: Counter[str] = Counter()
        cursors = self.scope.of(sync=request.sync)
        advance = cursors.advance
        lowest = self._lowest
        if len(request.queues) == 1:
            name = request.queues[0]
            counts[name] = len(records)
            if records:
                lowest[name] = records[-1]["priority"]
            for record in last_of_each_priority(records):
                advance(name, record["priority"], record["position"])
        else:
            for record in records:
                name, priority = record["queue"], record["priority"]
                counts[name] += 1
                lowest[name] = priority
                advance(name, priority, record["position"])
        cursors.settle()
        return counts

    def found(
        self, states: Iterable[QueueState], answer: Answer, seat: Seat, began: float, now: float,
        *, light: bool,
    ) -> tuple[list[QueueState], list[QueueState]]:  # fmt: skip
        """Note what a claim brought.

        Return the queues that had less than they might, and the streams that ended because they are
        more than this worker can take. ``light``: the next job should come here, too.
        """
        short: list[QueueState] = []
        grown: list[QueueState] = []
        if self.scope.cut or not answer.sync:
            names = [state.name for state in states]
            self.scope.answered(names, set(filter(answer.is_full, names)), sync=answer.sync)
        for state in states:
            if state.name in answer.busy:
                continue  # who is there may leave something: see QueueState.met
            streamed = state.streaming
            full = answer.has_more(state.name)
            count = answer.counts[state.name]
            self._ages.answered(
                state.name, answer.below.get(state.name, 0),
                self._lowest.get(state.name) if count else None, now,
                full=answer.is_full(state.name), sync=answer.sync,
            )  # fmt: skip
            state.found(count, full=full, seat=seat, began=began, now=now, light=light)
            if not full:
                short.append(state)
            elif streamed and not state.streaming:
                grown.append(state)
        self.quotas.on_short(short)
        return short, grown

    def threads_came_free(self) -> None:
        """Look at the queues that may have jobs for threads."""
        self.heat(self.scope.left)
        self.scope.left.clear()

    def looked(self, began: float, took: float) -> None:
        """Note a look back that took so many seconds: looks take a share of the time only."""
        timings = self._timings
        self._lag_at = began + took + max(timings.lag_spacing, timings.lag_share * took)

    def first_found(self, now: float) -> None:
        """The first jobs: that claim walked over all that lies dead, and no look need do so."""
        self._lag_at = now

    # -- what lies in the way

    def steps(self, states: Sequence[QueueState], took: float, now: float) -> bool:
        """True if a look that found nothing took too long, and the last step was a while ago."""
        timings = self._timings
        long = timings.long_walk + timings.long_probes * len(states)
        if took < long or now < self._step_at:
            return False
        self._step_at = now + timings.step_every
        return True

    def behind(self, newest: Mapping[str, int], *, sync: bool = True) -> dict[str, list[int]]:
        """Return the cursors of each queue where one is behind the newest position."""
        cursors = self.scope.of(sync=sync)
        return {
            name: heads
            for name, position in newest.items()
            if min(heads := cursors.now([name])) < position
        }

    def again(self, queues: list[str], room: int, *, sync: bool = True) -> Request:
        """Return a claim from the cursors of these queues, that finds what is behind them."""
        heads = self.scope.heads(queues, sync=sync)
        return Request(queues, heads, room, sync, caps=self.quotas.of(queues))

    def step(
        self, before: Mapping[str, list[int]], newest: Mapping[str, int], answer: Answer
    ) -> None:
        """Go past the newest positions where a claim from ``before`` them found nothing."""
        cursors = self.scope.of(sync=answer.sync)
        for name, heads in before.items():
            if answer.counts[name]:
                self.states[name].hot = Heat.HOT
            elif name not in answer.busy and cursors.now([name]) == heads:
                cursors.step(name, newest[name])
