"""Takes the seat that each pulse gives a worker; gives up the watch when it can take no more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.seat import AWAY, WATCH, Seat, seat_of

__all__ = ["Seating"]

log = logging.getLogger("pgqueue.worker")

_PULSE_EVERY = 1.0


class Seating:
    """``seat`` is taken: this worker listens to what belongs to it.

    ``on_watch`` is called when this worker came to the watch: it may have missed anything.
    ``on_away`` is called when it leaves, and answers whose flags it has taken down. ``pulse`` asks
    for a pulse at once.
    """

    def __init__(
        self,
        store: Store,
        lock: asyncio.Lock,
        listener: Listener,
        *,
        settings: WorkerSettings,
        on_watch: Callable[[], None],
        on_away: Callable[[], list[str]],
        pulse: Callable[[], None],
    ) -> None:
        self._store = store
        self._lock = lock
        self._listener = listener
        self._settings = settings
        self._on_watch = on_watch
        self._on_away = on_away
        self._pulse = pulse
        self._pulsed_at = float("-inf")
        self._was_full = False
        self._moving: asyncio.Task[None] | None = None
        self.seat = AWAY

    def on_pulse(self, before: int | None, workers: int) -> None:
        """Note what a pulse said: how many alike stand before this one; None if it is full."""
        seat = seat_of(before, workers, self._settings.concurrency)
        self._was_full = before is None
        if not self._settings.listen:
            self.seat = Seat(None, workers=workers)
        elif seat.channels == self.seat.channels:
            self.seat = seat
        elif self._moving is None or self._moving.done():  # else the next pulse says it again
            self._moving = asyncio.create_task(self._move(seat), name="pgqueue seat")

    def on_full(self) -> None:
        """Have the others told that this watcher can take no more: the pulse says so."""
        if self.seat.rank is not None and self.seat.workers > WATCH:
            self._pulse_soon()

    def on_idle(self) -> None:
        """Ask for a seat again, now that there is room: it may be that nobody else has any."""
        if self._was_full and self._settings.listen:
            self._pulse_soon()

    def _pulse_soon(self) -> None:
        now = time.monotonic()
        if now > self._pulsed_at + _PULSE_EVERY:
            self._pulsed_at = now
            self._pulse()

    async def _move(self, seat: Seat) -> None:
        left = self.seat.rank is not None
        lowered = self._on_away() if left else []
        self._listener.wanted = seat.channels
        try:
            async with self._lock:
                if lowered:
                    await self._store.raise_flags(lowered)
                await self._store.link.listen()
                if left and seat.workers > WATCH:
                    await self._store.call("w")
        except PgQueueError as exc:
            log.debug("this worker listens once it is connected: %s", exc)
        self.seat = seat
        if seat.rank is not None:
            self._on_watch()

    async def stop(self) -> None:
        """Move no more."""
        if self._moving is not None and not self._moving.done():
            await asyncio.wait([self._moving], timeout=self._settings.deadline)
            self._moving.cancel()
            await asyncio.wait([self._moving])
