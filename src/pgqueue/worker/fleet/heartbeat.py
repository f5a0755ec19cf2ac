"""Renews the lease of a worker, again and again, and does what the answers ask for."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.events import Events, FleetEvent, LeaseRevoked, LimitsTold, Rejoined
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.heartbeat_answer import Renewals, Row, Sent, read
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.maintenance import Maintenance
from pgqueue.worker.fleet.membership import Change, Membership, Step
from pgqueue.worker.fleet.registration import Registration
from pgqueue.worker.fleet.signoff import Orders
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.lease import Lease
from pgqueue.worker.seat import seats
from pgqueue.worker.timings import TIMINGS

__all__ = ["Heartbeat"]

log = logging.getLogger("pgqueue.worker")


class Heartbeat:
    """Runs on the heartbeat thread's loop; ``hurry`` is called there as well."""

    def __init__(
        self,
        store: Store,
        who: Identity,
        *,
        membership: Membership,
        census: Census,
        lease: Lease,
        maintenance: Maintenance,
        orders: Orders,
        view: WorkerView,
        events: Events[FleetEvent],
    ) -> None:
        self._store = store
        self._settings = who.settings
        self.registration = Registration(store, who)
        self._membership = membership
        self.census = census
        self._lease = lease
        self._maintenance = maintenance
        self._orders = orders
        self._view = view
        self._events = events
        self._hurry = asyncio.Event()
        self.renewals = Renewals()
        self.former_rescue: asyncio.Task[None] | None = None
        self._told_slots: int | None = None  # of what its row says

    def hurry(self) -> None:
        """Send the next heartbeat now."""
        self._hurry.set()

    def on_lost(self) -> None:
        """The session is gone: connect again at once."""
        self._cut_lease()
        self._hurry.set()

    async def register(self) -> None:
        """Enter the list of workers under a new id."""
        worker_id, began, limits = await self.registration.enter()
        self._events.send(LimitsTold(limits))  # before its first claim
        self._told_slots = None
        steps = self._membership.registered(worker_id)
        self._lease.hold(began, self._settings.lease)
        self._follow(steps)

    async def beat(self) -> None:
        """Send heartbeats until told to halt."""
        retry = RetryDelay()
        while not self._orders.halt:
            try:
                await self.send_once()
                retry.reset()
                wait = self.census.spacing = self.every()
                self._follow(self._membership.on(Change.RENEWED))
            except PgQueueError as exc:
                self._lease.renewing_since = time.monotonic()
                if not self._store.link.connected:
                    self._cut_lease()
                self._follow(self._membership.on(Change.FAILED), exc)
                wait = retry.delay()
            try:
                async with asyncio.timeout(wait * random.uniform(0.9, 1.0)):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()

    def every(self) -> float:
        """Return the seconds to the next heartbeat."""
        return self.census.every(at_rest=self._at_rest())

    async def send_once(self) -> None:
        """Send one heartbeat; where the row is gone, register anew."""
        began = time.monotonic()
        if await self.registration.refresh():
            self._lease.renewing_since = began
        sent = self._sent()
        row = await self._renew(sent, began - self._lease.renewing_since)
        self.renewals.count += 1
        if row["alive"]:
            self._heed(row, sent, began)
            await self._tell_slots()
        elif not self._orders.halt:
            self._follow(self._membership.on(Change.GONE))
            await self.register()

    async def _tell_slots(self) -> None:
        """Let people see how many slots this worker uses, where that has changed."""
        allowed = self._view.allowed_slots
        if allowed != self._told_slots:
            await self._store.tell_slots(self._membership.worker_id, allowed)
            self._told_slots = allowed

    def _sent(self) -> Sent:
        looks = random.random() < self.census.share_of_looks()
        return Sent(
            every=self.census.spacing,
            running=self._view.running,
            takes_jobs=self._view.takes_jobs and not self._orders.stopping,
            looks=looks,
            counts=looks or random.random() < self.census.share_of_counts(),
        )

    async def _renew(self, sent: Sent, renewing: float) -> Row:
        registration = self.registration
        return await self._store.renew(
            self._membership.worker_id, sent.running, self._orders.stopping, *registration.session,
            sent.looks, renewing, self._view.due_since,
            registration.kind, seats(self._settings.concurrency), sent.counts, sent.takes_jobs,
        )  # fmt: skip

    def _heed(self, row: Row, sent: Sent, began: float) -> None:
        expired = self._lease.is_over
        self._lease.hold(began, self._settings.lease)
        census, maintenance = self.census, self._maintenance
        census.learn(row["before"], (row["workers"], row["alike"]) if sent.counts else None)
        heard = read(
            row, sent, expired=expired, workers=census.workers, alike=census.alike,
            at_rest=self._at_rest(),
        )  # fmt: skip
        for event in heard.events:
            self._events.send(event)
        if self.renewals.on_server(row["server"]):
            maintenance.reconcile()  # it may not know how jobs ended that are over here
        if row["dead_rows"]:
            maintenance.see_dead_rows(row["dead_rows"])
        if heard.held_up:
            self._lease.renewing_since = began
        if heard.expired:
            maintenance.rescue(heard.expired)
        if heard.vanished:
            maintenance.rescue(heard.vanished, vanished=True)

    def _at_rest(self) -> bool:
        return self.census.at_rest(self._view.running, stopping=self._orders.stopping)

    def _cut_lease(self) -> None:
        """To the others a worker without its session is dead, if it stays so for a moment."""
        if self._settings.listen:
            self._lease.cut(time.monotonic() + TIMINGS.rescue.confirm_after)

    def _follow(self, steps: Sequence[Step], error: PgQueueError | None = None) -> None:
        for step in steps:
            match step:
                case Step.WARN:
                    log.warning("the lease cannot be renewed: %s", error)
                case Step.SAY_BACK:
                    log.info("the lease is being renewed again")
                case Step.REVOKE:
                    self._lease.lose()
                    self._events.send(LeaseRevoked())
                    log.warning(
                        "this worker's lease was lost; what it runs is cancelled, and it registers "
                        "anew"
                    )
                case Step.RESCUE_FORMER:
                    assert self._membership.former is not None
                    self.former_rescue = self._maintenance.rescue(
                        [self._membership.former], orphaned=True
                    )
                case Step.REJOIN:
                    self._events.send(Rejoined())
