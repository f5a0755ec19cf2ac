"""The waiting flags of a worker's queues: one is up while somebody waits for a notification.

Only the watch raises them. Now and then a watcher asks whether it would hear a notification, and
listens anew if not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from pgqueue.calls import QUIET_LONGEST
from pgqueue.db.store import Store
from pgqueue.worker.claim.ears import Ears
from pgqueue.worker.claim.queue_state import Heat, QueueState
from pgqueue.worker.events import Events, FlagsTold, ListensAnew
from pgqueue.worker.timings import TIMINGS, EarTimings

__all__ = ["Flags"]

log = logging.getLogger("pgqueue.worker")

_FULL_BEFORE_LOWER = 0.2
_LOCKED_SECONDS = 0.5
_AFTER_FLAG = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5)
# An enqueuer that saw no flag a moment ago does not look: the worker looks before, and again after.
assert _AFTER_FLAG[0] < QUIET_LONGEST < _AFTER_FLAG[-1]


class Flags:
    """Raises and lowers the flags of ``states``; none is sent where nobody listens."""

    def __init__(
        self,
        store: Store,
        states: Mapping[str, QueueState],
        *,
        listen: bool,
        kind: int = 0,
        events: Events[FlagsTold | ListensAnew],
        ears: EarTimings = TIMINGS.ears,
    ) -> None:
        self._store = store
        self._states = states
        self._listen = listen
        self._kind = kind
        self._events = events
        self.ears = Ears(timings=ears)
        self._sure = True
        self.on_watch = False

    def heard(self) -> None:
        """Note a notification."""
        if self.ears.deaf:
            log.info("notifications are heard again")
        self.ears.heard(time.monotonic())

    def ask_anew(self) -> None:
        """Ask whether we hear, and which flags are up, before the next one is raised."""
        self._sure = not (self._listen and self.on_watch)

    def forget(self) -> None:
        """Know of no flag: others look after them, or are to be asked."""
        self._sure = True
        for state in self._states.values():
            state.flag, state.own_lowerings = None, 0

    def tell(self, *, raised: bool = False) -> None:
        """Tell whether enqueuers notify us, or the watch, of what will be due."""
        away = not self.on_watch
        up = self._listen and (away or all(state.flag for state in self._states.values()))
        self._events.send(FlagsTold(up, raised))

    async def up(self, states: list[QueueState]) -> None:
        """Raise the flags that are not up; then look again soon, and ever less often."""
        if self._listen and not self.on_watch:
            return
        if states and not self._sure and not await self._hears():
            return
        now = time.monotonic()
        down = [state for state in states if state.flag is not True and state.stand_by_until <= now]
        if not down:
            return
        up = dict.fromkeys((state.name for state in down), True)  # whether it was just raised
        if self._listen:
            async with self._store.turn:
                up = await self._store.raise_flags(sorted(up))
        now = time.monotonic()
        for state in down:
            if state.name not in up:  # its row is locked, or gone
                state.flag = None
                state.look_at(now + _LOCKED_SECONDS)
                continue
            state.flag, state.owns = True, False
            if up[state.name]:
                state.hot = max(state.hot, Heat.ONCE)  # once more, now that the flag is up
                state.looks = [now + after for after in reversed(_AFTER_FLAG)]
        self.tell(raised=any(up.values()))

    def leave_watch(self) -> list[str]:
        """Others are on watch now. Return the queues whose flag was taken down here."""
        lowered = [state.name for state in self._states.values() if state.leave()]
        self.on_watch = False
        self.forget()
        self.tell()
        return lowered

    async def leave_up(self, queues: list[str]) -> None:
        """Raise flags that were taken down here, for others to hear."""
        async with self._store.turn:
            await self._store.raise_flags(queues)

    async def _hears(self) -> bool:
        """Ask whether this worker hears, and which flags are up; False if it has to listen anew."""
        ears, was_deaf = self.ears, self.ears.deaf
        word = ears.wants_word(time.monotonic())
        async with self._store.turn:
            listens, spoken, down = await self._store.check_ears(list(self._states), word=word)
            self._sure = True
            now = time.monotonic()
            anew = ears.judge(listens=listens, spoken=spoken if word else None, now=now)
            if anew:
                self._store.link.abort()  # the next statement connects, and listens
        for name in down:
            if self._states[name].flag:
                self._states[name].flag = None  # somebody lowered it, or deleted it
        if ears.deaf and not was_deaf:
            log.warning("this worker does not hear notifications; it listens anew")
        if anew:
            self._events.send(ListensAnew())
        return not anew

    async def down(self, states: list[QueueState], now: float) -> None:
        """Lower the flags of queues that have been full for a while: nobody waits for a bell."""
        busy = [
            state
            for state in states
            if state.flag is not False
            and state.full_since is not None
            and state.full_since < now - _FULL_BEFORE_LOWER
        ]
        if busy:
            await self._lower(busy)

    async def mind_streams(self, states: list[QueueState]) -> None:
        """Lower the flags of queues where jobs stream. One worker does, the others stand by."""
        fresh = [state for state in states if state.streaming and state.flag is not False]
        if fresh:
            await self._lower(fresh, self._kind)

    async def _lower(self, states: list[QueueState], kind: int | None = None) -> None:
        lowered = {state.name: True for state in states}
        for state in states:
            state.before_own_lowering(heard=self._listen and self.on_watch)
        if self._listen:
            async with self._store.turn:
                lowered = await self._store.lower_flags(sorted(lowered), kind)
        now = time.monotonic()
        for state in states:
            state.on_own_lowering(lowered.get(state.name), now)
        self.tell()
