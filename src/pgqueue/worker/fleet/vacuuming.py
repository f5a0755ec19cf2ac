"""The duty that keeps the job table small: it vacuums when so many rows are dead.

Without it the table grows at full speed. A page is cleaned by whoever reads it, but only a vacuum
tells new jobs that it has room.
"""

from __future__ import annotations

import logging
import math
import time

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.timings import TIMINGS
from pgqueue.worker.vacuum_plan import Seen, VacuumTimings, is_needed, wait_after

__all__ = ["Vacuuming"]

log = logging.getLogger("pgqueue.worker")


class Vacuuming:
    """On the heartbeat thread's loop. A heartbeat that sees dead rows calls for it.

    ``upkeep``: on a connection of its own, for what takes long.
    """

    def __init__(
        self, store: Store, upkeep: Store, timings: VacuumTimings = TIMINGS.duties.vacuum
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._timings = timings
        self._not_before = 0.0
        self._kept_for = 0.0
        self._said_may_not = False

    def begin(self) -> float:
        """Return the seconds until the first look: it waits until a heartbeat calls for it."""
        return math.inf

    async def step(self, *, called: bool) -> float:
        """Vacuum, if that is needed and nobody else does; wait for the next call."""
        del called
        if time.monotonic() >= self._not_before:
            try:
                await self._look()
            except PgQueueError as exc:
                log.warning("the vacuum of the job table is put off: %s", exc)
                self._put_off(self._timings.hold)
        return math.inf

    async def _look(self) -> None:
        seen = await self._measure()
        if not is_needed(self._timings, seen):
            return
        if not seen.may:
            self._say_may_not(seen.dead)
        if not seen.may or seen.due_in is None:
            self._put_off(self._timings.hold)
        elif seen.due_in > 0:
            self._put_off(seen.due_in)
        else:
            async with self._store.turn:
                taken = await self._store.take_duty("vacuum", self._timings.hold)
            if taken:
                await self._vacuum(seen.dead)

    async def _vacuum(self, before: int) -> None:
        async with self._upkeep.turn:
            began = time.monotonic()
            await self._upkeep.vacuum_jobs()
            took = time.monotonic() - began
        after = (await self._measure()).dead
        wait, kept = wait_after(self._timings, before, after, took, self._kept_for)
        if kept and self._kept_for:
            log.warning(
                "%d dead rows cannot be removed from the job table, which grows: a long "
                "transaction, a prepared one or a replication slot may still see them; tried again "
                "in %.0f s",
                after, wait,
            )  # fmt: skip
        log.debug("vacuumed in %.1f s: %d dead rows, %d of them left", took, before, after)
        self._kept_for = wait if kept else 0.0
        self._put_off(wait)
        async with self._store.turn:
            await self._store.end_duty("vacuum", wait)

    async def _measure(self) -> Seen:
        async with self._store.turn:
            row = await self._store.measure_job_table()
        return Seen(row["dead"], row["live"], row["may"], row["due_in"])

    def _put_off(self, seconds: float) -> None:
        self._not_before = time.monotonic() + seconds

    def _say_may_not(self, dead: int) -> None:
        if not self._said_may_not:
            self._said_may_not = True
            log.info(
                "the job table has %d dead rows, and this role may not vacuum it: autovacuum alone "
                "does; with PostgreSQL 17 or later, pgqueue roles lets workers do it",
                dead,
            )  # fmt: skip
