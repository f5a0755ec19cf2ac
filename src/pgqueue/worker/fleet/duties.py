"""The duties of the fleet: each is done by one worker, when it is due."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError, Unreachable
from pgqueue.worker.fleet.rescuer import Rescuer
from pgqueue.worker.timings import DutyTimings

__all__ = ["Duties"]

log = logging.getLogger("pgqueue.worker")

_BATCH = 1_000


class Duties:
    """History to come, what is kept for long enough, orphans, and jobs in line that nobody sees.

    On the heartbeat thread's loop.

    ``upkeep``: on a connection of its own, for what takes long. ``hold``: for how many seconds a
    duty is left to who took it, while it may be alive.
    """

    def __init__(
        self,
        store: Store,
        upkeep: Store,
        *,
        hold: float,
        retention: float,
        rescuer: Rescuer,
        timings: DutyTimings,
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._hold = hold
        self._retention = retention
        self._check_every = timings.check_every
        self.table = {
            "history": (timings.history_every, self._make_history),
            "retention": (timings.retention_every, self._drop_past),
            "orphans": (timings.orphans_every, rescuer.rescue_orphans),
            "lines": (timings.lines_every, self._heal_lines),
        }

    def begin(self) -> float:
        """Return the seconds until it is first asked what is due."""
        return random.uniform(0.0, 2.0)

    async def step(self, *, called: bool) -> float:
        """Do what is due; return the seconds until the next time."""
        del called  # nobody does
        wait = self._check_every
        try:
            async with self._store.turn:
                due_in = await self._store.due_duties()
            for name, (every, work) in self.table.items():
                left = due_in.get(name, wait)
                if left <= 0:
                    left = every if await self._do_one(name, every, work) else self._hold
                wait = min(wait, left)
        except PgQueueError as exc:
            log.warning("the duties are put off: %s", exc)
            wait = min(wait, self._hold)
        return wait * random.uniform(1.0, 1.2)

    async def _do_one(self, name: str, every: float, work: Callable[[], Awaitable[bool]]) -> bool:
        """Do it, if nobody else does; False if somebody should look again soon."""
        async with self._store.turn:
            taken = await self._store.take_duty(name, self._hold)
        if not taken:
            return False
        try:
            done = await work()
        except PgQueueError as exc:
            log.warning("the duty %s is put off: %s", name, exc)
            # What the server refused may stand in others' way: not again until its next time.
            done = not isinstance(exc, (OutcomeUnknown, Unreachable))
        if done:
            async with self._store.turn:
                await self._store.end_duty(name, every)
        return done

    async def _make_history(self) -> bool:
        async with self._store.turn:
            await self._store.ensure_history()
        return True

    async def _drop_past(self) -> bool:
        if not await self._detach_history():
            return False
        await self._drop_history()
        await self._in_batches(self._store.drop_audit)
        await self._in_batches(self._store.drop_usage)
        await self._in_batches(self._store.forget_keys)
        await self._in_batches(self._store.forget_unique)
        return True

    async def _in_batches(self, delete: Callable[[int], Awaitable[int]]) -> None:
        deleted = _BATCH
        while deleted == _BATCH:
            async with self._store.turn:
                deleted = await delete(_BATCH)

    async def _heal_lines(self) -> bool:
        async with self._store.turn:
            healed = await self._store.heal_lines()
        for flow, keys in healed.items():
            log.warning(
                'flow "%s": nothing would have admitted the jobs of %d of its keys; a ticket was '
                "written for each",
                flow, keys,
            )  # fmt: skip
        return True

    async def _detach_history(self) -> bool:
        """Detach the days past retention, which locks nobody out; False if a vacuum runs here.

        Where another role owns them, or behind a pooler, they are dropped as they are.
        """
        upkeep = self._upkeep
        if not upkeep.link.keeps_settings:
            return True
        if upkeep.turn.locked():
            return False
        async with upkeep.turn:
            while True:
                async with self._store.turn:
                    change = await self._store.next_detach(self._retention)
                if change is None:
                    return True
                await upkeep.detach(change)

    async def _drop_history(self) -> None:
        # One a statement: together they may take longer than a statement may, again and again.
        dropped = 0
        while True:
            async with self._store.turn:
                if not await self._store.drop_history(self._retention):
                    break
            dropped += 1
        log.debug("%d partitions of history dropped", dropped)
