"""Looks for ready jobs that the cursors passed, as often as it costs little."""

from __future__ import annotations

import logging
import random
import time

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import Events, ReadyAgain
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.floor import Floor
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.links import Links
from pgqueue.worker.fleet.view import WorkerView

__all__ = ["Stragglers"]

log = logging.getLogger("pgqueue.worker")

_SHARE = 20


class Stragglers:
    """The search from the floor up to the cursors, on the heartbeat thread's loop."""

    def __init__(
        self,
        store: Store,
        who: Identity,
        *,
        census: Census,
        view: WorkerView,
        links: Links,
        events: Events[ReadyAgain],
    ) -> None:
        self._store = store
        self._who = who
        self._census = census
        self._view = view
        self._links = links
        self._events = events
        self.floor = Floor()
        self.begin()

    def begin(self) -> float:
        """Forget what was found; return the seconds until the first search."""
        self._wait = self._interval()
        self._retry = RetryDelay(0.2, self._wait)
        self._looked_on: tuple[int, ...] | None = None
        return self._spread()

    async def step(self, *, called: bool) -> float:
        """Search once, if there may be any; return the seconds until the next time."""
        del called  # nobody does
        # Nothing can be behind a cursor that has not passed the floor, on the same server; a
        # pooler does not tell when that is another one.
        same = self._looked_on is not None and self._looked_on == self._links.connects()
        if not same or max(self._view.cursors()) > self.floor.position:
            self._wait = await self._search()
        return self._spread()

    def _interval(self) -> float:
        """Return the seconds between two searches, at the least."""
        settings = self._who.settings
        return self._census.passed_every(settings.poll_interval, listen=settings.listen)

    def _spread(self) -> float:
        return self._wait * random.uniform(0.8, 1.0)

    async def _search(self) -> float:
        try:
            async with self._store.turn:
                began = time.monotonic()
                found = await self._look()
        except PgQueueError as exc:
            log.debug("the search for passed jobs waits: %s", exc)
            return self._retry.delay()
        self._retry.reset()
        if found:
            self._events.send(ReadyAgain(found))
        self._looked_on = self._links.connects()
        return max(self._interval(), _SHARE * (time.monotonic() - began))

    async def _look(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in await self._store.find_stragglers(
            self._who.queues, self._view.cursors(), self._who.tasks, self.floor.position
        ):
            if row["queue"] is None:
                self.floor.learn(
                    lowest_live=row["position"],
                    newest=row["newest"],
                    oldest=row["oldest"],
                    following=row["following"],
                    server=row["server"],
                )
            else:
                found[row["queue"]] = row["position"]
        return found
