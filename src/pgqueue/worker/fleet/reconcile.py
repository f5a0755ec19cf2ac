"""Asks the database what this worker holds, as often as it costs little; ``Holdings`` compares.

There is no index on the worker of a job: a claim changes no indexed column. But a job keeps its
position while it runs. So the look walks the index of ready jobs from the floor to the cursors, and
on to the thirtieth ready job: what lies behind that one would not have had its turn yet.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pgqueue.db.patience import Patience
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.floor import Floor
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.view import WorkerView

__all__ = ["Reconciler", "pause"]

log = logging.getLogger("pgqueue.worker")

_SOON = 0.2
_SHARE = 20
_CHEAP_SHARE = 2000
_AT_REST_EVERY = 10.0


def pause(took: float, *, every: float, lease: float) -> float:
    """Return how long to wait after a look that took so long.

    A look is cheap beside ``every``, or becomes rarer, down to once a lease: all workers of a fleet
    walk over what all of them run. It never takes more than a twentieth of the time.
    """
    return max(every, min(_CHEAP_SHARE * took, lease), _SHARE * took)


class Reconciler:
    """On the lifeline's loop.

    ``floor``: below it nothing can be. ``ask``: runs a call on the worker's loop, and waits for it.
    """

    def __init__(
        self,
        store: Store,
        lock: asyncio.Lock,
        *,
        holdings: Holdings,
        queues: Sequence[str],
        tasks: Sequence[str],
        every: float,
        lease: float,
        view: WorkerView,
        floor: Floor,
        worker_id: Callable[[], int | None],
        ask: Callable[[Callable[[], object]], Coroutine[Any, Any, None]],
    ) -> None:
        self._store = store
        self._lock = lock
        self._holdings = holdings
        self._queues = list(queues)
        self._tasks = list(tasks)
        self._every = every
        self._lease = lease
        self._view = view
        self._floor = floor
        self._worker_id = worker_id
        self._ask = ask
        self._bell = asyncio.Event()
        self._looked_at = 0.0
        self.looks = 0

    def hurry(self) -> None:
        """Look now: a claim was lost, or the server is another one."""
        self._bell.set()

    async def look(self) -> None:
        """Look, for ever."""
        holdings = self._holdings
        soon = Patience(_SOON, self._every)
        wait = self._every
        while True:
            called = await self._rung(wait)
            if called:
                soon.reset()
            rests = holdings.at_rest and time.monotonic() < self._looked_at + _AT_REST_EVERY
            workers = holdings.workers(self._worker_id())
            if not workers or (rests and not called):
                wait = self._every
                continue
            try:
                async with self._lock:
                    began = time.monotonic()
                    rows = await self._store.held(
                        workers,
                        self._queues,
                        self._view.cursors(),
                        self._tasks,
                        self._floor.position,
                        self._floor.server,
                    )
            except PgQueueError as exc:
                log.debug("the look for jobs that nobody keeps waits: %s", exc)
                wait = soon.delay()
                continue
            self._looked_at = time.monotonic()
            self.looks += 1
            wait = pause(self._looked_at - began, every=self._every, lease=self._lease)
            await self._ask(functools.partial(holdings.compare, rows, began))
            if holdings.in_doubt:
                wait = min(wait, max(soon.delay(), _SHARE * (self._looked_at - began)))
            else:
                soon.reset()

    async def _rung(self, seconds: float) -> bool:
        """Wait so long, or until there is a reason to look."""
        try:
            async with asyncio.timeout(seconds * random.uniform(0.9, 1.0)):
                await self._bell.wait()
        except TimeoutError:
            pass
        called = self._bell.is_set()
        self._bell.clear()
        return called
