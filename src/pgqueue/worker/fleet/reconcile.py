"""Asks the database what this worker holds, as often as it costs little; ``Holdings`` compares.

There is no index on the worker of a job: a claim changes no indexed column. But a job keeps its
position while it runs. So the look walks the index of ready jobs from the floor to the cursors, and
on to the thirtieth ready job: what lies behind that one would not have had its turn yet.
"""

from __future__ import annotations

import functools
import logging
import random
import time

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.floor import Floor
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.side_loop import SideLoop
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.timings import ReconcileTimings

__all__ = ["Reconciler"]

log = logging.getLogger("pgqueue.worker")


class Reconciler:
    """On the heartbeat thread's loop. ``floor``: no job can be below that position."""

    def __init__(
        self,
        store: Store,
        who: Identity,
        *,
        holdings: Holdings,
        view: WorkerView,
        floor: Floor,
        census: Census,
        membership: Membership,
        side: SideLoop,
        timings: ReconcileTimings,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._who = who
        self._every = who.settings.heartbeat
        self._view = view
        self._floor = floor
        self._census = census
        self._membership = membership
        self._side = side
        self._timings = timings
        self._soon = RetryDelay(timings.soon, self._every)
        self._looked_at = 0.0
        self.looks = 0

    def begin(self) -> float:
        """Return the seconds until the first look."""
        self._soon = RetryDelay(self._timings.soon, self._every)
        return _spread(self._every)

    async def step(self, *, called: bool) -> float:
        """Look once, if that can tell anything; return the seconds until the next time.

        ``called``: a claim was lost, or the server is another one.
        """
        holdings = self._holdings
        if called:
            self._soon.reset()
        rest_until = self._looked_at + self._census.held_every(self._timings.at_rest_every)
        rests = holdings.at_rest and time.monotonic() < rest_until
        workers = holdings.workers(self._membership.worker_id)
        if not workers or (rests and not called):
            return _spread(self._every)
        return _spread(await self._look(workers))

    async def _look(self, workers: list[int]) -> float:
        holdings, soon = self._holdings, self._soon
        try:
            async with self._store.turn:
                began = time.monotonic()
                rows = await self._store.held(
                    workers,
                    self._who.queues,
                    self._view.cursors(),
                    self._who.tasks,
                    self._floor.position,
                    self._floor.server,
                )
        except PgQueueError as exc:
            log.debug("the look for jobs that nobody keeps waits: %s", exc)
            return soon.delay()
        self._looked_at = time.monotonic()
        self.looks += 1
        took = self._looked_at - began
        wait = self._timings.pause(took, every=self._every, lease=self._who.settings.lease)
        await self._side.ask(functools.partial(holdings.compare, rows, began))
        if not holdings.in_doubt:
            soon.reset()
            return wait
        return min(wait, max(soon.delay(), self._timings.share * took))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.0)
