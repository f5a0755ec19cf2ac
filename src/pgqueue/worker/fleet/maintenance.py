"""What each worker does for the fleet and for its own jobs, beside its heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pgqueue.db.store import Store
from pgqueue.observe.job_fields import process_name
from pgqueue.worker.events import Events, NextSlot, ReadyAgain
from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.declaring import Declaring
from pgqueue.worker.fleet.depths import Depths
from pgqueue.worker.fleet.duties import Duties
from pgqueue.worker.fleet.firing import Firing, SlotJobs
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.links import Links
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.periodic import PeriodicWork
from pgqueue.worker.fleet.reconcile import Reconciler
from pgqueue.worker.fleet.rescuer import Rescuer
from pgqueue.worker.fleet.side_loop import SideLoop
from pgqueue.worker.fleet.stragglers import Stragglers
from pgqueue.worker.fleet.vacuuming import Vacuuming
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.timings import Timings

__all__ = ["Maintenance"]

_RECONCILE, _SCHEDULES, _DEPTHS, _VACUUM = "reconcile", "schedules", "depths", "vacuum"


class Maintenance:
    """On the heartbeat thread's loop, which is that of ``side``."""

    def __init__(
        self,
        store: Store,
        who: Identity,
        jobs: SlotJobs,
        *,
        links: Links,
        holdings: Holdings,
        membership: Membership,
        census: Census,
        view: WorkerView,
        events: Events[ReadyAgain | NextSlot],
        side: SideLoop,
        background: Background,
        timings: Timings,
    ) -> None:
        settings = who.settings
        self._background = background
        self.rescuer = Rescuer(
            store, crash_cap=settings.crash_cap, events=events,
            confirm_after=timings.rescue.confirm_after,
        )  # fmt: skip
        self.passed = Stragglers(store, who, census=census, view=view, links=links, events=events)
        self.reconciler = Reconciler(
            store, who, holdings=holdings, view=view, floor=self.passed.floor,
            census=census, membership=membership, side=side, timings=timings.reconcile,
        )  # fmt: skip
        upkeep = Store(links.upkeep, store.schema)
        self.duties = Duties(
            store, upkeep, hold=settings.lease, retention=settings.retention, rescuer=self.rescuer,
            timings=timings.duties,
        )  # fmt: skip
        self.firing = Firing(
            store, jobs, who.schedules, actor=process_name(), view=view, background=background,
            events=events, timings=timings.firing,
        )  # fmt: skip
        works = {
            "passed": self.passed, _RECONCILE: self.reconciler, "duties": self.duties,
            _SCHEDULES: self.firing,
            _DEPTHS: Depths(store, timings.duties.depths),
            _VACUUM: Vacuuming(store, upkeep, timings.duties.vacuum),
            "flows": Declaring(store, who.flows, actor=process_name(), every=settings.heartbeat),
        }  # fmt: skip
        self._periodic = PeriodicWork(works, background)
        self._vacuum_at = timings.duties.vacuum.least

    def start(self) -> None:
        """Begin with what is to be done again and again."""
        self._periodic.start()

    def reconcile(self) -> None:
        """Look now for what this worker holds without knowing it."""
        self._periodic.call(_RECONCILE)

    def fire_in(self, seconds: float) -> None:
        """Look for slots that are due in so many seconds."""
        self._periodic.call(_SCHEDULES, seconds)

    def count_depths(self) -> None:
        """Look now whether queues are full: what they may hold has changed."""
        self._periodic.call(_DEPTHS)

    def see_dead_rows(self, dead: int) -> None:
        """Look now whether the job table is to be vacuumed, if it may have so many dead rows."""
        if dead >= self._vacuum_at:
            self._periodic.call(_VACUUM)

    def rescue(
        self, workers: Sequence[int], *, vanished: bool = False, orphaned: bool = False
    ) -> asyncio.Task[None]:
        """Begin to release what these workers held; see ``Rescuer.rescue``."""
        rescue = self.rescuer.rescue(workers, vanished=vanished, orphaned=orphaned)
        return self._background.spawn(rescue)
