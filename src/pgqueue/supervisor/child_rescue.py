"""Releases the jobs of a supervisor's children that crashed, in a thread of its own.

The supervisor must hear signals and restart children whatever the database does; so this waits for
the database, and the supervisor does not wait for this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pgqueue.config import WorkerSettings
from pgqueue.db.link import Link, Watch
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.source import Source
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.rescue import SECOND_LOOK_AFTER, rescue_children

__all__ = ["FINISH_SECONDS", "ChildRescue"]

log = logging.getLogger("pgqueue.supervisor")

FINISH_SECONDS = 5.0
"""How long a supervisor that ends waits for what is still to be released."""

_WATCH_EVERY = 0.5
_JOIN_SECONDS = 1.0
assert _WATCH_EVERY < _JOIN_SECONDS  # a statement that is overdue is cut before that
assert 4 * SECOND_LOOK_AFTER < FINISH_SECONDS  # all looks for what a child held


@dataclass(frozen=True, slots=True)
class _Crash:
    pid: int
    source: Source
    schema: str
    begun: Sequence[tuple[int, int]] | None
    told_to_stop: bool


class ChildRescue:
    """A thread while there is a crash to clean up after, and none otherwise."""

    def __init__(self, supervisor: int, settings: WorkerSettings) -> None:
        self._supervisor = supervisor
        self._settings = settings
        self._crashes: deque[_Crash] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._give_up_at = float("inf")

    def note(
        self,
        pid: int,
        source: Source,
        schema: str,
        begun: Sequence[tuple[int, int]] | None,
        *,
        told_to_stop: bool,
    ) -> None:
        """Release what this process held, as soon as the database lets us.

        ``begun``: ids and claim tokens of the jobs that it had started, the only ones to blame;
        None if nobody knows. ``told_to_stop``: no crash is counted.
        """
        with self._lock:
            self._crashes.append(_Crash(pid, source, schema, begun, told_to_stop))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._main, name="pgqueue-child_rescue", daemon=True
                )
                self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until all is released, but no longer than this; leases cover the rest."""
        self._give_up_at = time.monotonic() + seconds
        thread = self._thread
        if thread is not None:
            thread.join(seconds + _JOIN_SECONDS)
        if self._crashes:
            log.warning(
                "the jobs of %d crashed processes are not released; other workers do that when "
                "they see the sessions gone, or the lease of %g s run out",
                len(self._crashes), self._settings.lease,
            )  # fmt: skip

    # -- in the thread

    def _main(self) -> None:
        while True:
            with self._lock:
                if not self._crashes or time.monotonic() >= self._give_up_at:
                    self._thread = None
                    return
                crash = self._crashes[0]
            try:
                asyncio.run(self._release(crash))
            except Exception:
                log.exception("the jobs of process %d cannot be released", crash.pid)
            if time.monotonic() < self._give_up_at:
                self._crashes.popleft()

    async def _release(self, crash: _Crash) -> None:
        watch = Watch()
        settings = self._settings
        link = Link(
            crash.source,
            role="rescue",
            watch=watch,
            deadline=settings.deadline,
            pooled=True,  # this works through any pooler, and without one
        )
        watcher = asyncio.create_task(self._watch_over(watch))
        try:
            await self._until_done(Store(link, crash.schema), crash)
        finally:
            watcher.cancel()
            await link.close()

    async def _until_done(self, store: Store, crash: _Crash) -> None:
        retry = RetryDelay(0.1, 2.0)
        told = False
        while time.monotonic() < self._give_up_at:
            try:
                await rescue_children(
                    store,
                    self._supervisor,
                    crash.pid,
                    crash_cap=self._settings.crash_cap,
                    begun=crash.begun,
                    told_to_stop=crash.told_to_stop,
                )
                return
            except PgQueueError as exc:
                if not told:
                    told = True
                    log.warning("releasing the jobs of process %d has to wait: %s", crash.pid, exc)
            await asyncio.sleep(retry.delay())

    @staticmethod
    async def _watch_over(watch: Watch) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_WATCH_EVERY)
                for link in watch.overdue(time.monotonic()):
                    link.cut()
