"""Makes due jobs ready. Every worker does: whoever is first takes them, the others skip."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import datetime
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.claim.due_times import DueTimes, Step
from pgqueue.worker.events import Events, QueuesReady, TicketsWritten
from pgqueue.worker.keep_up import keep_up
from pgqueue.worker.timings import DueTimings

__all__ = ["Promoter"]

log = logging.getLogger("pgqueue.worker")

_BATCH = 1_000


class Promoter:
    """Sleeps until it is time to promote or to look: see due_times."""

    def __init__(
        self,
        store: Store,
        *,
        events: Events[QueuesReady | TicketsWritten],
        settings: WorkerSettings,
        timings: DueTimings,
    ) -> None:
        self._store = store
        self._events = events
        self._wake = asyncio.Event()
        self._retry = RetryDelay()
        self._task: asyncio.Task[None] | None = None
        self.times = DueTimes(settings, timings)
        self.promoted = 0

    def start(self) -> None:
        """Begin to promote, unless it does."""
        if self._task is not None:
            return
        self.times.start(time.monotonic())
        self._task = asyncio.create_task(
            keep_up(self._step, self._on_error), name="pgqueue promoter"
        )

    async def stop(self) -> None:
        """Stop; a batch under way is finished by the database or not at all."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])
            if self._task is task:  # else it was started again
                self._task = None

    def due_in(self, seconds: float) -> None:
        """Note that a job will be due in so many seconds."""
        if self.times.due_in(seconds, time.monotonic()):
            self._wake.set()

    def on_flags(self, *, up: bool, raised: bool = False) -> None:
        """Note whether the flags of our queues are up, and whether one was raised just now."""
        if self.times.on_flags(up=up, raised=raised, now=time.monotonic()):
            self._wake.set()

    @property
    def since(self) -> datetime:
        """How far back there is no need to look for due jobs. For any thread: it only reads."""
        return self.times.floor.moment

    async def _step(self) -> None:
        match await self._wait_step():
            case Step.PROMOTE:
                before = self.promoted
                queues = await self._promote()
                self.times.promoted(found=self.promoted > before, now=time.monotonic())
                if queues:
                    self._events.send(QueuesReady(queues))
            case Step.LOOK:
                await self._look()
        self._retry.reset()

    def _on_error(self, error: Exception) -> float:
        self.times.failed(self._retry.delay(), time.monotonic())
        ours = isinstance(error, PgQueueError)
        log.log(
            logging.DEBUG if ours else logging.ERROR,
            "promotion waits: %s", error, exc_info=None if ours else error,
        )  # fmt: skip
        return 0.0  # the next step waits

    async def _wait_step(self) -> Step:
        while (step := self.times.step(now := time.monotonic())) is None:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.times.rest(now)):
                    await self._wake.wait()
        return step

    async def _look(self) -> None:
        """Learn when the next job is due."""
        async with self._store.turn:
            since = self.times.look_from(time.monotonic())
            seconds, clear_until = await self._store.next_due(since)
        self.times.looked(seconds, clear_until, time.monotonic())

    async def _promote(self) -> set[str]:
        """Promote what is due; return the queues that got work. A job of a flow comes in line."""
        floor = self.times.floor
        queues: set[str] = set()
        while True:
            async with self._store.turn:
                since = floor.look_from(time.monotonic())
                rows: list[Any] = await self._store.promote(_BATCH, since)
            if rows:
                self.promoted += len(rows)
                fresh = {row["queue"] for row in rows if row["flow"] is None}
                queues |= fresh
                floor.clear_until(max(row["run_at"] for row in rows))
                if flows := {row["flow"] for row in rows if row["flow"] is not None}:
                    self._events.send(TicketsWritten(flows))
                if fresh:
                    async with self._store.turn:
                        await self._store.wake(sorted(fresh))
            if len(rows) < _BATCH:
                return queues
