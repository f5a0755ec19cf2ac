"""Gathers outcomes while the previous flush is on its way, and writes them in batches.

No timer: idle, an outcome is written at once; under load the batches grow by themselves. A batch
takes as long as it needs (writer.py): while the database is away, outcomes are kept here. A row
that cannot be written now, since it is locked or still refused, is set aside for a while.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import chain

from pgqueue.db.store import Store
from pgqueue.outcome import Done
from pgqueue.worker.events import Events, FinishEvent
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.finish.writer import Writer
from pgqueue.worker.keep_up import keep_up
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import TIMINGS, WriteTimings

__all__ = ["Completer"]

log = logging.getLogger("pgqueue.worker")

_AFTER_FAILURE = 0.2
_BATCH = 2_000
_FULL = 20_000


class Completer:
    """Writes outcomes. ``add`` and ``done`` never wait; ``stop`` flushes.

    ``full``: while so many outcomes wait, no more jobs should be claimed.
    """

    def __init__(
        self,
        store: Store,
        *,
        worker_name: str,
        events: Events[FinishEvent],
        fruitless: Fruitless | None = None,
        batch: int = _BATCH,
        full: int = _FULL,
        timings: WriteTimings = TIMINGS.writes,
    ) -> None:
        self._writer = Writer(
            store, self, worker_name=worker_name, events=events, fruitless=fruitless,
            timings=timings,
        )  # fmt: skip
        self._batch = batch
        self.full = full
        self._done: list[tuple[int, int]] = []
        self._entries: list[Entry] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._flushing: tuple[list[tuple[int, int]], list[Entry]] = ([], [])
        self.delayed: dict[asyncio.TimerHandle, Entry] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Lock()
        self.completed = 0
        self.flushes = 0

    @property
    def backlog(self) -> int:
        """Outcomes that are not written yet."""
        done, entries = self._flushing
        waiting = len(self._done) + len(self._entries) + len(self.delayed)
        return waiting + len(done) + len(entries)

    @property
    def is_full(self) -> bool:
        """True while so many outcomes wait that no more jobs should be claimed."""
        return self.backlog >= self.full

    @property
    def is_torn_down(self) -> bool:
        """True once somebody else cancelled what writes: all tasks of the loop are cancelled."""
        return self._task is not None and self._task.cancelling() > 0

    @property
    def is_away(self) -> bool:
        """True while outcomes are kept because they cannot be written."""
        return self._writer.is_away

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs whose outcomes are not written yet."""
        done, entries = self._flushing
        others = chain(self._entries, entries, self.delayed.values())
        return {*self._done, *done, *((entry.id, entry.token) for entry in others)}

    def successes(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs that succeeded and are not written yet."""
        done, entries = self._flushing
        others = chain(self._entries, entries, self.delayed.values())
        in_flows = ((e.id, e.token) for e in others if isinstance(e.outcome, Done))
        return {*self._done, *done, *in_flows}

    def done(self, job_id: int, token: int) -> None:
        """Note a success of a job without a flow."""
        self._done.append((job_id, token))
        if not self._wake.is_set():
            self._wake.set()
            self._empty.clear()

    def add(self, entry: Entry) -> None:
        """Note any other outcome."""
        self._entries.append(entry)
        self._wake.set()
        self._empty.clear()

    def done_by_handler(self, flow: str | None) -> None:
        """Count a job that its handler completed in a transaction of its own."""
        self.completed += 1
        if flow is not None:
            self._writer.ticketed(flow)

    def start(self) -> None:
        """Begin to write, unless it does."""
        if self._task is None:
            self._task = asyncio.create_task(
                keep_up(self._write_all, self._on_error), name="pgqueue completer"
            )

    async def wait_room(self) -> None:
        """Return once the backlog is below its bound."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def stop(self, deadline: float) -> int:
        """Write what is left, for at most ``deadline`` seconds; return how many were not."""
        async with self._stopping:
            if self._task is not None and self.is_torn_down:
                await asyncio.wait([self._task])
                self._task = None
                self.start()
            if self._task is not None:
                await self._flush(deadline)
                await self._end(self._task)
        return self.backlog

    async def _flush(self, deadline: float) -> None:
        try:
            async with asyncio.timeout(deadline):
                await self._empty.wait()
        except TimeoutError:
            log.error(
                "stopping with %d outcomes unwritten; these jobs will run again", self.backlog
            )

    async def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait([task])
        self._task = None
        for timer, entry in self.delayed.items():
            timer.cancel()
            self._entries.append(entry)
        self.delayed.clear()

    @staticmethod
    def _on_error(error: Exception) -> float:
        log.error("writing outcomes failed; it begins again", exc_info=error)
        return _AFTER_FAILURE

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
                        await self._writer.finish(done, "completed")
                        done = []
                    if entries:
                        await self._writer.settle(entries)
                except BaseException:
                    # Once more. What was written already will be called lost in the log, no more.
                    self._done[:0] = done
                    self._entries[:0] = entries
                    self._flushing = [], []
                    raise
                self._flushing = [], []
                self._room.set()
            if not self._wake.is_set() and not self.delayed:
                self._empty.set()

    def set_aside(self, entry: Entry, seconds: float) -> None:
        """Add this one again in a while; it counts as not written."""

        def again() -> None:
            del self.delayed[timer]
            self.add(entry)

        timer = asyncio.get_running_loop().call_later(seconds, again)
        self.delayed[timer] = entry
