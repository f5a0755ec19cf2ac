"""Gives back what lost workers held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.rescue import SECOND_LOOK_AFTER, rescue_worker

__all__ = ["CONFIRM_AFTER", "Salvage"]

log = logging.getLogger("pgqueue.worker")

CONFIRM_AFTER = 0.75


class Salvage:
    """All on the lifeline's loop.

    ``ready_again`` is told the lowest position of each queue in which jobs were given back.
    """

    def __init__(
        self,
        store: Store,
        lock: asyncio.Lock,
        *,
        crash_cap: int,
        ready_again: Callable[[dict[str, int]], None],
    ) -> None:
        self._store = store
        self._lock = lock
        self._crash_cap = crash_cap
        self._ready_again = ready_again
        self._rescuing: set[int] = set()

    async def rescue(self, worker: int, *, vanished: bool = False, orphaned: bool = False) -> None:
        """Give back what a worker held, if it is lost; look twice.

        ``vanished``: it is not its lease that ran out, but its session that is gone. ``orphaned``:
        its row is gone already.
        """
        if worker in self._rescuing:
            return
        self._rescuing.add(worker)
        try:
            if vanished:
                # It may be about to reconnect.
                await asyncio.sleep(CONFIRM_AFTER)
            await self._rescue_once(worker, vanished=vanished, orphaned=orphaned)
            if not orphaned:
                # The server may have been at work on a claim that the worker sent last.
                await asyncio.sleep(SECOND_LOOK_AFTER)
                await self._rescue_once(worker, vanished=False, orphaned=True)
        finally:
            self._rescuing.discard(worker)

    async def rescue_orphans(self) -> bool:
        """Give back what workers hold that are not on the list; False if some of it is put off."""
        async with self._lock:
            lost = await self._store.orphans()
        given_back = [
            await self._rescue_once(worker, vanished=False, orphaned=True)
            for worker in lost
            if worker not in self._rescuing
        ]
        return all(given_back)

    async def _rescue_once(self, worker: int, *, vanished: bool, orphaned: bool) -> bool:
        """Give back what a lost worker held; False if that is put off."""
        try:
            async with self._lock:
                lowest = await rescue_worker(
                    self._store,
                    worker,
                    crash_cap=self._crash_cap,
                    vanished=vanished,
                    orphaned=orphaned,
                )
        except PgQueueError as exc:
            log.warning("a rescue is put off: %s", exc)
            return False
        if lowest:
            self._ready_again(lowest)
        return True
