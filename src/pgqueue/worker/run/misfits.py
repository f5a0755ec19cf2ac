"""Jobs whose arguments do not fit this worker's version of their task.

The next worker may know another version, as during a deployment: such a job waits for one, ever
longer, and no attempt is counted. Each try leaves an entry among the job's errors, so that all
workers count the same tries. After the last the job is a dead letter.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgqueue.db.store import Store
from pgqueue.errors import PayloadError, PgQueueError
from pgqueue.failure import MISFIT, Failure, clean, describe
from pgqueue.outcome import Dead, Snoozed
from pgqueue.worker.run.verdict import Verdict
from pgqueue.worker.timings import TIMINGS

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Misfits", "after"]

log = logging.getLogger("pgqueue.worker")

_JITTER = 0.2
_LONGEST = 2_000


def after(earlier: int, error: PayloadError, delays: Sequence[float] = TIMINGS.misfits) -> Verdict:
    """Return what a job comes to whose arguments did not fit, as ``earlier`` times before.

    ``delays``: seconds until the next try after the first misfit, the second, and so on.
    """
    if earlier >= len(delays):
        # Of another type: when somebody redrives the job, it has all its tries again.
        failure = describe(error)
        reason = f"its arguments did not fit in {earlier + 1} tries: {failure.message}"
        return Verdict(Dead(reason, failure), failure)
    failure = Failure(MISFIT, clean(str(error), _LONGEST), "")
    delay = delays[earlier] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return Verdict(Snoozed(delay, failure), failure)


class Misfits:
    """Finds out how often a job's arguments did not fit before, and says once for each task why."""

    def __init__(self, store: Store, delays: Sequence[float]) -> None:
        self._store = store
        self._delays = delays
        self._told: set[str] = set()

    async def judge(self, record: Record, error: PayloadError) -> Verdict:
        """Return what becomes of the job: it waits for another worker, or is dead."""
        task: str = record["task"]
        if task not in self._told:
            self._told.add(task)
            log.warning(
                'the arguments of job %d do not fit task "%s" as this worker knows it; such jobs '
                "wait for another worker, an hour or so at most, and no attempt is counted: %s",
                record["id"], task, error, extra={"job_id": record["id"], "task": task},
            )  # fmt: skip
        try:
            async with self._store.turn:
                earlier = await self._store.misfits(record["id"])
        except PgQueueError as exc:
            log.debug("nobody knows how often job %d did not fit: %s", record["id"], exc)
            earlier = 0
        return after(earlier, error, self._delays)
