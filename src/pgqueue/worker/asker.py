"""Asks the database which jobs of queues with limits may begin here: one question at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import LimitsTold, PermitsMoved
from pgqueue.worker.keep_up import keep_up
from pgqueue.worker.limits.lane import Ask, Lane
from pgqueue.worker.neighbours import Registered
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.slot import running_of

__all__ = ["Asker"]

log = logging.getLogger("pgqueue.worker")

_LEAST_WAIT = 0.002
_SPREAD = 0.05


class Asker:
    """Sleeps until a lane has something to ask, or a token comes."""

    def __init__(self, store: Store, runner: Runner, membership: Registered) -> None:
        self._store = store
        self._lanes = runner.buffer.lanes
        self._runner = runner
        self._membership = membership
        self._pulse = False
        self._retry = RetryDelay()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask, unless it does."""
        if self._task is None:
            self._task = asyncio.create_task(
                keep_up(self._step, self._on_error), name="pgqueue asker"
            )

    async def stop(self) -> None:
        """Stop. What it was asking for is void with the worker."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])
            if self._task is task:  # else it was started again
                self._task = None

    # -- what it is told

    def on(self, event: LimitsTold | PermitsMoved) -> None:
        """Take what a heartbeat or another worker says."""
        match event:
            case LimitsTold(said):
                self._on_limits(said)
            case PermitsMoved(queue, worker):
                if (lane := self._lanes.get(queue)) is not None:
                    self._on_permits(lane, worker)

    def forget(self) -> None:
        """The worker was lost to the others: what it had is void."""
        self._lanes.forget()

    def _on_limits(self, said: str | None) -> None:
        if self._lanes.differ(said):
            self._runner.buffer.learn(said, running_of(self._runner.slots))
            self._runner.ring()
        if self._lanes:
            self._pulse = True
            self._lanes.ring()

    def _on_permits(self, lane: Lane, worker: int) -> None:
        """Ask again if there is a permit for this worker, or somebody wants those it has idle."""
        if worker == 0:
            lane.sought = True
            lane.give_way()
        else:
            lane.stirred |= worker == self._membership.worker_id
        self._lanes.asks.set()

    # -- the loop

    async def _step(self) -> None:
        await self._wait()
        pulse, self._pulse = self._pulse, False
        for lane in list(self._lanes):
            if pulse:
                self._let_go(lane)
            worker, now = self._membership.worker_id, time.monotonic()
            if worker is not None and (ask := lane.ask(now, pulse=pulse)) is not None:
                await self._ask(lane, worker, ask)
        self._retry.reset()
        if self._lanes.foremost(time.monotonic(), lambda _: True) is not None:
            self._runner.ring()

    async def _wait(self) -> None:
        """Wait until there is something to do."""
        now = time.monotonic()
        moment = self._lanes.next_at(now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(
                None
                if moment == float("inf")
                else asyncio.get_running_loop().time() + max(moment - now, _LEAST_WAIT)
            ):
                await self._lanes.asks.wait()
        self._lanes.asks.clear()

    async def _ask(self, lane: Lane, worker: int, ask: Ask) -> None:
        try:
            async with self._store.turn:
                row = await self._store.take_leave(
                    lane.queue, worker, ask.wanted, ask.busy, ask.tokens, ask.unused
                )
        except BaseException:
            lane.on_lost_answer()
            raise
        if worker != self._membership.worker_id:
            return  # it was lost meanwhile, and so is what it was given
        shut = lane.is_shut
        lane.answered(ask, row, time.monotonic(), spread=random.uniform(0.0, _SPREAD))
        self._let_go(lane)
        if (shut and not lane.is_shut) or lane.allowance():
            self._lanes.bell.set()

    def _let_go(self, lane: Lane) -> None:
        """Release the jobs that would not begin soon."""
        if taken := lane.surplus():
            self._runner.buffer.let_go(taken)

    def _on_error(self, error: Exception) -> float:
        ours = isinstance(error, PgQueueError)
        log.log(
            logging.DEBUG if ours else logging.ERROR,
            "the limits of queues wait: %s", error, exc_info=None if ours else error,
        )  # fmt: skip
        return self._retry.delay()
