"""Sends one claim, and hands on what it brought; releases what it may have taken if it fails."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pgqueue import failpoints
from pgqueue.config import WorkerSettings
from pgqueue.db.store import READ_ALL_SECONDS, Store
from pgqueue.outcome import RELEASED
from pgqueue.worker.claim.inline import inline_bytes
from pgqueue.worker.claim.intake import Intake
from pgqueue.worker.claim.plan import Answer, Plan, Request
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.claim.unread import loss_of
from pgqueue.worker.events import AnswerLost, Events
from pgqueue.worker.neighbours import Claims, Outcomes, Registered
from pgqueue.worker.put_off import PUT_OFF, PutOff
from pgqueue.worker.receipt import entry_of

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Sender"]

log = logging.getLogger("pgqueue.worker")

_GIVEN_UP_AFTER = 1.25
assert _GIVEN_UP_AFTER > 1.0  # by then the server has ended a claim whose answer was lost


class Sender:
    """Sends claims, one after another."""

    def __init__(
        self,
        store: Store,
        *,
        tasks: Sequence[str],
        async_tasks: Sequence[str] = (),
        settings: WorkerSettings,
        plan: Plan,
        intake: Intake,
        seating: Seating,
        completer: Outcomes,
        holdings: Claims,
        membership: Registered,
        events: Events[AnswerLost],
        put_off: PutOff = PUT_OFF,
    ) -> None:
        self._store = store
        self._tasks = list(tasks)
        self._async_tasks = list(async_tasks)
        self._settings = settings
        self._plan = plan
        self._intake = intake
        self._seating = seating
        self._completer = completer
        self._holdings = holdings
        self._membership = membership
        self._events = events
        self._put_off = put_off

    async def send(self, request: Request) -> Answer:
        """Claim, hand the jobs on; return how many of each queue, and which were busy."""
        worker = self._membership.worker_id
        if worker is None:
            await asyncio.sleep(0.05)  # between a lost lease and the new registration
            return Answer(Counter(), 1, (), sent=False, sync=request.sync)
        bypass = await self._is_stuck(request.queues)
        counts: Counter[str] = Counter()
        token = secrets.randbits(63)
        self._holdings.begin(token)
        try:
            began = time.monotonic()
            async with self._store.turn:
                records, waiting = await self._store.claim(
                    request.queues,
                    request.quotas,
                    request.cursors,
                    self._tasks if request.sync else self._async_tasks,
                    request.room,
                    worker,
                    token,
                    bypass=bypass,
                    long=self._plan.long,
                    inline=inline_bytes(request.room),
                )
            busy = set(waiting)
            self._met(request, busy, began)
            if records:
                if not self._intake.claimed:
                    self._plan.first_found(time.monotonic())
                counts = self._plan.advance(request, records)
                self._hand_on(records, worker, token)
        except BaseException as exc:
            self._lose(worker, token, request.room, exc)
            raise
        finally:
            self._holdings.end(token, took=bool(counts))
        # Those that were busy were claimed from all the same if the lock was passed by.
        return Answer(
            counts, request.quota, () if bypass else busy,
            sync=request.sync, below=request.below, caps=request.caps,
        )  # fmt: skip

    def release(self) -> None:
        """Release the jobs that would not begin soon."""
        taken = self._intake.take_surplus()
        for record, token in taken:
            self._completer.add(entry_of(record, token, RELEASED))
        if taken:
            log.debug("released %d jobs that would not have begun soon", len(taken))

    def _met(self, request: Request, busy: set[str], began: float) -> None:
        now, long = time.monotonic(), self._settings.deadline / 2
        self._plan.met(request.queues, busy, self._seating.seat, began, now, limit=long)

    def _hand_on(self, records: list[Record], worker: int, token: int) -> None:
        if failpoints.armed is not None:
            failpoints.armed.reach("claim.received", self._store.link.cut)
        if self._intake.closed or self._membership.worker_id != worker:
            # Nobody would keep the lease of what was claimed under an id that is lost by now.
            for record in records:
                self._completer.add(entry_of(record, token, RELEASED))
        else:
            self._intake.add(records, token)

    def _lose(self, worker: int, token: int, room: int, why: BaseException) -> None:
        """A claim failed that may have been carried out: what it took is released.

        If its answer could not be read, jobs are claimed one by one for a while: the one at fault
        is then alone.
        """
        loss = loss_of(why, room=room, put_off=self._put_off)
        self._plan.long |= loss.long
        if loss.outcome is None:
            return
        if loss.unread:
            self._intake.one_by_one(time.monotonic())
        longest = READ_ALL_SECONDS if self._plan.long else self._settings.deadline
        self._holdings.lose(token, worker, _GIVEN_UP_AFTER * longest, loss.outcome)
        self._events.send(AnswerLost())

    async def _is_stuck(self, queues: Iterable[str]) -> bool:
        """True if a claim that must hang is in the way: then its lock is passed by."""
        now = time.monotonic()
        states = [self._plan.states[name] for name in queues]
        for state in states:
            if state.contention.asks_who(now):
                async with self._store.turn:
                    state.contention.held_by(await self._store.claim_holder(state.name), now)
                if state.contention.stuck:
                    log.warning(
                        'a claim of queue "%s" has not ended for some seconds; claiming beside it',
                        state.name,
                    )
        return any(state.contention.stuck for state in states)
