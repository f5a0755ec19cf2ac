"""Makes due jobs ready. Every worker does: whoever is first takes them, the others skip."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.db.patience import Patience
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.claim.due_floor import DueFloor

__all__ = ["Promoter"]

log = logging.getLogger("pgqueue.worker")

_BATCH = 1_000
_TICK = 0.005
_MOST_TICKS = 10_000
_LOOK_EVERY = 1.0
_LOOK_AGAIN_AFTER = 1.0
_LOOK_AFTER_PROMOTION = 0.02
_LOOK_AFTER_NONE = 1.0
assert _TICK < _LOOK_AFTER_PROMOTION < _LOOK_EVERY
assert WorkerSettings().heartbeat < _MOST_TICKS * _TICK  # room for all that a pulse tells of


class Promoter:
    """Sleeps until the next job is due, as far as it was told.

    It is told by each pulse, by notifications of enqueues, and of this worker's own retries.
    Nobody notifies while no worker waits: then it looks for itself, once a second. When a flag was
    raised it looks at once and a second later, for enqueues that read the flag before. And it looks
    whenever it has promoted, since of many delays that come together the shortest alone is told.
    """

    def __init__(
        self,
        store: Store,
        *,
        lock: asyncio.Lock,
        on_ready: Callable[[Iterable[str]], None],
        settings: WorkerSettings,
    ) -> None:
        self._store = store
        self._lock = lock
        self._on_ready = on_ready
        self._wake = asyncio.Event()
        self._dues: list[int] = []  # a heap of ticks, each once
        self._ticks: set[int] = set()
        self._look_every = _LOOK_EVERY if settings.listen else settings.poll_interval
        if settings.heartbeat <= self._look_every:
            self._look_every = math.inf  # the pulse does as well
        self._near = settings.heartbeat  # what is due later is told by a pulse
        self._look_at = math.inf
        self._looked_last = False
        self._told = False  # enqueuers tell us what will be due
        self._look_again_at = math.inf
        self._vain = False
        self._floor = DueFloor()
        self._task: asyncio.Task[None] | None = None
        self.promoted = 0

    def start(self) -> None:
        """Begin to promote."""
        self.due_in(0.0)
        self._look_at = time.monotonic() + self._look_every
        self._task = asyncio.create_task(self._loop(), name="pgqueue promoter")

    async def stop(self) -> None:
        """Stop; a batch under way is finished by the database or not at all."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def due_in(self, seconds: float) -> None:
        """Note that a job will be due in so many seconds."""
        tick = math.ceil((time.monotonic() + max(seconds, 0.0)) / _TICK)
        if tick not in self._ticks and len(self._ticks) < _MOST_TICKS:
            self._ticks.add(tick)
            heapq.heappush(self._dues, tick)
            if self._dues[0] == tick:
                self._wake.set()

    def on_flags(self, *, up: bool, raised: bool = False) -> None:
        """Note whether the flags of our queues are up, and whether one was raised just now."""
        if up and (raised or not self._told):
            self._look_at = time.monotonic()
            self._look_again_at = self._look_at + _LOOK_AGAIN_AFTER
            self._wake.set()
        elif not up and self._told:
            self._look_by(self._look_every)
            self._wake.set()
        self._told = up

    def _look_by(self, seconds: float) -> None:
        self._look_at = min(self._look_at, time.monotonic() + seconds)

    @property
    def since(self) -> datetime:
        """How far back there is no need to look for due jobs. For any thread: it only reads."""
        return self._floor.moment

    async def _loop(self) -> None:
        patience = Patience()
        while True:
            due = await self._wait_due()
            try:
                if due:
                    queues = await self._promote()
                    self._vain = not queues
                    self._look_by(_LOOK_AFTER_PROMOTION)
                    if queues:
                        self._on_ready(queues)
                else:
                    await self._look()
                patience.reset()
            except Exception as exc:
                ours = isinstance(exc, PgQueueError)
                log.log(
                    logging.DEBUG if ours else logging.ERROR,
                    "promotion waits: %s", exc, exc_info=not ours,
                )  # fmt: skip
                wait = patience.delay()
                self.due_in(wait)
                self._look_by(wait)

    async def _wait_due(self) -> bool:
        """Return True when a job is due, as far as we know, False when it is time to look.

        They take turns where both are: neither keeps the other from being done.
        """
        while True:
            now = time.monotonic()
            self._floor.look_from(now)  # the pulse looks from there, though nobody does here
            rest = self._dues[0] * _TICK - now if self._dues else 3600.0
            if self._look_at <= now and not (self._looked_last and rest <= 0):
                self._looked_last = True
                return False
            if rest <= 0:
                break
            rest = min(rest, self._look_at - now, self._floor.rests(now))
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._wake.wait()
        while self._dues and self._dues[0] * _TICK <= now:
            self._ticks.discard(heapq.heappop(self._dues))
        self._looked_last = False
        return True

    async def _look(self) -> None:
        """Learn when the next job is due."""
        self._look_at = math.inf  # what happens meanwhile may set it
        async with self._lock:
            if self._look_again_at <= time.monotonic():
                self._look_again_at = math.inf
            since = self._floor.look_from(time.monotonic())
            seconds, clear_until = await self._store.next_due(since)
        self._floor.clear_until(clear_until)
        self._look_at = min(self._look_at, self._look_again_at)
        if not self._told:
            self._look_by(self._look_every)
        if seconds is None or seconds > 0:
            self._vain = False
        elif self._vain:
            seconds = _LOOK_AFTER_NONE  # somebody else holds its row
        if seconds is not None and seconds <= self._near:
            self.due_in(seconds)

    async def _promote(self) -> set[str]:
        """Promote what is due; return the queues that got work."""
        queues: set[str] = set()
        while True:
            async with self._lock:
                since = self._floor.look_from(time.monotonic())
                rows: list[Any] = await self._store.promote(_BATCH, since)
            if rows:
                self.promoted += len(rows)
                fresh = {row["queue"] for row in rows}
                queues |= fresh
                self._floor.clear_until(max(row["run_at"] for row in rows))
                async with self._lock:
                    await self._store.wake(sorted(fresh))
            if len(rows) < _BATCH:
                return queues
