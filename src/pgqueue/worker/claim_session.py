"""What is sent on the connection of the claims beside them: few statements, one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.rescue import announce

__all__ = ["ClaimSession"]

log = logging.getLogger("pgqueue.worker")

Rewind = Callable[[Mapping[str, int]], None]


class ClaimSession:
    """``lock``: whoever sends a statement on ``store`` holds it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = asyncio.Lock()
        self.announcements: set[asyncio.Task[None]] = set()
        self._quarantined: tuple[int, int] | tuple[None, None] = (None, None)

    async def quarantine(self, job_id: int, token: int) -> bool | None:
        """Mark a job that crashed workers before; False if it is not ours now, None if unknown."""
        try:
            async with self.lock:
                before, self._quarantined = self._quarantined, (job_id, token)
                return await self.store.quarantine(job_id, token, before)
        except PgQueueError as exc:
            log.warning(
                "job %d waits: it crashed workers before, and cannot be marked: %s", job_id, exc
            )
            return None

    def announce(self, places: Sequence[tuple[str, int]], rewind: Rewind) -> None:
        """Tell all workers that jobs are ready again at these places: queues and positions.

        ``rewind`` is told the lowest position of each queue.
        """
        task = asyncio.ensure_future(self._announce(places, rewind))
        self.announcements.add(task)
        task.add_done_callback(self.announcements.discard)

    async def _announce(self, places: Sequence[tuple[str, int]], rewind: Rewind) -> None:
        try:
            async with self.lock:
                rewind(await announce(self.store, places))
        except PgQueueError as exc:
            log.debug("nobody could be told of released jobs: %s", exc)
