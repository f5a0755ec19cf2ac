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
from pgqueue.worker.limits.limited_queue import Ask, LimitedQueue
from pgqueue.worker.neighbours import Registered
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.slot import running_of

__all__ = ["Asker"]

log = logging.getLogger("pgqueue.worker")

_LEAST_WAIT = 0.002
_SPREAD = 0.05


class Asker:
    """Sleeps until there is something to ask, or a token comes."""

    def __init__(self, store: Store, runner: Runner, membership: Registered) -> None:
        self._store = store
        self._limited = runner.buffer.limited
        self._runner = runner
        self._membership = membership
        self._renewed = False
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
                if (one := self._limited.get(queue)) is not None:
                    self._on_permits(one, worker)

    def forget(self) -> None:
        """The worker was lost to the others: what it had is void."""
        self._limited.forget()

    def _on_limits(self, said: str | None) -> None:
        if self._limited.differ(said):
            self._runner.buffer.learn(said, running_of(self._runner.slots))
            self._runner.ring()
        if self._limited:
            self._renewed = True
            self._limited.ring()

    def _on_permits(self, one: LimitedQueue, worker: int) -> None:
        """Ask again if there is a permit for this worker, or somebody wants those it has idle."""
        if worker == 0:
            one.sought = True
            one.give_way()
        else:
            one.stirred |= worker == self._membership.worker_id
        self._limited.asks.set()

    # -- the loop

    async def _step(self) -> None:
        await self._wait()
        renewed, self._renewed = self._renewed, False
        for one in list(self._limited):
            if renewed:
                self._let_go(one)
            worker, now = self._membership.worker_id, time.monotonic()
            if worker is not None and (ask := one.ask(now, renewed=renewed)) is not None:
                await self._ask(one, worker, ask)
        self._retry.reset()
        if self._limited.foremost(time.monotonic(), lambda _: True) is not None:
            self._runner.ring()

    async def _wait(self) -> None:
        """Wait until there is something to do."""
        now = time.monotonic()
        moment = self._limited.next_at(now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(
                None
                if moment == float("inf")
                else asyncio.get_running_loop().time() + max(moment - now, _LEAST_WAIT)
            ):
                await self._limited.asks.wait()
        self._limited.asks.clear()

    async def _ask(self, one: LimitedQueue, worker: int, ask: Ask) -> None:
        try:
            async with self._store.turn:
                row = await self._store.take_leave(
                    one.queue, worker, ask.wanted, ask.busy, ask.tokens, ask.unused
                )
        except BaseException:
            one.on_lost_answer()
            raise
        if worker != self._membership.worker_id:
            return  # it was lost meanwhile, and so is what it was given
        shut = one.is_shut
        one.answered(ask, row, time.monotonic(), spread=random.uniform(0.0, _SPREAD))
        self._let_go(one)
        if (shut and not one.is_shut) or one.allowance():
            self._limited.bell.set()

    def _let_go(self, one: LimitedQueue) -> None:
        """Release the jobs that would not begin soon."""
        if taken := one.surplus():
            self._runner.buffer.let_go(taken)

    def _on_error(self, error: Exception) -> float:
        ours = isinstance(error, PgQueueError)
        log.log(
            logging.DEBUG if ours else logging.ERROR,
            "the limits of queues wait: %s", error, exc_info=None if ours else error,
        )  # fmt: skip
        return self._retry.delay()
