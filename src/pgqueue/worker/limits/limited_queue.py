"""One queue with limits: its jobs that have not begun, and what this worker may run of them.

It sends nothing, and time is handed in. What it may run it asks the database for:

| it has                          | then                                                          |
|---------------------------------|---------------------------------------------------------------|
| more jobs than permits, tokens  | it asks for as many                                           |
| got fewer than it asked for     | it keeps the jobs that may begin soon, releases the others,   |
|                                 | and claims no more than may begin                             |
| no permit                       | it asks again with each heartbeat, or when told there is one  |
| no token                        | it asks again when there will be one                          |
| more permits than it uses       | it gives them back with a heartbeat, or when another worker   |
|                                 | wants some                                                    |
| more permits than its share     | it begins no more until enough have ended                     |
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from pgqueue.flow.queue_limits import Limits
from pgqueue.worker.limits.speed import QueueSpeed
from pgqueue.worker.limits.tokens import AHEAD, Tokens
from pgqueue.worker.receipt import Claimed

__all__ = ["Answer", "Ask", "LimitedQueue"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What take_leave.sql is asked: how many jobs at once, how many of these keep theirs; tokens.

    ``unused``: tokens that are given back.
    """

    wanted: int
    busy: int
    tokens: int
    unused: int


class Answer(Protocol):
    """The answer; see take_leave.sql."""

    def __getitem__(self, name: str, /) -> Any: ...


class LimitedQueue:
    """``slots``: how many jobs the worker runs at once, of all queues. ``running``: of this one.

    ``may``: how many may run. ``held``: how many permits the database knows of. ``short``: it
    wants more than it got. ``stirred``: there is a reason to ask again. ``sought``: another worker
    wants permits. ``drained``: the last claim took all that the queue had. ``peak``: how many ran
    at once since the last heartbeat.
    """

    def __init__(self, queue: str, limits: Limits, slots: int, *, running: int = 0) -> None:
        self.queue = queue
        self.limits = limits
        self._slots = slots
        self.jobs: deque[Claimed] = deque()
        self.running = self.peak = running
        self.may = self.held = 0
        self.short = self.stirred = self.sought = self.drained = False
        self.speed = QueueSpeed()
        self.tokens = Tokens()

    # -- what may begin

    def can_begin(self, now: float) -> bool:
        """Return whether its first job may begin."""
        return (
            bool(self.jobs)
            and (self.limits.concurrency is None or self.running < self.may)
            and (self.limits.rate is None or self.tokens.ready(now))
        )

    def begin(self) -> Claimed:
        """Take its first job, which begins."""
        self.running += 1
        self.peak = max(self.peak, self.running)
        if self.limits.rate is not None:
            self.tokens.use()
        return self.jobs.popleft()

    # -- what to claim

    @property
    def is_shut(self) -> bool:
        """True if it wants permits and has none."""
        return self.short and not self.may

    @property
    def _most(self) -> int:
        """How many of its jobs would run at once here, by what is known."""
        limit = self.limits.concurrency
        if limit is None:
            return self._slots
        return self.may if self.short else min(limit, self._slots)

    @property
    def _soon(self) -> int:
        """How many of its jobs may begin at once or soon, by its rate."""
        return max(self.limits.burst, math.ceil((self.limits.rate or 0.0) * AHEAD))

    def _depth(self) -> int:
        """How many jobs may wait here."""
        if self.is_shut:
            return 0
        depth = max(0, self._most - self.running) + self.speed.ahead
        if self.limits.rate is not None:
            depth = min(depth, len(self.tokens) if self.tokens.few else self._soon)
        return depth

    def allowance(self) -> int:
        """Return how many jobs to claim now; none while more than half of what may wait does."""
        waiting, depth = len(self.jobs), self._depth()
        self.speed.low = depth // 2 if depth else -1
        return depth - waiting if waiting <= self.speed.low else 0

    def surplus(self) -> list[Claimed]:
        """Take out the jobs that would not begin soon."""
        keep = self._depth()
        return [self.jobs.pop() for _ in range(len(self.jobs) - keep)]

    def on_empty(self) -> None:
        """The queue has no more jobs than were claimed: what it got is enough."""
        self.drained = True
        if self.may:
            self.short = False
        if not self.jobs:
            self.tokens.give_back()

    # -- what to ask

    def give_way(self) -> bool:
        """Return whether permits lie idle that another worker wants."""
        if self.sought and self.drained and self.held > self.running + len(self.jobs):
            self.stirred = True
        return self.stirred

    def ask(self, now: float, *, renewed: bool = False) -> Ask | None:
        """Return what to ask now, if anything. ``renewed``: a heartbeat was answered.

        Until the answer comes, no more jobs run than the database is told of: it may give the
        other permits away.
        """
        tokens, holds = self._tokens_wanted(now), self.held or self.short
        if not (
            tokens
            or self._needs_permits()
            or (holds and (renewed or self.stirred))
            or (renewed and self.tokens.unused)
            or self.held > max(self.may, self.running)
        ):
            return None
        demand = self.running + len(self.jobs)
        busy = min(self.held, max(self.running, min(self.may, demand)))
        wanted = min(self._slots, max(demand, self.peak if renewed else 0))
        if self.short:
            wanted = max(wanted, min(self.limits.concurrency or 0, self._slots))
        if renewed:
            self.peak = self.running
        self.stirred = self.sought = False
        self.may = min(self.may, busy)
        return Ask(wanted, busy, tokens, self.tokens.unused)

    def _needs_permits(self) -> bool:
        if self.limits.concurrency is None or self.short or not self.jobs:
            return False
        return self.may < min(self._slots, self.running + len(self.jobs))

    def _tokens_wanted(self, now: float) -> int:
        """How many tokens to ask for: where there were too few, before it claims jobs for them."""
        if self.limits.rate is None or self.is_shut:
            return 0
        if self.tokens.few and now < self.tokens.again_at:
            return 0
        self.tokens.ready(now)
        most = max(0, self._most - self.running) + self.speed.ahead
        wanted = max(len(self.jobs), self._soon if self.tokens.few else 0)
        return max(0, min(wanted, most) - len(self.tokens))

    def answered(self, ask: Ask, answer: Answer, now: float, *, spread: float = 0.0) -> None:
        """Take an answer. ``spread``: workers do not ask again together, but so much later."""
        if self.limits.concurrency is not None:
            self.may, self.held = answer["may"], answer["held"]
            self.short = self.may < ask.wanted
        tokens = self.tokens
        tokens.unused -= ask.unused
        if ask.tokens and answer["tokens"] is not None:
            tokens.add(answer["tokens"], answer["first"], answer["each"], now)
            tokens.few = False
            if answer["tokens"] < ask.tokens:
                tokens.wait(answer["wait"] + spread, now)

    def on_lost_answer(self) -> None:
        """Nobody knows what an answer said: permits are asked for again, tokens are void."""
        self.tokens.unused = 0
        self.stirred = True

    def forget(self) -> None:
        """What it had is void: the worker was lost to the others."""
        self.may = self.held = 0
        self.short = self.stirred = False
        self.tokens.forget()

    def next_at(self, now: float) -> float:
        """Return when there will be something to do without anybody's saying so."""
        if self.limits.rate is None:
            return math.inf
        moment = self.tokens.next_at(now) if self.jobs else math.inf
        return min(moment, self.tokens.again_at) if self.tokens.few else moment
