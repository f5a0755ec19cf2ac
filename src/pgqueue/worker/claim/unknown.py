"""Names the tasks that wait in this worker's queues and that it does not know, once each."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from pgqueue.db.store import Store

__all__ = ["UnknownTasks"]

log = logging.getLogger("pgqueue.worker")


class UnknownTasks:
    """Asks once in so many seconds at most."""

    def __init__(
        self,
        store: Store,
        queues: Sequence[str],
        tasks: Sequence[str],
        *,
        every: float,
    ) -> None:
        self._store = store
        self._queues = list(queues)
        self._tasks = list(tasks)
        self._every = every
        self._report_at = time.monotonic() + every / 6
        self._reported: set[tuple[str, str]] = set()

    async def report_if_due(self, now: float) -> None:
        """Log those that were not named before."""
        if now < self._report_at:
            return
        self._report_at = time.monotonic() + self._every
        async with self._store.turn:
            waiting = await self._store.unknown_tasks(self._queues, self._tasks)
        for queue, task, jobs in waiting:
            if (queue, task) not in self._reported:
                self._reported.add((queue, task))
                log.warning(
                    'queue "%s" holds jobs of task "%s", which this worker does not know '
                    "(%d among those next in line); they stay there for one that does",
                    queue, task, jobs,
                )  # fmt: skip
