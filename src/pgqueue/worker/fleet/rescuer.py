"""Releases what lost workers held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import Events, ReadyAgain
from pgqueue.worker.fleet.rescue import SECOND_LOOK_AFTER, rescue_workers

__all__ = ["Rescuer"]

log = logging.getLogger("pgqueue.worker")


class Rescuer:
    """All on the heartbeat thread's loop.

    ``confirm_after``: how long a lost session may be away. Its worker ends its own lease by then.
    """

    def __init__(
        self,
        store: Store,
        *,
        crash_cap: int,
        events: Events[ReadyAgain],
        confirm_after: float,
    ) -> None:
        self._store = store
        self._crash_cap = crash_cap
        self._events = events
        self._confirm_after = confirm_after
        self.rescuing: set[int] = set()

    async def rescue(
        self, workers: Sequence[int], *, vanished: bool = False, orphaned: bool = False
    ) -> None:
        """Release what these workers held, as far as they are lost; look twice.

        ``vanished``: it is not their leases that ran out, but their sessions that are gone.
        ``orphaned``: their rows are gone already. Of several workers that found the same ones lost
        the first to lock their rows releases all, and the others read nothing.
        """
        lost = [worker for worker in workers if worker not in self.rescuing]
        self.rescuing.update(lost)
        try:
            if vanished:
                # They may be about to reconnect.
                await asyncio.sleep(self._confirm_after)
            rescued = await self._rescue_once(lost, vanished=vanished, orphaned=orphaned)
            again = lost if rescued is None else rescued  # put off, it may have been done
            if again and not orphaned:
                # The server may have been at work on claims that the workers sent last.
                await asyncio.sleep(SECOND_LOOK_AFTER)
                await self._rescue_once(again, vanished=False, orphaned=True)
        finally:
            self.rescuing.difference_update(lost)

    async def rescue_orphans(self) -> bool:
        """Release what workers hold that are not on the list; False if some of it is put off."""
        async with self._store.turn:
            found = await self._store.orphans()
        lost = [worker for worker in found if worker not in self.rescuing]
        return await self._rescue_once(lost, vanished=False, orphaned=True) is not None

    async def _rescue_once(
        self, workers: Sequence[int], *, vanished: bool, orphaned: bool
    ) -> Sequence[int] | None:
        """Release what lost workers held; return those that were lost, None if it is put off."""
        if not workers:
            return ()
        try:
            async with self._store.turn:
                rescued = await rescue_workers(
                    self._store,
                    workers,
                    crash_cap=self._crash_cap,
                    vanished=vanished,
                    orphaned=orphaned,
                )
        except PgQueueError as exc:
            log.warning("a rescue is put off: %s", exc)
            return None
        if rescued.lowest:
            self._events.send(ReadyAgain(rescued.lowest))
        return rescued.workers
