"""Gives back what nobody keeps any more: of lost workers, of lost claims, of a forgetful server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from pgqueue.db.link import Patience
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.rescue import SECOND_LOOK_AFTER, rescue_worker
from pgqueue.worker.strays import Receipts, find_strays

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["CONFIRM_AFTER", "Salvage"]

log = logging.getLogger("pgqueue.worker")

CONFIRM_AFTER = 0.75
_RECOVER_AFTER = (0.2, 1.0, 4.0, 10.0, 20.0)


class Salvage:
    """All on the lifeline's loop.

    ``ready_again`` is told the lowest position of each queue in which jobs were given back.
    ``receipts`` asks the worker what it knows of.
    """

    def __init__(
        self,
        store: Store,
        lock: asyncio.Lock,
        *,
        crash_cap: int,
        deadline: float,
        ready_again: Callable[[dict[str, int]], None],
        receipts: Callable[[], Awaitable[Receipts]],
    ) -> None:
        self._store = store
        self._lock = lock
        self._crash_cap = crash_cap
        self._deadline = deadline
        self._ready_again = ready_again
        self._receipts = receipts
        self._rescuing: set[int] = set()
        self.recovering = 0

    # -- lost workers

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

    # -- lost claims

    async def recover(self, worker: int, token: int) -> None:
        """Give back what a claim took whose answer was lost.

        Looks several times: the server may still be at work on it at first.
        """
        self.recovering += 1
        patience = Patience(0.2, 5.0)
        # The server gives a statement up after its deadline.
        last = max(1.25 * self._deadline - sum(_RECOVER_AFTER), 0.0)
        try:
            for wait in (*_RECOVER_AFTER, last) if last else _RECOVER_AFTER:
                await asyncio.sleep(wait)
                # While the database is away no look counts: nobody else would give them back.
                while not await self._look_for_claim(worker, token):  # noqa: ASYNC110
                    await asyncio.sleep(patience.delay())
        finally:
            self.recovering -= 1

    async def _look_for_claim(self, worker: int, token: int) -> bool:
        """Give back what this claim holds; False if the database could not be asked."""
        try:
            async with self._lock:
                rows = await self._store.release_claim(worker, token)
        except Exception as exc:
            ours = isinstance(exc, PgQueueError)
            log.log(
                logging.DEBUG if ours else logging.ERROR,
                "a lost claim is looked for later: %s", exc, exc_info=not ours,
            )  # fmt: skip
            return False
        if rows:
            log.info("gave back %d jobs of a claim whose answer was lost", len(rows))
            await self._tell_all(rows)
        return True

    # -- a forgetful server

    async def give_back_strays(self, worker: int) -> None:
        """Give back what a server that is another one now did not hear that we have done with."""
        while strays := await find_strays(
            self._store, self._lock, worker, self._receipts, deadline=self._deadline
        ):
            try:
                async with self._lock:
                    rows = await self._store.release_strays(worker, strays)
            except PgQueueError as exc:
                log.warning("jobs that the server forgot the end of are looked for later: %s", exc)
                continue
            log.warning("the server forgot how %d jobs ended; they run again", len(rows))
            await self._tell_all(rows)
            return

    # -- all of them

    async def _tell_all(self, rows: Sequence[Record]) -> None:
        """Tell all workers of jobs that were given back at their old places."""
        lowest: dict[str, int] = {}
        for row in rows:
            lowest[row["queue"]] = min(row["position"], lowest.get(row["queue"], row["position"]))
        self._ready_again(lowest)
        try:
            async with self._lock:
                await self._store.rewind(list(lowest), list(lowest.values()))
        except PgQueueError as exc:
            log.debug("nobody could be told of jobs given back: %s", exc)
