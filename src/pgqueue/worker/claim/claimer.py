"""When to claim: waits for room and for a reason, and has the queues looked at.

A reason is a notification, a poll that is due, a due job, or a queue that had more (QueueState).
The plan says which queues are claimed then, and from where. When a claim brings less than asked
for, the watch raises the flag of its queue, claims once more, and looks ever less often for half a
second: that covers enqueues that read the flag before it was up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.claim.intake import SURPLUS_SECONDS, Intake
from pgqueue.worker.claim.looks import Looks
from pgqueue.worker.claim.plan import Plan
from pgqueue.worker.claim.queue_state import QueueState
from pgqueue.worker.claim.quotas import Quotas
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.claim.sender import Sender
from pgqueue.worker.claim.unknown import UnknownTasks
from pgqueue.worker.claim.unread import described
from pgqueue.worker.events import (
    CameToWatch,
    ClaimEvent,
    Events,
    FlagsTold,
    HeartbeatWanted,
    LimitReached,
    ListensAnew,
)
from pgqueue.worker.keep_up import first_of, keep_up
from pgqueue.worker.lease import Lease
from pgqueue.worker.neighbours import Claims, Outcomes, Registered, Room
from pgqueue.worker.seat import kind_of
from pgqueue.worker.timings import TIMINGS, Timings

__all__ = ["Claimer"]

log = logging.getLogger("pgqueue.worker")


class Claimer:
    """Claims jobs for the runner."""

    def __init__(
        self,
        store: Store,
        *,
        listener: Listener,
        queues: Sequence[str],
        tasks: Sequence[str],
        async_tasks: Sequence[str] = (),
        settings: WorkerSettings,
        lease: Lease,
        runner: Room,
        completer: Outcomes,
        holdings: Claims,
        membership: Registered,
        events: Events[ClaimEvent],
        timings: Timings = TIMINGS,
        quotas: Quotas | None = None,
    ) -> None:
        self._settings, self._completer, self._events = settings, completer, events
        self.plan = plan = Plan(queues, timings.plan, quotas)
        self.flags = Flags(
            store, plan.states, listen=settings.listen, ears=timings.ears,
            kind=kind_of(queues, tasks, listen=settings.listen), events=self,
        )  # fmt: skip
        self.seating = seating = Seating(
            store, listener, settings=settings, flags=self.flags, events=self
        )
        self.intake = intake = Intake(
            runner, lease, settings=settings, states=plan.states.values(), seating=seating,
            timings=timings.plan.overload,
        )  # fmt: skip
        sender = Sender(
            store, tasks=tasks, async_tasks=async_tasks, settings=settings, plan=plan,
            intake=intake, seating=seating, completer=completer, holdings=holdings,
            membership=membership, events=events, put_off=timings.put_off,
        )  # fmt: skip
        self.looks = Looks(
            store, plan=plan, intake=intake, flags=self.flags, seating=seating, sender=sender,
            settings=settings, events=events,
            unknown=UnknownTasks(store, queues, tasks, every=timings.unknown_every),
        )  # fmt: skip
        self._bell, self._room = plan.quotas.limited.bell, runner.has_room
        self.task: asyncio.Task[None] | None = None
        self._retry, self._stopping = RetryDelay(), asyncio.Lock()
        self.is_away = False  # claims fail

    @property
    def states(self) -> Mapping[str, QueueState]:
        """What is known of each queue."""
        return self.plan.states

    @property
    def claims(self) -> int:
        """How many claims were answered."""
        return self.plan.claims

    @property
    def claimed(self) -> int:
        """How many jobs were claimed, and handed on."""
        return self.intake.claimed

    @property
    def is_stopping(self) -> bool:
        """True once it was told to stop."""
        return self.intake.closed

    @property
    def takes_jobs(self) -> bool:
        """True if a job that is enqueued now can begin here."""
        return not self.is_away and not self._completer.is_full and self.intake.takes_jobs

    def cursors(self) -> list[int]:
        """Return where the claims of each queue go on from, ten for each."""
        return self.plan.cursors.now(list(self.plan.states))

    # -- bells

    def start(self) -> None:
        """Begin to claim, unless it does."""
        if self.task is not None:
            return
        if self.intake.closed:  # it has stopped
            self.intake.closed = False
            self.seating.start()
            self.plan.heat(self.plan.states)
        self.flags.tell()
        self.task = asyncio.create_task(
            keep_up(self._step, self._on_error, going=lambda: not self.intake.closed),
            name="pgqueue claimer",
        )

    def on_room(self) -> None:
        """There may be room again."""
        self._room.set()

    def on_ready(self, queues: Iterable[str]) -> None:
        """These queues have work."""
        self.plan.heat(queues)
        self._bell.set()

    def on_notification(self, queue: str) -> None:
        """Somebody enqueued to this queue."""
        if (state := self.plan.states.get(queue)) is not None:
            state.on_notification(self.seating.seat, time.monotonic())
            self._bell.set()

    def on_call(self, queue: str, reach: int) -> None:
        """This queue has more than others can take; so many workers are called."""
        if (state := self.plan.states.get(queue)) is not None:
            state.on_call(reach, self.seating.seat, time.monotonic(), random.random())
            self._bell.set()

    def on_lowered(self, queue: str) -> None:
        """A worker took the flag of this queue down."""
        if (state := self.plan.states.get(queue)) is not None:
            state.on_lowered(time.monotonic())
            self._bell.set()

    def on_rewind(self, queue: str, position: int) -> None:
        """A job is ready again at an old position."""
        if self.intake.returned(queue, position):
            self._room.set()
        self.plan.scope.rewind(queue, position)
        self.on_ready((queue,))

    def look_everywhere(self) -> None:
        """Anything may have been missed while we could not listen: look at all queues."""
        self.flags.forget()
        self.flags.ask_anew()
        self.flags.tell()
        self.on_ready(self.plan.states)

    def send(self, event: CameToWatch | ListensAnew | FlagsTold | HeartbeatWanted) -> None:
        """Take what a part of the claimer says: what concerns it alone, and what goes on."""
        match event:
            case CameToWatch():
                self._on_watch()
            case ListensAnew():
                self.look_everywhere()
            case FlagsTold() | HeartbeatWanted():
                self._events.send(event)

    def _on_watch(self) -> None:
        self.flags.on_watch = True
        soon = time.monotonic() + self._settings.poll_interval
        self.plan.poll_at = min(self.plan.poll_at, soon)
        self.look_everywhere()

    async def stop(self) -> None:
        """Stop claiming; a claim that is on its way is waited for, and its jobs released."""
        async with self._stopping:
            self.intake.closed = True
            self._bell.set()
            self._room.set()
            await self.seating.stop()
            if self.task is not None:
                _, pending = await asyncio.wait([self.task], timeout=self._settings.deadline)
                if pending:
                    self.task.cancel()
                    await asyncio.wait(pending)
                self.task = None
            if lowered := self.flags.leave_watch():
                with contextlib.suppress(PgQueueError):
                    await self.flags.leave_up(lowered)

    # -- the loop

    async def _step(self) -> None:
        await self._turn()
        self._retry.reset()
        if self.is_away:
            self.is_away = False
            log.info("claiming again")
            self.look_everywhere()

    def _on_error(self, error: Exception) -> float:
        # What the failed turn was to look at is not to wait for a poll.
        self.plan.heat(self.plan.states)
        if not self.is_away:
            self.is_away = True
            what, ours = described(error)
            log.warning("%s: %s", what, str(error) or repr(error), exc_info=None if ours else error)
        return self._retry.delay()

    async def _turn(self) -> None:
        """Wait until there is room and a reason, then claim."""
        while self._completer.is_full and not self.intake.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SURPLUS_SECONDS):
                    await self._completer.wait_room()
        if not await self._wait_room():
            return
        states = await self._wait_reason()
        room = self.intake.room(time.monotonic())
        if room > 0:
            await self.looks.look(states, room)

    async def _wait_room(self) -> bool:
        """Return True once there is room for a batch worth claiming, False when stopping."""
        self.intake.mark()
        timeout = self.looks.full_after()
        while not self.intake.closed:
            self._room.clear()
            if self.intake.is_worth_it(time.monotonic()):
                return True
            if self.intake.is_spent:
                self._events.send(LimitReached())
            try:
                async with asyncio.timeout(timeout):
                    await self._room.wait()
            except TimeoutError:
                timeout = await self.looks.on_full(timeout)
        return False

    async def _wait_reason(self) -> list[QueueState]:
        """Return the queues to look at, or to look back on, once there is a reason to."""
        while not self.intake.closed:
            now = time.monotonic()
            if self.plan.scope.left:
                self._mind_threads()
            states, next_look = self.plan.due(now)
            if states or next_look <= now:
                return states
            self._bell.clear()
            if self.intake.has_free_slot:
                self.seating.on_idle()
            await self._wait_bell(next_look - now)
        return []

    async def _wait_bell(self, seconds: float) -> None:
        """Wait for the bell; or for room as well, while jobs were left for want of a thread."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if not self.plan.scope.left:
                    await self._bell.wait()
                else:
                    self._room.clear()
                    await first_of(self._bell, self._room)

    def _mind_threads(self) -> None:
        """Look for jobs that need a thread if one is free; else let others hear of them."""
        if self.intake.thread_room() != 0:  # None: no job here needs one any more
            self.plan.threads_came_free()
        elif not self.intake.has_free_thread:
            self.seating.on_threads_full()
