"""Looks for ready jobs that the cursors passed, as often as it costs little."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from pgqueue.db.patience import Patience
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.events import ReadyAgain, Send
from pgqueue.worker.fleet.floor import Floor
from pgqueue.worker.fleet.view import WorkerView

__all__ = ["PassedJobs"]

log = logging.getLogger("pgqueue.worker")

_SHARE = 20


class PassedJobs:
    """The search from the floor up to the cursors, on the lifeline's loop.

    ``interval``: seconds between two looks, at the least. ``connects`` changes when the server may
    be another one; None if nobody can tell. ``send``: says which jobs were passed.
    """

    def __init__(
        self,
        store: Store,
        lock: asyncio.Lock,
        *,
        queues: Sequence[str],
        tasks: Sequence[str],
        interval: Callable[[], float],
        view: WorkerView,
        connects: Callable[[], tuple[int, ...] | None],
        send: Send,
    ) -> None:
        self._store = store
        self._lock = lock
        self._queues = list(queues)
        self._tasks = list(tasks)
        self._interval = interval
        self._view = view
        self._connects = connects
        self._send = send
        self.floor = Floor()

    async def search(self) -> None:
        """Look, for ever."""
        wait = self._interval()
        patience = Patience(0.2, wait)
        looked_on: tuple[int, ...] | None = None
        while True:
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))
            # Nothing can be behind a cursor that has not passed the floor, on the same server; a
            # pooler does not tell when that is another one.
            same = looked_on is not None and looked_on == self._connects()
            if same and max(self._view.cursors()) <= self.floor.position:
                continue
            began = time.monotonic()
            try:
                async with self._lock:
                    began = time.monotonic()
                    found = await self._look()
            except PgQueueError as exc:
                log.debug("the search for passed jobs waits: %s", exc)
                wait = patience.delay()
                continue
            patience.reset()
            if found:
                self._send(ReadyAgain(found))
            looked_on = self._connects()
            took = time.monotonic() - began
            wait = max(self._interval(), _SHARE * took)

    async def _look(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in await self._store.find_passed(
            self._queues, self._view.cursors(), self._tasks, self.floor.position
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
