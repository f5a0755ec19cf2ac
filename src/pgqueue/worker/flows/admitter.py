"""Admits jobs of flows: all workers do, one of a flow at a time. See docs/internals/flows.md.

Tickets are the truth: whoever dies leaves them to others. What the parts say only makes it quick.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterable

from pgqueue.db.faults import Contended, Rejected
from pgqueue.db.link import Link
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import Events, QueuesReady
from pgqueue.worker.flows.agenda import Agenda, Look
from pgqueue.worker.flows.known import Known
from pgqueue.worker.flows.search import Search
from pgqueue.worker.flows.throughput import Throughput
from pgqueue.worker.keep_up import keep_up
from pgqueue.worker.neighbours import Speed
from pgqueue.worker.seldom import Seldom
from pgqueue.worker.timings import FLOW_TIMINGS, FlowTimings

__all__ = ["Admitter"]

log = logging.getLogger("pgqueue.worker")


class Admitter:
    """``store``: on a connection of its own, which is opened once there are flows."""

    def __init__(
        self,
        store: Store,
        *,
        events: Events[QueuesReady],
        runner: Speed,
        slots: int,
        timings: FlowTimings = FLOW_TIMINGS,
    ) -> None:
        self._store = store
        self._events = events
        self._runner = runner
        self._agenda = Agenda(timings)
        self.throughput = Throughput(slots)
        self._known = Known()
        self._search = Search(timings)
        self._wake = asyncio.Event()
        self._retry = RetryDelay()
        self._task: asyncio.Task[None] | None = None
        self._refused = Seldom()
        self.has_flows = False
        self.admitted = 0

    @property
    def link(self) -> Link:
        """Its connection."""
        return self._store.link

    def start(self) -> None:
        """Begin to admit, unless it does."""
        if self._task is None:
            self._task = asyncio.create_task(
                keep_up(self._step, self._on_error), name="pgqueue admitter"
            )

    async def stop(self) -> None:
        """Stop; others find the tickets."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])
            if self._task is task:
                self._task = None

    # -- what it is told

    def ticketed(self, flows: Iterable[str], delay: float = 0.0) -> None:
        """These flows have tickets, which others may see to within so many seconds."""
        self.has_flows = True
        self._agenda.ticketed(flows, time.monotonic(), delay)
        self._wake.set()

    def on_fleet(self, slots: int | None, workers: int) -> None:
        """The heartbeat says that there are flows, and how large the fleet is."""
        if not self.has_flows:
            # The claimer's looks up to here were not for tickets.
            self.has_flows = True
            self._search.want(time.monotonic(), lines=True)
            self._wake.set()
        self.throughput.workers = workers
        if slots is not None:
            self.throughput.slots = max(slots, 1)

    def on_look(self, *, poll: bool) -> None:
        """The claimer has looked for jobs: look for tickets as well, where there are flows."""
        if not self.has_flows:
            return
        if self._search.want(time.monotonic(), lines=poll):
            self._wake.set()

    # -- the loop

    async def _step(self) -> None:
        now = time.monotonic()
        if self._search.at <= now:
            await self._find()
        elif (taken := self._agenda.take(now)) is not None:
            await self._look(*taken)
        else:
            await self._wait(min(self._search.at, self._agenda.next_at) - now)
            return
        self._retry.reset()

    async def _wait(self, seconds: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._wake.wait()

    async def _find(self) -> None:
        """Ask which flows have tickets."""
        began, lines = time.monotonic(), self._search.begin()
        known = self._known.on(self.link.generation)
        try:
            flows = await self._store.ticketed_flows(known.floors, known.server, lines=lines)
        except BaseException:
            self._search.want(began, lines=lines)
            raise
        now = time.monotonic()
        self._search.end(began, now)
        self._agenda.ticketed(flows, now)

    async def _look(self, flow: str, look: Look) -> None:
        """Admit what may run of one flow."""
        now = time.monotonic()
        known = self._known.on(self.link.generation)
        most = self.throughput.ready_most(self._runner.finished, now)
        try:
            answer = await self._store.admit(flow, most, known.of(flow), known.server)
        except (Rejected, Contended) as exc:
            self._agenda.refused(flow, time.monotonic())
            if self._refused.count():
                log.warning('no job of flow "%s" can be admitted now: %s', flow, exc)
            return
        except BaseException:
            self._agenda.ticketed((flow,), now)
            raise
        self._agenda.answered(flow, look, answer, time.monotonic())
        if answer["admitted"] >= 0:
            known.learn(flow, answer)
            self.admitted += answer["admitted"]
        if answer["queues"]:
            self._events.send(QueuesReady(answer["queues"]))

    def _on_error(self, error: Exception) -> float:
        ours = isinstance(error, PgQueueError)
        log.log(
            logging.DEBUG if ours else logging.ERROR,
            "admission waits: %s", error, exc_info=None if ours else error,
        )  # fmt: skip
        return self._retry.delay()
