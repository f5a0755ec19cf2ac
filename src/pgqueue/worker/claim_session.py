"""What is sent on the connection of the claims beside them: few statements, one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import Events, ReadyAgain
from pgqueue.worker.fleet.rescue import announce

__all__ = ["ClaimSession"]

log = logging.getLogger("pgqueue.worker")


class ClaimSession:
    """``store``: whoever sends a statement on it holds its ``turn``."""

    def __init__(self, store: Store, events: Events[ReadyAgain]) -> None:
        self.store = store
        self.announcements: set[asyncio.Task[None]] = set()
        self._events = events

    def announce(self, places: Sequence[tuple[str, int]]) -> None:
        """Tell all workers that jobs are ready again at these places: queues and positions."""
        task = asyncio.ensure_future(self._announce(places))
        self.announcements.add(task)
        task.add_done_callback(self.announcements.discard)

    async def _announce(self, places: Sequence[tuple[str, int]]) -> None:
        try:
            async with self.store.turn:
                self._events.send(ReadyAgain(await announce(self.store, places)))
        except PgQueueError as exc:
            log.debug("nobody could be told of released jobs: %s", exc)
