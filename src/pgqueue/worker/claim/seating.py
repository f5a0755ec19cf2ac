"""Takes the seat that each heartbeat gives a worker; asks for a heartbeat to get another one."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.events import CameToWatch, Events, HeartbeatWanted
from pgqueue.worker.seat import AWAY, WATCH, Seat, load_of, seat_of

__all__ = ["Seating"]

log = logging.getLogger("pgqueue.worker")

_HEARTBEAT_EVERY = 0.25
_NEXT_IN_LINE = 6  # twice a watch: at rest they know their place by a heartbeat some seconds ago
_ANSWER_WITHIN = 0.05
assert _ANSWER_WITHIN < _HEARTBEAT_EVERY
_LIGHT = 1  # load with which a watcher need not say that it has more to do


class Seating:
    """``seat`` is taken: this worker listens to what belongs to it."""

    def __init__(
        self,
        store: Store,
        listener: Listener,
        *,
        settings: WorkerSettings,
        flags: Flags,
        events: Events[HeartbeatWanted | CameToWatch],
    ) -> None:
        self._store = store
        self._listener = listener
        self._settings = settings
        self._flags = flags
        self._events = events
        self._heartbeat_at = float("-inf")
        self._asked: asyncio.TimerHandle | None = None
        self._load = 0  # as the last heartbeat said
        self._takes_jobs = True
        self.moving: asyncio.Task[None] | None = None
        self._stopped = False
        self._wanted = self.seat = AWAY

    def on_heartbeat(self, before: int, workers: int, *, running: int, takes_jobs: bool) -> None:
        """Note what a heartbeat answered, and what it said: how much runs, and whether more can."""
        self._load, self._takes_jobs = load_of(running), takes_jobs
        if not self._settings.listen:
            self.seat = Seat(None, workers)
            return
        self._wanted = seat_of(before, workers, self._settings.concurrency, takes_jobs=takes_jobs)
        if self.moving is not None and not self.moving.done():
            return  # it looks again
        if self._wanted.channels == self.seat.channels:
            self.seat = self._wanted
        elif not self._stopped:
            self.moving = asyncio.create_task(self._move(), name="pgqueue seat")

    def on_full(self) -> None:
        """Have the others told that this watcher can take no more: the heartbeat says so."""
        if self.seat.rank is not None and self.seat.workers > WATCH:
            self._heartbeat_soon()

    def on_threads_full(self) -> None:
        """Have the others told that this watcher can take some jobs no more."""
        if self._takes_jobs:
            self.on_full()

    def on_load(self, running: int) -> None:
        """Let others go before this watcher, which has more to do than its last heartbeat said."""
        if self.seat.rank is not None and load_of(running) > max(_LIGHT, self._load):
            self.on_full()

    def on_idle(self) -> None:
        """Ask for a seat again, now that there is room: it may be that nobody else has any."""
        if not self._takes_jobs and self._settings.listen:
            self._heartbeat_soon()

    def on_left(self) -> None:
        """A watcher left: who is next in line asks for its seat."""
        if self.seat.place is not None and self.seat.place < WATCH + _NEXT_IN_LINE:
            self._heartbeat_soon(random.uniform(0.0, _ANSWER_WITHIN))

    def is_light(self, running: int) -> bool:
        """True if nobody else should have the next job rather."""
        return self.seat.workers == 1 or load_of(running) <= _LIGHT

    def _heartbeat_soon(self, after: float = 0.0) -> None:
        if self._asked is None and not self._stopped:
            now = time.monotonic()
            wait = max(after, self._heartbeat_at + _HEARTBEAT_EVERY - now)
            self._asked = asyncio.get_running_loop().call_later(wait, self._ask)

    def _ask(self) -> None:
        self._asked = None
        self._heartbeat_at = time.monotonic()
        self._events.send(HeartbeatWanted())

    async def _move(self) -> None:
        while self._wanted.channels != self.seat.channels and not self._stopped:
            seat, left = self._wanted, self.seat.rank is not None
            lowered = self._flags.leave_watch() if left else []
            self._listener.wanted = seat.channels
            try:
                async with self._store.turn:
                    await self._store.link.listen()
                    if lowered:
                        await self._store.raise_flags(lowered)
                    if left and seat.workers > WATCH:
                        await self._store.call("w")
            except PgQueueError as exc:
                log.debug("this worker listens once it is connected: %s", exc)
            self.seat = seat
            if seat.rank is not None:
                self._events.send(CameToWatch())

    def start(self) -> None:
        """Take seats again, after a stop."""
        self._stopped = False
        self._wanted = self.seat = AWAY

    async def stop(self) -> None:
        """Move no more."""
        self._stopped = True
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None
        if self.moving is not None and not self.moving.done():
            await asyncio.wait([self.moving], timeout=self._settings.deadline)
            self.moving.cancel()
            await asyncio.wait([self.moving])
