"""The arguments of a large job, which its claim left out, are read when it begins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pgqueue.db.faults import Rejected, is_of_the_row
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.failure import Failure
from pgqueue.outcome import Dead, Snoozed
from pgqueue.worker.put_off import PUT_OFF, PutOff

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["LargeJobs", "not_read"]

log = logging.getLogger("pgqueue.worker")


def not_read(error: Exception, put_off: PutOff = PUT_OFF) -> Dead | Snoozed:
    """Return what becomes of a job whose arguments could not be read.

    A row that the database or the driver refuses is refused the next time too. Any other job waits
    a little: released as it was, this worker would claim it at once, and fail again.
    """
    if not isinstance(error, PgQueueError):  # MemoryError, most likely
        return put_off.without_room()
    if isinstance(error, Rejected) and is_of_the_row(error):
        failure = Failure(type(error.__cause__ or error).__name__, str(error), "")
        return Dead(f"its arguments cannot be read: {error}", failure)
    return put_off.a_moment()


class LargeJobs:
    """Reads the jobs whose arguments their claims left out, one at a time."""

    def __init__(self, store: Store, put_off: PutOff) -> None:
        self._store = store
        self._put_off = put_off

    async def read(self, job_id: int, token: int) -> Record | Dead | Snoozed | None:
        """Return a claimed job as a whole, or what becomes of it; None if it is not ours now."""
        try:
            async with self._store.turn:
                return await self._store.whole(job_id, token)
        except Exception as exc:
            outcome = not_read(exc, self._put_off)
            fate = "is dead" if isinstance(outcome, Dead) else "waits"
            log.warning("job %d %s: its arguments could not be read: %r", job_id, fate, exc)
            return outcome
