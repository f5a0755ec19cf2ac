"""What one turn sends: a claim, the look back after it, and what follows for the queues' flags."""

from __future__ import annotations

import time

from pgqueue.config import WorkerSettings
from pgqueue.db.store import Store
from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.claim.intake import SURPLUS_SECONDS, Intake
from pgqueue.worker.claim.plan import Answer, Kind, Plan
from pgqueue.worker.claim.queue_state import Heat, QueueState
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.claim.sender import Sender
from pgqueue.worker.claim.unknown import UnknownTasks
from pgqueue.worker.events import Events, Looked
from pgqueue.worker.seat import poll_after

__all__ = ["Looks"]

_FLAGS_EVERY = 2
_FULL_AFTER = 0.1
assert _FULL_AFTER < SURPLUS_SECONDS


class Looks:
    """Claims from queues that there is a reason to look at."""

    def __init__(
        self,
        store: Store,
        *,
        plan: Plan,
        intake: Intake,
        flags: Flags,
        seating: Seating,
        sender: Sender,
        unknown: UnknownTasks,
        settings: WorkerSettings,
        events: Events[Looked],
    ) -> None:
        self.store = store
        self._plan = plan
        self._intake = intake
        self._flags = flags
        self._seating = seating
        self._sender = sender
        self._unknown = unknown
        self._settings = settings
        self._events = events

    async def look(self, states: list[QueueState], room: int) -> None:
        """Do what is due: poll, claim, or look back."""
        kind = self._plan.kind(states, time.monotonic())
        match kind:
            case Kind.POLL:
                await self.poll(room)
            case Kind.CLAIM:
                await self._claim(states, room)
            case Kind.LOOK:
                await self._look_once(states, room)
        await self._flags.mind_streams(list(self._plan.states.values()))
        self._events.send(Looked(poll=kind is Kind.POLL))

    async def poll(self, room: int) -> None:
        """Look at every queue, announced or not."""
        now = time.monotonic()
        settings = self._settings
        after = poll_after(settings.poll_interval, self._seating.seat, listen=settings.listen)
        self._plan.polled(now, after)
        if self._plan.polls % _FLAGS_EVERY == 0:
            self._flags.ask_anew()
        await self._look_once(list(self._plan.states.values()), room, poll=True)
        await self._unknown.report_if_due(now)

    async def _claim(self, states: list[QueueState], room: int) -> None:
        """Claim from the cursors; look back where that came up short."""
        now = time.monotonic()
        threads = self._intake.thread_room()
        answer = await self._sender.send(self._plan.claim(states, room, now, threads))
        short = await self._sort_out(states, answer, now)
        await self._flags.down([state for state in states if state.full_since is not None], now)
        if not short:
            return
        now = time.monotonic()
        room = self._intake.room(now)
        if room <= 0:
            for state in short:
                state.hot = Heat.HOT
        elif not self._plan.owe(short, now):
            await self._look_once(short, room)

    async def _look_once(self, states: list[QueueState], room: int, *, poll: bool = False) -> None:
        """Claim from where the cursors stood a moment ago: this is the look back as well."""
        began = time.monotonic()
        states = self._plan.quotas.open_or_owed(states)
        if not states:
            return
        request = self._plan.look(states, room, began, self._intake.thread_room(), poll=poll)
        answer = await self._sender.send(request)
        took = time.monotonic() - began
        self._plan.looked(began, took)
        short = await self._sort_out(states, answer, began)
        nothing = [state for state in short if not answer.counts[state.name]]
        await self.step_over(nothing, took, sync=request.sync)
        await self._flags.up([state for state in short if not state.streaming])

    async def _sort_out(
        self, states: list[QueueState], answer: Answer, began: float
    ) -> list[QueueState]:
        """Note what a claim brought; return the queues that had less than they might."""
        now = time.monotonic()
        seat = self._seating.seat
        # Of those that were there before: what never waits is over by the next claim.
        running = self._intake.running_beside(answer.counts.total())
        light = self._seating.is_light(running)
        self._seating.on_load(running)
        short, grown = self._plan.found(states, answer, seat, began, now, light=light)
        if grown:
            await self._flags.up(grown)
        for state in states:
            reach = 0
            if state.name not in answer.busy:
                reach = state.calls(answer.counts[state.name], seat, now)
            await self._call(reach, state)
        return short

    def full_after(self) -> float:
        """Return after how many seconds without room ``on_full`` is to know of it."""
        moment = min(state.calling.put_off_to for state in self._plan.states.values())
        return max(0.0, min(moment - time.monotonic(), _FULL_AFTER))

    async def on_full(self, seconds: float) -> float:
        """There has been no room for so many seconds; return how long to wait for more."""
        if seconds < _FULL_AFTER:
            await self._call_put_off()
            return _FULL_AFTER
        if seconds == SURPLUS_SECONDS:
            self._sender.release()
        self._seating.on_full()
        return SURPLUS_SECONDS

    async def _call_put_off(self) -> None:
        now = time.monotonic()
        for state in self._plan.states.values():
            if state.calling.put_off_to <= now:
                await self._call(state.calling.call(self._seating.seat, now), state)

    async def _call(self, reach: int, state: QueueState) -> None:
        if not reach:
            return
        async with self.store.turn:
            await self.store.call(f"m:{reach}:{state.name}")
        if state.streaming:  # there is more than this worker can take: others are to hear of it
            state.stream.end()
            await self._flags.up([state])

    async def step_over(self, states: list[QueueState], took: float, *, sync: bool = True) -> None:
        """Take the cursors past what a claim walks over in vain, so that the next one need not.

        These are jobs of tasks that this worker does not know, or rows that lie dead. What was
        given a position before, and is committed later, is behind the cursors then, as ever.
        """
        if not self._plan.steps(states, took, time.monotonic()):
            return
        async with self.store.turn:
            newest = await self.store.newest_positions([state.name for state in states])
        # A paused queue is not among them: all of it is to be found again.
        before = self._plan.behind(newest, sync=sync)
        room = self._intake.room(time.monotonic())
        threads = self._intake.thread_room()
        if sync and threads is not None:
            room = min(room, threads)
        if not before or room <= 0:
            return
        answer = await self._sender.send(self._plan.again(list(before), room, sync=sync))
        if not answer.sent or answer.counts.total() >= room:
            return  # not all of them were looked at to their ends
        self._plan.step(before, newest, answer)
