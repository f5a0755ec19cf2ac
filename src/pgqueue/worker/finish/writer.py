"""Writes a batch of outcomes until each is written, set aside, or found to be another worker's.

What cannot be written because the database is away is tried again until it is back. A batch that
is refused falls down a ladder: batch, single rows, and then less and less of each (ladder.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Protocol

from pgqueue.db.faults import Rejected
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import CannotWrite, Events, FinishEvent, NotOurs, TicketsWritten, Written
from pgqueue.worker.finish.batches import (
    Batch,
    Buried,
    Ended,
    EndedInFlow,
    Receipt,
    Returned,
    apart,
    batches_of,
    cancelled,
)
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.finish.ladder import Again, Less, OneByOne, SetAside, next_step
from pgqueue.worker.finish.send import columns_of, send
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import WriteTimings

__all__ = ["Keeper", "Writer"]

log = logging.getLogger("pgqueue.worker")


class Keeper(Protocol):
    """Who keeps outcomes until they are written: the completer, as the writer sees it."""

    completed: int

    @property
    def backlog(self) -> int:
        """Outcomes that are not written yet."""
        ...

    def set_aside(self, entry: Entry, seconds: float) -> None:
        """Add this one again in a while."""
        ...


class Writer:
    """Writes batches, one after the other; a call returns when its batch is dealt with."""

    def __init__(
        self,
        store: Store,
        keeper: Keeper,
        *,
        worker_name: str,
        events: Events[FinishEvent],
        fruitless: Fruitless | None,
        timings: WriteTimings,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._worker_name = worker_name
        self._events = events
        self._fruitless = fruitless
        self._timings = timings
        self.is_away = False

    async def finish(self, receipts: list[Receipt], state: str) -> None:
        """Move jobs without a flow to history."""
        receipts.sort()
        await self._end(Ended(receipts, state))

    async def settle(self, entries: list[Entry]) -> None:
        """Write any outcomes, those of a kind together."""
        for batch in batches_of(entries):
            match batch:
                case Ended() | EndedInFlow():
                    await self._end(batch)
                case Returned() | Buried():
                    await self._change(batch)
        self._events.send(Written(entries))

    def ticketed(self, flow: str) -> None:
        """Tell that somebody else ended a job of this flow."""
        self._events.send(TicketsWritten((flow,)))

    async def _end(self, batch: Ended | EndedInFlow) -> None:
        """Move jobs to history; those whose lease was lost are told of."""
        for part in apart(batch):
            good = await self._write(part)
            refused = [] if good is None else [i for i, _ in part.receipts if i not in good]
            for job_id in refused:
                with contextlib.suppress(Exception):  # it logs, as the user has set it up
                    self._events.send(NotOurs(job_id))

    async def _change(self, batch: Returned | Buried) -> None:
        good = await self._write(batch)
        refused = [] if good is None else [e for e in batch.entries if e.id not in good]
        if refused:
            # Either the job was asked to stop while it failed, which ends it, or its lease is lost.
            await self._end(cancelled(refused))

    async def _write(self, batch: Batch) -> set[int] | None:
        """Return the ids whose receipt was good, with those that are set aside; None if all."""
        retry = RetryDelay()
        uncertain = False
        refusals = 0
        while True:
            try:
                return await self._send(batch, uncertain=uncertain)
            except Exception as exc:
                if isinstance(exc, Rejected) and isinstance(batch, (Ended, EndedInFlow)):
                    # A day without a partition, or one row that cannot be moved as it is.
                    await self._partitions(exc)
                step = next_step(batch, exc, refusals, self._timings)
                refusals += isinstance(exc, Rejected)
                match step:
                    case Again():
                        uncertain = uncertain or step.uncertain
                        await self._pause(retry, exc)
                    case OneByOne(batches):
                        return await self._one_by_one(batches)
                    case Less(Ended() | EndedInFlow() as batch):
                        log.warning(
                            "job %d: its row cannot be moved whole: %s", batch.first.id, exc
                        )
                    case Less(less):
                        log.warning(
                            "job %d: its outcome cannot be stored whole: %s", less.first.id, exc
                        )
                        return await self._write(less)
                    case SetAside(entry, seconds):
                        self._set_aside(entry, seconds, exc)
                        return {entry.id}

    async def _one_by_one(self, batches: Sequence[Batch]) -> set[int]:
        good = set[int]()
        for batch in batches:
            one = await self._write(batch)
            good |= {batch.first.id} if one is None else one
        return good

    async def _send(self, batch: Batch, *, uncertain: bool) -> set[int] | None:
        """Send it once. If an answer was lost before, history knows what was written then."""
        answer = await send(self._store, batch, self._worker_name)
        self._back()
        good = None if answer is None else set(answer)
        if uncertain and batch.in_history and good is not None and len(good) < len(batch):
            good |= await self._store.finished(*columns_of(batch))
        if isinstance(batch, (Ended, EndedInFlow)) and batch.state == "completed":
            self._keeper.completed += len(batch if good is None else good)
        return good

    async def _partitions(self, why: Exception) -> None:
        try:
            await self._store.ensure_history()
        except PgQueueError as exc:
            log.warning("no partition could be made after %s: %s", why, exc)

    def _set_aside(self, entry: Entry, seconds: float, why: Exception) -> None:
        self._failed(why)
        log.warning("the outcome of job %d waits: %s", entry.id, why)
        self._keeper.set_aside(entry, seconds)

    async def _pause(self, retry: RetryDelay, why: Exception) -> None:
        self._failed(why)
        if not self.is_away:
            self.is_away = True
            log.warning(
                "outcomes are kept until they can be written (%d now): %s",
                self._keeper.backlog, why, exc_info=not isinstance(why, PgQueueError),
            )  # fmt: skip
        await asyncio.sleep(retry.delay())

    def _failed(self, why: Exception) -> None:
        if self._fruitless is not None:
            error = self._fruitless.failed(why, self._keeper.backlog)
            if error is not None:
                self._events.send(CannotWrite(error))

    def _back(self) -> None:
        if self._fruitless is not None:
            self._fruitless.wrote()
        if self.is_away:
            self.is_away = False
            log.info("outcomes are being written again (%d kept)", self._keeper.backlog)
