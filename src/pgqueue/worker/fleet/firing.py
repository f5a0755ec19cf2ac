"""Fires the schedules that are due. Any worker may, and whoever is first does: there is no leader.

It sleeps until it is told when a slot comes: by a heartbeat, by a notification, or by its own last
step. The database's clock decides whether a slot is due.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError, Unreachable
from pgqueue.job import NewJob
from pgqueue.schedule.settings import Spec
from pgqueue.worker.events import Events, NextSlot
from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.fire import Due, Fire, fire_of, said_of_missed
from pgqueue.worker.fleet.slot_code import call_apart
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.timings import FiringTimings

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Firing", "SlotJobs"]

log = logging.getLogger("pgqueue.worker")

_BATCH = 100
_SAID = 5  # so many schedules of a batch are named that missed slots


class SlotJobs(Protocol):
    """The app, as it is asked for jobs of slots."""

    def slot_job(self, spec: Spec, slot: datetime | None) -> NewJob | None:
        """Return the job of a slot; None if code wants none."""
        ...


class Firing:
    """On the heartbeat thread's loop.

    ``declared``: the schedules of this worker's code.
    """

    def __init__(
        self,
        store: Store,
        jobs: SlotJobs,
        declared: Sequence[str],
        *,
        actor: str,
        view: WorkerView,
        background: Background,
        events: Events[NextSlot],
        timings: FiringTimings,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._declared = list(declared)
        self._actor = actor
        self._view = view
        self._background = background
        self._events = events
        self._timings = timings
        self._left_out: dict[str, float] = {}  # those that cannot be fired, and until when
        self._orphans_at = 0.0
        self._retry = RetryDelay()

    def begin(self) -> float:
        """Wait until somebody says when a slot comes."""
        return math.inf

    async def step(self, *, called: bool) -> float:
        """Fire what is due; return the seconds until the next slot."""
        del called
        try:
            wait = await self._fire_due()
        except PgQueueError as exc:
            log.warning("schedules wait: %s", exc)
            return self._retry.delay()
        self._retry.reset()
        return wait

    async def _fire_due(self) -> float:
        began, fired = time.monotonic(), False
        while True:
            rows = await self._find()
            due = [row for row in rows if row["next_at"] <= row["now"]]
            wait = min((_seconds_to(row) for row in rows[len(due) :]), default=math.inf)
            if not due:
                break
            fired = True
            taken = await self._fire([_due(row) for row in due])
            if len(due) < _BATCH or not taken:
                wait = min(wait, self._after(due, taken))
                break
        if not fired:
            await self._mark_orphans(began)
        wait = min([wait, *(until - time.monotonic() for until in self._left_out.values())])
        return max(0.0, wait) if self._view.watches else math.inf

    async def _find(self) -> list[Record]:
        now = time.monotonic()
        self._left_out = {name: until for name, until in self._left_out.items() if until > now}
        async with self._store.turn:
            return await self._store.find_slots(self._declared, list(self._left_out), _BATCH)

    def _after(self, due: Sequence[Record], taken: dict[str, datetime]) -> float:
        """Return the seconds until one of those that were due is due again."""
        now = due[-1]["now"]
        waits = [(following - now).total_seconds() for following in taken.values()]
        if any(row["name"] not in taken and row["name"] not in self._left_out for row in due):
            waits.append(self._timings.look_again)  # others fire them, unless they die over it
        return min(waits, default=math.inf)

    # -- one batch

    async def _fire(self, due: Sequence[Due]) -> dict[str, datetime]:
        """Fire these; return those that this worker fired, with the slots that follow."""
        plain = [one for one in due if not one.is_computed]
        for one in due:
            if one.is_computed:
                self._left_out[one.name] = math.inf
                self._background.spawn(self._fire_apart(one))
        fires: list[Fire] = []
        for name, made in await self._plans(plain):
            if isinstance(made, Fire):
                fires.append(made)
            else:
                self._leave_out(name, made)
        return await self._write(fires) if fires else {}

    async def _plans(self, plain: Sequence[Due]) -> list[tuple[str, Fire | Exception]]:
        """Make their jobs; where code of users, such as a validator, takes long, leave them out."""
        if not plain:
            return []
        slow = self._timings.batch_slow
        try:
            async with asyncio.timeout(slow):
                return await call_apart(lambda: [self._plan(one) for one in plain])
        except TimeoutError:
            return [(one.name, TimeoutError(f"not made in {slow:g} s")) for one in plain]

    def _plan(self, due: Due) -> tuple[str, Fire | Exception]:
        try:
            return due.name, fire_of(due, self._jobs.slot_job)
        except Exception as exc:
            return due.name, exc

    async def _fire_apart(self, due: Due) -> None:
        """Fire one whose code gives the arguments. Whatever that does, the others go on."""
        fire = functools.partial(fire_of, due, self._jobs.slot_job)
        call = asyncio.ensure_future(call_apart(fire))
        try:
            done, _ = await asyncio.wait([call], timeout=self._timings.code_slow)
            if not done:
                log.warning(
                    'schedule "%s": the function for its arguments runs for %g s; its slots wait',
                    due.name, self._timings.code_slow,
                )  # fmt: skip
            await self._write([await call])
        except (Unreachable, OutcomeUnknown):
            self._left_out.pop(due.name, None)
            self._events.send(NextSlot(self._timings.look_again))
        except Exception as exc:
            self._leave_out(due.name, exc)
        else:
            self._left_out.pop(due.name, None)
            self._events.send(NextSlot(0.0))
        finally:
            call.cancel()

    def _leave_out(self, name: str, error: Exception) -> None:
        wait = self._timings.left_out
        trace = not isinstance(error, PgQueueError)
        self._left_out[name] = time.monotonic() + wait
        log.log(
            logging.ERROR if trace else logging.WARNING,
            'schedule "%s" cannot be fired, and is tried again in %g s: %s: %s', name, wait,
            type(error).__name__, error, exc_info=error if trace else None,
        )  # fmt: skip
        self._events.send(NextSlot(wait))

    async def _write(self, fires: Sequence[Fire]) -> dict[str, datetime]:
        fires = sorted(fires, key=lambda fire: fire.due.name)
        try:
            async with self._store.turn:
                rows = await self._store.fire_slots(
                    [fire.due.name for fire in fires],
                    [fire.due.next_at for fire in fires],
                    [fire.due.revision for fire in fires],
                    [fire.following for fire in fires],
                    [fire.notes for fire in fires],
                )
        except (Unreachable, OutcomeUnknown):
            raise
        except PgQueueError as exc:
            if len(fires) == 1:
                self._leave_out(fires[0].due.name, exc)
                return {}
            # One bad row never stops a batch.
            taken: dict[str, datetime] = {}
            for fire in fires:
                taken |= await self._write([fire])
            return taken
        return self._wrote(fires, rows)

    def _wrote(self, fires: Sequence[Fire], rows: Sequence[Record]) -> dict[str, datetime]:
        names = {row["name"] for row in rows}
        for row in rows:
            if row["duplicate"]:
                log.info(
                    'schedule "%s": the slot %s got no job, since job %d has its unique key',
                    row["name"], row["slot"], row["id"],
                )  # fmt: skip
            elif row["id"] is not None:
                log.debug('schedule "%s": job %d of slot %s', row["name"], row["id"], row["slot"])
        missed = [fire for fire in fires if fire.missed and fire.due.name in names]
        for fire in missed[:_SAID]:
            log.warning("%s", said_of_missed(fire))
        if len(missed) > _SAID:
            log.warning("%d more schedules missed slots as well", len(missed) - _SAID)
        return {fire.due.name: fire.following for fire in fires if fire.due.name in names}

    async def _mark_orphans(self, now: float) -> None:
        """Once a minute at most, where nothing is due that this worker may fire."""
        if now < self._orphans_at:
            return
        self._orphans_at = now + self._timings.orphans_every
        async with self._store.turn:
            names = await self._store.orphan_schedules(self._timings.orphan_after, self._actor)
        for name in names:
            log.warning(
                'schedule "%s" was declared by code, and is not any more; it does not fire', name
            )


def _seconds_to(row: Record) -> float:
    return (row["next_at"] - row["now"]).total_seconds()  # type: ignore[no-any-return]


def _due(row: Record) -> Due:
    settings = json.loads(row["settings"])
    return Due(row["name"], row["next_at"], row["revision"], settings, row["now"])
