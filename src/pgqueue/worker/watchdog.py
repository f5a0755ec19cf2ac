"""Sees to it that no statement waits for ever, and tells where the worker's loop is held up.

It also has connections closed that nobody has used for a while.

It runs on the lifeline's loop. A statement that is overdue ends because its socket is shut down: a
cancelled coroutine was seen to wait for a peer that never answers.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from pgqueue.db.watch import Watch

__all__ = ["Watchdog"]

log = logging.getLogger("pgqueue.worker")

_TICK = 0.5
_BLOCKED_AFTER = 1.2
_REST_EVERY = 60.0


class Watchdog:
    """Watches the links of the worker's loop and of the loop it runs on itself.

    Made in the thread of the worker's loop. ``tell`` has something called there; ``on_silent`` is,
    when a connection was found silent, and ``on_rest`` once a minute.
    """

    def __init__(
        self,
        watch: Watch,
        own_watch: Watch,
        *,
        tell: Callable[[Callable[[], object]], None],
        on_silent: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        self._watch, self._own_watch = watch, own_watch
        self._watches = (watch, own_watch)
        self._tell = tell
        self._on_silent = on_silent
        self._on_rest = on_rest
        self._rest_at = 0.0
        self._owner_thread = threading.get_ident()
        self._answered_at = time.monotonic()
        self._blocked_at: float | None = None

    async def watch_over(self) -> None:
        """Cut statements that are overdue, and say where the worker's loop is held up."""
        next_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now > next_at + _TICK:
                # This process stood still, and what came in meanwhile is still to be read.
                still = now - next_at
                for watch in self._watches:
                    watch.extend(still)
                self._answered_at += still
                if still > _BLOCKED_AFTER:
                    log.warning("this process stood still for %.1f s", still)
            next_at = now + _TICK
            self._tell(self._answer)
            silent = now - self._answered_at
            if silent > _BLOCKED_AFTER:
                # Nobody was there to read the answers: that is not the server's fault.
                self._watch.extend(_TICK)
                if self._blocked_at is None:
                    self._blocked_at = now
                    self._report_blocked(silent)
            elif self._blocked_at is not None:
                log.warning(
                    "the event loop runs again after %.1f s", now - self._blocked_at + silent
                )
                self._blocked_at = None
            self._cut_silent(now)
            self._rest(now)
            await asyncio.sleep(_TICK)

    def _cut_silent(self, now: float) -> None:
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
        self._tell(self._on_silent)

    def _rest(self, now: float) -> None:
        """Close what nobody has used for a while, each on its own loop."""
        for link in self._own_watch.idle(now):
            link.rest()
        for link in self._watch.idle(now):
            self._tell(link.rest)
        if now >= self._rest_at:
            self._rest_at = now + _REST_EVERY
            self._tell(self._on_rest)

    def _answer(self) -> None:
        self._answered_at = time.monotonic()

    def _report_blocked(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._owner_thread)  # pyright: ignore[reportPrivateUsage]
        where = "".join(traceback.format_stack(frame, limit=6)) if frame else "(no stack)"
        log.warning(
            "the event loop has been blocked for %.1f s; the lease is renewed all the same. "
            "A blocking call belongs in a task without async. It is here:\n%s",
            seconds, where,
        )  # fmt: skip
