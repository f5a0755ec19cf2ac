"""How a worker leaves: what it is told, what follows from that, and its last statement."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import Enum, auto

from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.rescue import release_worker
from pgqueue.worker.fleet.view import WorkerView

__all__ = ["AGAIN_SECONDS", "Ending", "Leaving", "Orders", "ending"]

log = logging.getLogger("pgqueue.worker")

AGAIN_SECONDS = 0.5
"""A sign-off whose answer was lost so soon is sent again."""


@dataclass(slots=True)
class Orders:
    """What the heartbeat thread is told. Any thread writes it, and takes nothing back.

    ``stopping``: the heartbeat says so. ``halt``: it ends. ``signs_off``: the worker holds nothing
    any more, as far as it knows. ``gives_up``: what it holds is released by the thread.
    """

    stopping: bool = False
    halt: bool = False
    signs_off: bool = True
    gives_up: bool = False


class Ending(Enum):
    """What a worker on the list does last."""

    GIVE_UP = auto()
    SIGN_OFF = auto()
    STAY = auto()  # it stays on the list: others find that it is lost, and release what it holds


def ending(orders: Orders, *, unsettled: bool) -> Ending:
    """Return how a worker leaves that is on the list.

    ``unsettled``: a lost claim may have taken jobs.
    """
    if orders.gives_up:
        return Ending.GIVE_UP
    return Ending.SIGN_OFF if orders.signs_off and not unsettled else Ending.STAY


class Leaving:
    """Used on the heartbeat thread, once."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        membership: Membership,
        *,
        holdings: Holdings,
        view: WorkerView,
        crash_cap: int,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._store = store
        self._orders = orders
        self._membership = membership
        self._holdings = holdings
        self._view = view
        self._crash_cap = crash_cap
        self._again_seconds = again_seconds

    async def leave(self) -> None:
        """Do what is to be done last."""
        worker = self._membership.worker_id
        if worker is None:
            return
        match ending(self._orders, unsettled=self._holdings.unsettled):
            case Ending.GIVE_UP:
                await self._give_up(worker)
            case Ending.SIGN_OFF:
                await self._sign_off(worker)
            case Ending.STAY:
                pass

    async def _sign_off(self, worker: int) -> None:
        """Take a worker off the list that holds nothing any more."""
        began = time.monotonic()
        try:
            try:
                await self._store.remove_worker(worker)
            except OutcomeUnknown:
                if time.monotonic() > began + self._again_seconds:
                    raise  # the server is silent, and a stop has to end
                await self._store.remove_worker(worker)
        except PgQueueError as exc:
            log.warning("could not sign off: %s", exc)

    async def _give_up(self, worker: int) -> None:
        """Write what has succeeded, release the rest of what it holds, and sign off."""
        done = self._view.successes()
        try:
            await release_worker(self._store, worker, done=done, crash_cap=self._crash_cap)
        except PgQueueError as exc:
            log.warning("could not release what this worker holds, and sign off: %s", exc)
