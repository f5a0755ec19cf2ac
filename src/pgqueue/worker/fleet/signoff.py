"""The last statement of a worker: it takes itself off the list."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError
from pgqueue.worker.fleet.holdings import Receipts
from pgqueue.worker.fleet.rescue import release_worker

__all__ = ["give_up", "sign_off"]

log = logging.getLogger("pgqueue.worker")

_SOON = 0.5


async def sign_off(store: Store, worker: int) -> None:
    """Take a worker off the list that holds nothing any more."""
    began = time.monotonic()
    try:
        try:
            await store.remove_worker(worker)
        except OutcomeUnknown:
            if time.monotonic() > began + _SOON:
                raise  # the server is silent, and a stop has to end
            await store.remove_worker(worker)
    except PgQueueError as exc:
        log.warning("could not sign off: %s", exc)


async def give_up(
    store: Store, worker: int, successes: Callable[[], Receipts], *, crash_cap: int
) -> None:
    """Write what has succeeded, give back the rest of what a worker holds, and sign off."""
    try:
        await release_worker(store, worker, done=successes(), crash_cap=crash_cap)
    except PgQueueError as exc:
        log.warning("could not give back what this worker holds, and sign off: %s", exc)
