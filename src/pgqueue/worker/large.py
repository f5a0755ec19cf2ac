"""What one claim fetches is bounded; the arguments of a large job are read when it begins.

A claim may take a thousand jobs, with arguments of up to 16 MB each. So it has a budget, shared by
all that it may take, and leaves out what is larger than that share. PostgreSQL tells the size of a
value as it is stored, which is compressed: a fourth of what is sent is allowed for.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from pgqueue.db.faults import Rejected
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.failure import Failure
from pgqueue.outcome import Dead, Snoozed
from pgqueue.worker.rungs import is_of_the_row
from pgqueue.worker.verdict import put_off

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["LargeJobs", "inline_bytes", "not_read", "without_room"]

log = logging.getLogger("pgqueue.worker")

_BUDGET = 32 * 2**20
_COMPRESSED = 4
_LEAST = 256
_WAIT_FROM, _WAIT_TO = 20.0, 40.0


def inline_bytes(room: int) -> int:
    """Return how many bytes, as stored, each of ``room`` jobs may have to come with its claim."""
    return max(_LEAST, _BUDGET // _COMPRESSED // max(room, 1))


def without_room() -> Snoozed:
    """Return what becomes of a job that does not fit into the memory of this process.

    It may fit into another one, or later.
    """
    return Snoozed(random.uniform(_WAIT_FROM, _WAIT_TO))


def not_read(error: Exception) -> Dead | Snoozed:
    """Return what becomes of a job whose arguments could not be read.

    A row that the database or the driver refuses is refused the next time too. Any other job waits
    a little: given back as it was, this worker would claim it at once, and fail again.
    """
    if not isinstance(error, PgQueueError):  # MemoryError, most likely
        return without_room()
    if isinstance(error, Rejected) and is_of_the_row(error):
        failure = Failure(type(error.__cause__ or error).__name__, str(error), "")
        return Dead(f"its arguments cannot be read: {error}", failure)
    return put_off()


class LargeJobs:
    """Reads the jobs whose arguments their claims left out, one at a time."""

    def __init__(self, store: Store, lock: asyncio.Lock) -> None:
        self._store = store
        self._lock = lock

    async def read(self, job_id: int, token: int) -> Record | Dead | Snoozed | None:
        """Return a claimed job as a whole, or what becomes of it; None if it is not ours now."""
        try:
            async with self._lock:
                return await self._store.whole(job_id, token)
        except Exception as exc:
            outcome = not_read(exc)
            fate = "is dead" if isinstance(outcome, Dead) else "waits"
            log.warning("job %d %s: its arguments could not be read: %r", job_id, fate, exc)
            return outcome
