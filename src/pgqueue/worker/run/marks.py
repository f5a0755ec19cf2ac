"""Marks in the database that a job has before it runs."""

from __future__ import annotations

import logging

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError

__all__ = ["Marks"]

log = logging.getLogger("pgqueue.worker")


class Marks:
    """Marks a job: False if it is not this worker's now, None if unknown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._quarantined: tuple[int, int] | tuple[None, None] = (None, None)

    async def quarantine(self, job_id: int, token: int) -> bool | None:
        """Mark one that crashed workers before, and the one before it no longer.

        Whoever finds this worker lost then knows which job it was.
        """
        try:
            async with self._store.turn:
                before, self._quarantined = self._quarantined, (job_id, token)
                return await self._store.quarantine(job_id, token, before)
        except PgQueueError as exc:
            log.warning(
                "job %d waits: it crashed workers before, and cannot be marked: %s", job_id, exc
            )
            return None

    async def begin(self, job_id: int, token: int) -> bool | None:
        """Mark one that is about to run, and may not run again unless its end is known."""
        try:
            async with self._store.turn:
                return await self._store.begin(job_id, token)
        except PgQueueError as exc:
            log.warning("job %d waits: that it begins cannot be noted: %s", job_id, exc)
            return None
