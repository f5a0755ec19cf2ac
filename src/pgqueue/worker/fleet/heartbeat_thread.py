"""The thread that keeps a worker alive in the eyes of the others, whatever its handlers do.

It has an event loop and connections of its own: a handler that blocks the worker's loop for a
minute keeps its jobs. The heartbeat, the maintenance and the watchdog run on it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

from pgqueue.db.link import Watch
from pgqueue.db.source import Source
from pgqueue.db.store import Store
from pgqueue.worker.events import Events, FleetEvent, HeartbeatFailed
from pgqueue.worker.fleet.background import Background, on_error
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.firing import SlotJobs
from pgqueue.worker.fleet.heartbeat import Heartbeat
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.links import Links
from pgqueue.worker.fleet.maintenance import Maintenance
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.side_loop import SideLoop
from pgqueue.worker.fleet.signoff import Leaving, Orders
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.fleet.watchdog import Watchdog
from pgqueue.worker.keep_up import keep_up
from pgqueue.worker.lease import Lease
from pgqueue.worker.stop_times import RELEASE_SECONDS
from pgqueue.worker.timings import Timings

__all__ = ["HeartbeatThread"]

log = logging.getLogger("pgqueue.worker")


class HeartbeatThread:
    """Builds what runs in the thread, starts it and ends it.

    Made and started on the worker's loop, where ``events`` takes what the thread says.
    """

    def __init__(
        self,
        source: str | Source,
        schema: str,
        who: Identity,
        jobs: SlotJobs,
        *,
        pooled_by_session: bool = False,
        watch: Watch,
        lease: Lease,
        membership: Membership,
        holdings: Holdings,
        view: WorkerView,
        events: Events[FleetEvent],
        timings: Timings,
    ) -> None:
        settings = who.settings
        self._deadline = settings.deadline
        self.lease = lease
        self._events = events
        self._side = SideLoop("pgqueue-heartbeat", self)
        self._background = Background()
        self.links = Links(
            source, settings=settings, pooled_by_session=pooled_by_session, view=view,
            on_lost=self._on_lost, timings=timings.watch,
        )  # fmt: skip
        self._watchdog = Watchdog(
            watch, self.links.watch, view=view, deadline=settings.deadline, side=self._side,
            events=self, timings=timings.watch,
        )  # fmt: skip
        self.orders = Orders()
        self.membership = membership
        census = Census(settings.heartbeat, settings.lease, timings.rescue.lookers)
        self.maintenance = Maintenance(
            Store(self.links.duties, schema), who, jobs,
            links=self.links, holdings=holdings, membership=membership, census=census, view=view,
            events=self, side=self._side, background=self._background, timings=timings,
        )  # fmt: skip
        store = Store(self.links.heartbeat, schema)
        self.heartbeat = Heartbeat(
            store, who, membership=membership, census=census, lease=lease,
            maintenance=self.maintenance, orders=self.orders, view=view, events=self,
        )  # fmt: skip
        self._leaving = Leaving(
            store, self.orders, membership,
            holdings=holdings, view=view, crash_cap=settings.crash_cap,
        )  # fmt: skip
        self._started: asyncio.Future[None] | None = None  # resolved on the worker's loop
        self._living: asyncio.Task[Any] | None = None  # written once by the thread

    @property
    def worker_id(self) -> int | None:
        """The id that this worker is registered under; None while it is not."""
        return self.membership.worker_id

    @property
    def heartbeats(self) -> int:
        """How many heartbeats were answered."""
        return self.heartbeat.renewals.count

    # -- from the worker's loop

    async def start(self) -> None:
        """Register and begin, once; raises what keeps it from doing so."""
        if self._started is None:
            self._side.start()
            self._started = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._started)

    def hurry(self, *, limits: bool = False) -> None:
        """Send a heartbeat now: there is something to learn. ``limits``: of queues changed."""
        self._side.call(self.heartbeat.hurry)
        if limits:
            self._side.call(self.maintenance.count_depths)

    def mark_stopping(self) -> None:
        """Say in the next heartbeat that this worker stops."""
        self.orders.stopping = True
        self.hurry()

    def reconcile(self) -> None:
        """Look now for what this worker holds without knowing it."""
        self._side.call(self.maintenance.reconcile)

    def fire_in(self, seconds: float) -> None:
        """Look for slots of schedules that are due in so many seconds."""
        self._side.call(functools.partial(self.maintenance.fire_in, seconds))

    async def stop(self, *, sign_off: bool = True) -> None:
        """Take the worker off the list and end the thread; the last thing to stop.

        Without ``sign_off`` it stays on the list, for others to find that it is lost and to give
        back what it may still hold.
        """
        self.orders.signs_off = sign_off
        self.orders.halt = True
        self.hurry()
        self._side.call(self._cancel_start)
        if not await self._side.wait_ended(self._deadline + 4.0):
            log.error("the heartbeat thread does not end; leaving it behind")

    def give_up(self, seconds: float) -> None:
        """Release what the worker holds, sign off and end, within so many seconds.

        For when the worker's loop is blocked or closed, or the interpreter ends. From any thread.
        """
        self.orders.gives_up = self.orders.halt = True
        self.lease.lose()  # nothing more is claimed or begins, should the loop go on
        self.mark_stopping()
        self._side.join(seconds)

    def on_exit(self) -> None:
        """The program ends, and this worker was not stopped: that is no crash."""
        self.give_up(RELEASE_SECONDS)

    # -- in the thread

    async def live(self) -> None:
        """Register, send heartbeats until told to halt, and sign off."""
        self._living = asyncio.current_task()
        self._background.spawn(keep_up(self._watchdog.watch_over, on_error))
        try:
            if self.orders.halt:
                raise asyncio.CancelledError
            await self.heartbeat.register()
        except BaseException as exc:
            self.links.heartbeat.abort()
            self._side.tell(functools.partial(self._settle, exc))
            return
        self._side.tell(self._settle)
        self.maintenance.start()
        try:
            await self.heartbeat.beat()
            former_rescue = self.heartbeat.former_rescue
            if former_rescue is not None:  # else its jobs are orphans for up to a minute
                await asyncio.wait([former_rescue], timeout=RELEASE_SECONDS)
            await self._leaving.leave()
        finally:
            await self._background.cancel(2.0)
            await self.links.close()

    def send(self, event: FleetEvent) -> None:
        """Have an event handled on the worker's loop."""
        self._side.tell(functools.partial(self._events.send, event))

    def on_failed(self, error: BaseException) -> None:
        """Tell the worker, which must not go on without a heartbeat."""
        self._side.tell(functools.partial(self._settle, error))
        self.send(HeartbeatFailed(error))

    def on_owner_closed(self) -> None:
        """Release all: nobody else will."""
        if self.orders.halt:
            return
        log.warning(
            "the event loop of this worker was closed before the worker was stopped; its jobs "
            "are released"
        )
        self.give_up(0.0)
        self._watchdog.cut_all()

    def _on_lost(self) -> None:
        self.heartbeat.on_lost()

    def _cancel_start(self) -> None:
        """Wait no longer for a connection; with one, see through what may be a registration."""
        if self._living and not self.membership.was_in and not self.links.heartbeat.connected:
            self._living.cancel()

    # -- on the worker's loop

    def _settle(self, error: BaseException | None = None) -> None:
        """Let ``start`` return, or raise."""
        if self._started is None or self._started.done():
            return
        if error is None:
            self._started.set_result(None)
        else:
            self._started.set_exception(error)
            self._started.exception()  # whoever started it may have been cancelled
