"""Sees to it that no statement waits for ever, and tells where the worker's loop is held up.

It also has connections closed that nobody has used for a while.

It runs on the heartbeat thread's loop. A statement that is overdue ends because its socket is shut
down: a cancelled coroutine was seen to wait for a peer that never answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import time
import traceback

from pgqueue.db.watch import Watch
from pgqueue.worker.events import Events, LoopAnswered, MinutePassed, ServerSilent
from pgqueue.worker.fleet.side_loop import SideLoop
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.timings import TIMINGS, WatchTimings

__all__ = ["Watchdog"]

log = logging.getLogger("pgqueue.worker")


class Watchdog:
    """Watches the links of the worker's loop and of the loop it runs on itself.

    Made in the thread of the worker's loop. ``side`` has something called there. ``deadline``: of a
    statement, in seconds.
    """

    def __init__(
        self,
        watch: Watch,
        own_watch: Watch,
        *,
        view: WorkerView,
        deadline: float,
        side: SideLoop,
        events: Events[LoopAnswered | ServerSilent | MinutePassed],
        timings: WatchTimings = TIMINGS.watch,
    ) -> None:
        self._watch, self._own_watch = watch, own_watch
        self._watches = (watch, own_watch)
        self._view = view
        self._deadline = deadline
        self._side = side
        self._events = events
        self._timings = timings
        self._rest_at = 0.0
        self._owner_thread = threading.get_ident()
        self._asked_at = 0.0
        self._answered = True  # the worker's loop sets it, we take it back
        self._blocked_since: float | None = None

    async def watch_over(self) -> None:
        """Cut statements that are overdue, and say where the worker's loop is held up."""
        next_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now > next_at + self._timings.tick:
                self.stood_still(now - next_at)
            self.ask(now)
            self.cut_silent(now)
            self.rest(now)
            tick = self._timings.tick_after(self._deadline, at_rest=self.at_rest)
            next_at = now + tick
            await asyncio.sleep(tick)

    def cut_all(self) -> None:
        """Cut the connections of the worker's loop."""
        for link in self._watch.unheard_since(math.inf):
            link.cut()

    @property
    def at_rest(self) -> bool:
        """True if there is nothing to run, and nobody waits for an answer."""
        asks = any(watch.asks() for watch in self._watches)
        return not (asks or self._view.running or self._blocked_since is not None)

    def stood_still(self, seconds: float) -> None:
        """This process did not run, and what came in meanwhile is still to be read."""
        for watch in self._watches:
            watch.extend(seconds)
        self._asked_at += seconds
        if seconds > self._timings.blocked_after:
            log.warning("this process stood still for %.1f s", seconds)

    def ask(self, now: float) -> None:
        """Ask the worker's loop whether it runs, and report it if it has not answered for long."""
        if self._answered:
            if self._blocked_since is not None:
                log.warning("the event loop runs again after %.1f s", now - self._blocked_since)
                self._blocked_since = None
            self._asked_at, self._answered = now, False
            self._side.tell(self._answer)
        elif now - self._asked_at > self._timings.blocked_after:
            # Nobody was there to read the answers: that is not the server's fault.
            self._watch.extend(self._timings.tick)
            if self._blocked_since is None:
                self._blocked_since = self._asked_at
                self._report_blocked(now - self._asked_at)

    def cut_silent(self, now: float) -> None:
        """Cut what is overdue, and what has heard nothing for half as long: all may be as silent.

        Otherwise each would find that out by itself, one deadline after the other, and one that is
        asked something just now would take another whole one. Half as long, for an answer may have
        come on the way after the question that is overdue. A connection that cannot be made for
        silence is a question, too.
        """
        overdue = [link for watch in self._watches for link in watch.overdue(now)]
        asked = [link.asked_at for link in overdue]
        asked += [moment for watch in self._watches for moment in watch.unanswered()]
        if not asked:
            return
        for link in overdue:
            log.warning("no answer on the %s connection in time: cutting it", link.role)
            link.cut()
        since = (min(asked) + now) / 2
        for link in (link for watch in self._watches for link in watch.unheard_since(since)):
            log.info("the %s connection may be as silent: cutting it", link.role)
            link.cut()
        self._events.send(ServerSilent())

    def rest(self, now: float) -> None:
        """Close what nobody has used for a while, each on its own loop."""
        for link in self._own_watch.idle(now):
            link.rest()
        for link in self._watch.idle(now):
            self._side.tell(link.rest)
        if now >= self._rest_at:
            self._rest_at = now + self._timings.rest_every
            self._events.send(MinutePassed())

    def _answer(self) -> None:
        self._answered = True
        self._events.send(LoopAnswered(max(0.0, time.monotonic() - self._asked_at)))

    def _report_blocked(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._owner_thread)  # pyright: ignore[reportPrivateUsage]
        where = "".join(traceback.format_stack(frame, limit=6)) if frame else "(no stack)"
        log.warning(
            "the event loop has been blocked for %.1f s; the lease is renewed all the same. "
            "A blocking call belongs in a task without async. It is here:\n%s",
            seconds, where,
        )  # fmt: skip
