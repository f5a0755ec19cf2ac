"""Gathers outcomes while the previous flush is on its way, and writes them in batches.

No timer: idle, an outcome is written at once; under load the batches grow by themselves. What
cannot be written because the database is away is kept and written when it is back. A batch that is
refused falls down a ladder: batch, single rows, and then less and less of each (rungs.py).
A row that cannot be written now, since it is locked or still refused, is set aside for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from itertools import chain

from pgqueue.config import LONGEST_DELAY
from pgqueue.db.faults import Contended, Rejected, is_of_the_row
from pgqueue.db.patience import Patience
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError
from pgqueue.failure import Failure
from pgqueue.outcome import (
    CANCELLED,
    DONE,
    Cancelled,
    Dead,
    Done,
    Released,
    RetryAt,
    Snoozed,
)
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.finish.rungs import DAMAGED, Rung, next_rung
from pgqueue.worker.receipt import Entry
from pgqueue.worker.stop_times import ASIDE_SECONDS

__all__ = ["Completer"]

log = logging.getLogger("pgqueue.worker")

_AFTER_FAILURE = 0.2
_BATCH = 2_000
_FULL = 20_000
_REFUSED_SECONDS = 10.0


class Completer:
    """Writes outcomes. ``add`` and ``done`` never wait; ``stop`` flushes."""

    def __init__(
        self,
        store: Store,
        *,
        worker_name: str,
        on_lost: Callable[[int], None],
        on_written: Callable[[Sequence[Entry]], None],
        fruitless: Fruitless | None = None,
        batch: int = _BATCH,
        full: int = _FULL,
    ) -> None:
        self._store = store
        self._worker_name = worker_name
        self._on_lost = on_lost
        self._on_written = on_written
        self._fruitless = fruitless
        self._batch = batch
        self._full = full
        self._done: list[tuple[int, int]] = []
        self._entries: list[Entry] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._flushing: tuple[list[tuple[int, int]], list[Entry]] = ([], [])
        self._aside: dict[asyncio.TimerHandle, Entry] = {}
        self._task: asyncio.Task[None] | None = None
        self._away = False
        self.completed = 0
        self.flushes = 0

    @property
    def backlog(self) -> int:
        """Outcomes that are not written yet."""
        done, entries = self._flushing
        waiting = len(self._done) + len(self._entries) + len(self._aside)
        return waiting + len(done) + len(entries)

    @property
    def is_full(self) -> bool:
        """True while so many outcomes wait that no more jobs should be claimed."""
        return self.backlog >= self._full

    @property
    def is_torn_down(self) -> bool:
        """True once somebody else cancelled what writes: all tasks of the loop are cancelled."""
        return self._task is not None and self._task.cancelling() > 0

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs whose outcomes are not written yet."""
        done, entries = self._flushing
        others = chain(self._entries, entries, self._aside.values())
        return {*self._done, *done, *((entry.id, entry.token) for entry in others)}

    def successes(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs that succeeded and are not written yet."""
        return {*self._done, *self._flushing[0]}

    def done(self, job_id: int, token: int) -> None:
        """Note a success."""
        self._done.append((job_id, token))
        if not self._wake.is_set():
            self._wake.set()
            self._empty.clear()

    def add(self, entry: Entry) -> None:
        """Note any other outcome."""
        self._entries.append(entry)
        self._wake.set()
        self._empty.clear()

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._loop(), name="pgqueue completer")

    async def wait_room(self) -> None:
        """Return once the backlog is below its bound."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def stop(self, deadline: float) -> int:
        """Write what is left, for at most ``deadline`` seconds; return how many were not."""
        if self._task is None:
            return self.backlog
        if self.is_torn_down:
            await asyncio.wait([self._task])
            self.start()
        try:
            async with asyncio.timeout(deadline):
                await self._empty.wait()
        except TimeoutError:
            log.error(
                "stopping with %d outcomes unwritten; these jobs will run again", self.backlog
            )
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        for timer in self._aside:
            timer.cancel()
        return self.backlog

    async def _loop(self) -> None:
        while True:
            try:
                await self._write_all()
            except Exception as exc:
                # Nothing here should raise, but a log filter of the user's may. A worker that ran
                # jobs and wrote nothing would be worse than any of it.
                with contextlib.suppress(Exception):
                    log.exception("writing outcomes failed; it begins again", exc_info=exc)
                await asyncio.sleep(_AFTER_FAILURE)

    async def _write_all(self) -> None:
        while True:
            if not (self._done or self._entries):
                await self._wake.wait()
            self._wake.clear()
            while self._done or self._entries:
                done, self._done = self._done[: self._batch], self._done[self._batch :]
                entries, self._entries = (
                    self._entries[: self._batch],
                    self._entries[self._batch :],
                )
                self._flushing = done, entries
                self.flushes += 1
                try:
                    if done:
                        await self._finish(done, "completed")
                        done = []
                    if entries:
                        await self._settle(entries)
                except BaseException:
                    # Once more. What was written already will be called lost in the log, no more.
                    self._done[:0] = done
                    self._entries[:0] = entries
                    self._flushing = [], []
                    raise
                self._flushing = [], []
                self._room.set()
            if not self._wake.is_set() and not self._aside:
                self._empty.set()

    def _set_aside(self, entry: Entry, seconds: float, why: Exception) -> None:
        """Try this one again in a while, and let the others pass."""
        if self._fruitless is not None:
            self._fruitless.failed(why, self.backlog)
        log.warning("the outcome of job %d waits: %s", entry.id, why)

        def again() -> None:
            del self._aside[timer]
            self.add(entry)

        timer = asyncio.get_running_loop().call_later(seconds, again)
        self._aside[timer] = entry

    async def _finish(self, receipts: list[tuple[int, int]], state: str) -> None:
        receipts.sort()
        good = await self._write(receipts, state)
        if good is not None:
            for job_id, _ in receipts:
                if job_id not in good:
                    with contextlib.suppress(Exception):  # it logs, as the user has set it up
                        self._on_lost(job_id)

    async def _write(self, receipts: list[tuple[int, int]], state: str) -> set[int] | None:
        """Move to history; None if all receipts were good, else those that were."""
        ids = [job_id for job_id, _ in receipts]
        tokens = [token for _, token in receipts]
        tries = 0
        patience = Patience()
        uncertain = False
        rung = Rung.WHOLE
        while True:
            try:
                if rung == Rung.WHOLE:
                    good = await self._store.finish(ids, tokens, state)
                else:
                    good = await self._store.end_damaged(
                        "finish_damaged",
                        *receipts[0],
                        state,
                        self._damaged(),
                        whole=rung == Rung.NO_ERRORS,
                    )
                self._back()
                known = None if good is None else set(good)
                if uncertain and known is not None and len(known) < len(ids):
                    known |= await self._store.finished(ids, tokens)
                if state == "completed":
                    self.completed += len(ids if known is None else known)
                return known
            except (Rejected, Contended) as exc:
                if isinstance(exc, Rejected):
                    # A day without a partition, or one row that cannot be moved as it is.
                    await self._partitions(exc)
                if len(receipts) > 1:
                    kept: set[int] = set()
                    for receipt in receipts:
                        one = await self._write([receipt], state)
                        kept |= {receipt[0]} if one is None else one
                    return kept
                outcome = DONE if state == "completed" else CANCELLED
                refused = isinstance(exc, Rejected)
                if refused and tries < 2:
                    tries += 1
                    await self._pause(patience, exc)
                    continue
                if refused and rung < Rung.NO_ARGUMENTS and is_of_the_row(exc):
                    rung = max(rung + 1, Rung.NO_ERRORS)
                    log.warning("job %d: its row cannot be moved whole: %s", receipts[0][0], exc)
                    continue
                self._set_aside(
                    Entry(*receipts[0], outcome),
                    _REFUSED_SECONDS if refused else ASIDE_SECONDS,
                    exc,
                )
                return None
            except Exception as exc:
                uncertain = uncertain or isinstance(exc, OutcomeUnknown)
                await self._pause(patience, exc)

    async def _partitions(self, why: Exception) -> None:
        try:
            await self._store.ensure_history()
        except PgQueueError as exc:
            log.warning("no partition could be made after %s: %s", why, exc)

    async def _settle(self, entries: list[Entry]) -> None:
        cancelled = [e for e in entries if isinstance(e.outcome, Cancelled)]
        dead = [e for e in entries if isinstance(e.outcome, Dead)]
        buried = [e for e in dead if e.rung < Rung.NO_ERRORS]
        damaged = [[e] for e in dead if e.rung >= Rung.NO_ERRORS]  # one is buried at a time
        returned = [e for e in entries if isinstance(e.outcome, (RetryAt, Snoozed, Released))]
        rest: list[Entry] = [e for e in entries if isinstance(e.outcome, Done)]
        if rest:
            await self._finish([(e.id, e.token) for e in rest], "completed")
        if cancelled:
            await self._finish([(e.id, e.token) for e in cancelled], "cancelled")
        for group in (returned, buried, *damaged):
            if group:
                await self._change(sorted(group, key=lambda e: e.id))
        self._on_written(entries)

    async def _change(self, entries: list[Entry]) -> None:
        good = await self._ladder(entries)
        refused = [e for e in entries if e.id not in good]
        if refused:
            # Either the job was asked to stop while it failed, which ends it, or its lease is lost.
            await self._finish([(e.id, e.token) for e in refused], "cancelled")

    async def _ladder(self, entries: list[Entry]) -> set[int]:
        patience = Patience()
        uncertain = False
        while True:
            try:
                good = set(await self._send(entries))
                self._back()
                if uncertain and len(good) < len(entries) and isinstance(entries[0].outcome, Dead):
                    # Buried before the answer was lost. Jobs given back have no receipt to show.
                    good |= await self._store.finished(
                        [e.id for e in entries], [e.token for e in entries]
                    )
                return good
            except (Rejected, Contended) as exc:
                if len(entries) > 1:
                    good = set[int]()
                    for entry in entries:
                        good |= await self._ladder([entry])
                    return good
                less = None if isinstance(exc, Contended) else next_rung(entries[0], exc)
                if less is None:
                    waits = _REFUSED_SECONDS if isinstance(exc, Rejected) else ASIDE_SECONDS
                    self._set_aside(entries[0], waits, exc)
                    return {entries[0].id}
                log.warning("job %d: its outcome cannot be stored whole: %s", less.id, exc)
                return await self._ladder([less])
            except Exception as exc:
                uncertain = uncertain or isinstance(exc, OutcomeUnknown)
                await self._pause(patience, exc)

    async def _send(self, entries: list[Entry]) -> list[int]:
        ids = [e.id for e in entries]
        tokens = [e.token for e in entries]
        errors = [self._error(e) for e in entries]
        if isinstance(entries[0].outcome, Dead):
            if entries[0].rung >= Rung.NO_ERRORS:
                whole = entries[0].rung == Rung.NO_ERRORS
                (error,), reason = errors, entries[0].outcome.reason
                return await self._store.end_damaged(
                    "bury_damaged", ids[0], tokens[0], reason, error or self._damaged(), whole=whole
                )
            reasons = [e.outcome.reason for e in entries if isinstance(e.outcome, Dead)]
            return await self._store.bury(ids, tokens, reasons, errors)
        delays = [
            min(e.outcome.delay, LONGEST_DELAY)
            if isinstance(e.outcome, (RetryAt, Snoozed))
            else None
            for e in entries
        ]
        changes = [0 if isinstance(e.outcome, RetryAt) else -1 for e in entries]
        return await self._store.give_back(ids, tokens, delays, changes, errors)

    def _damaged(self) -> str:
        return DAMAGED.entry(attempt=0, worker=self._worker_name)

    def _error(self, entry: Entry) -> str | None:
        if entry.rung == Rung.NO_ERRORS and not isinstance(entry.outcome, Dead):
            return None
        match entry.outcome:
            case (
                RetryAt(failure=failure)
                | Snoozed(failure=Failure() as failure)
                | Dead(failure=Failure() as failure)
            ):
                return failure.entry(attempt=entry.attempt, worker=self._worker_name)
            case _:
                return None

    async def _pause(self, patience: Patience, why: Exception) -> None:
        if self._fruitless is not None:
            self._fruitless.failed(why, self.backlog)
        if not self._away:
            self._away = True
            log.warning(
                "outcomes are kept until they can be written (%d now): %s", self.backlog, why,
                exc_info=not isinstance(why, PgQueueError),
            )  # fmt: skip
        await asyncio.sleep(patience.delay())

    def _back(self) -> None:
        if self._fruitless is not None:
            self._fruitless.wrote()
        if self._away:
            self._away = False
            log.info("outcomes are being written again (%d kept)", self.backlog)
