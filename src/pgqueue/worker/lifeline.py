"""The thread that keeps a worker alive in the eyes of the others, whatever its handlers do.

It has an event loop and connections of its own: a handler that blocks the worker's loop for a
minute keeps its jobs. It renews the lease, learns what is to be cancelled, watches the deadlines of
all statements, looks for lost workers, and does the duties of the fleet that are due.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.db.link import Link, Patience, Watch
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError
from pgqueue.version import __version__
from pgqueue.worker.cursor import Floor
from pgqueue.worker.rescue import SECOND_LOOK_AFTER, rescue_worker

__all__ = ["Lifeline", "Reports"]

log = logging.getLogger("pgqueue.worker")

_TICK = 0.5
_BLOCKED_AFTER = 1.5
_CONFIRM_AFTER = 0.75
_DUTY_CHECK_EVERY = 60.0
_HISTORY_EVERY = 3600.0
_RETENTION_EVERY = 600.0
_ORPHANS_EVERY = 60.0
_RECOVER_AFTER = (0.2, 1.0, 4.0, 10.0, 20.0)
_FIND_SHARE = 20
_MANY_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What the lifeline tells the worker; each is called on the worker's loop."""

    on_cancel: Callable[[Sequence[int]], None]
    on_fenced: Callable[[], None]
    on_registered: Callable[[], None]
    on_ready_again: Callable[[dict[str, int]], None]
    on_next_due: Callable[[float], None]
    on_failed: Callable[[BaseException], None]


class Lifeline:
    """Heartbeat, watchdog and duties, in a thread."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        *,
        settings: WorkerSettings,
        queues: Sequence[str],
        tasks: Sequence[str],
        watch: Watch,
        reports: Reports,
        running: Callable[[], int],
        cursors: Callable[[], list[int]],
        due_since: Callable[[], datetime],
        supervisor: int | None,
    ) -> None:
        self._settings = settings
        self._queues = list(queues)
        self._tasks = list(tasks)
        self._watch = watch
        self._reports = reports
        self._running = running
        self._cursors = cursors
        self._due_since = due_since
        self._supervisor = supervisor
        pooled = not settings.listen
        # A blocked loop of the worker is no excuse for these two, which are not read there.
        self._own_watch = Watch()
        make = {"watch": self._own_watch, "deadline": settings.deadline, "pooled": pooled}
        # Without its session this worker looks dead to the others, so it is had back at once.
        self._pulse_link = Link(dsn, role="heartbeat", on_lost=self._on_lost, **make)  # type: ignore[arg-type]
        self._duty_link = Link(dsn, role="duties", **make)  # type: ignore[arg-type]
        self._pulse = Store(self._pulse_link, schema)
        self._duty = Store(self._duty_link, schema)
        self._duty_lock: asyncio.Lock | None = None
        self._owner = asyncio.get_running_loop()
        self._owner_thread = threading.get_ident()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._hurry: asyncio.Event | None = None
        self._ended = asyncio.Event()
        self._halt = False
        self._stopping = False
        self._signs_off = True
        self._recovering = 0
        self._rescuing: set[int] = set()
        self._living: asyncio.Task[Any] | None = None
        self._session: tuple[int | None, Any] = (None, None)
        self._session_connects = 0
        self._renewing_since = time.monotonic()
        self._workers = 1
        self._answered_at = time.monotonic()
        self._blocked_at: float | None = None
        self._floor = Floor()
        self._background: set[asyncio.Task[None]] = set()
        self._former: int | None = None
        self.worker_id: int | None = None
        self.pulses = 0

    # -- from the worker's loop

    async def start(self) -> None:
        """Register and begin; raises what keeps it from doing so."""
        started: asyncio.Future[None] = self._owner.create_future()
        self._thread = threading.Thread(
            target=self._main, args=(started,), name="pgqueue-lifeline", daemon=True
        )
        self._thread.start()
        await started

    def hurry(self) -> None:
        """Pulse now: there is something to learn."""
        loop, event = self._loop, self._hurry
        if loop is not None and event is not None:
            self._call(loop, event.set)

    def mark_stopping(self) -> None:
        """Say in the next pulse that this worker stops."""
        self._stopping = True
        self.hurry()

    def recover(self, worker: int, token: int) -> None:
        """Give back what a claim took whose answer was lost."""
        if self._loop is not None:
            self._call(self._loop, lambda: self._spawn(self._recover(worker, token)))

    async def stop(self, *, sign_off: bool = True) -> None:
        """Take the worker off the list and end the thread; the last thing to stop.

        Without ``sign_off`` it stays on the list, for others to find that it is lost and to give
        back what it may still hold.
        """
        self._signs_off = sign_off
        self._halt = True
        self.hurry()
        loop, living = self._loop, self._living
        if loop is not None and living is not None:
            self._call(loop, lambda: self._cancel_start(living))
        if self._thread is not None:
            try:
                async with asyncio.timeout(self._settings.deadline + 4.0):
                    await self._ended.wait()
            except TimeoutError:
                log.error("the heartbeat thread does not end; leaving it behind")
                return
            self._thread.join(1.0)

    # -- in the thread

    def _cancel_start(self, living: asyncio.Task[Any]) -> None:
        """Wait no longer for a connection; with one, see through what may be a registration."""
        if self.worker_id is None and self._former is None and not self._pulse_link.connected:
            living.cancel()

    def _main(self, started: asyncio.Future[None]) -> None:
        try:
            asyncio.run(self._live(started))
        except BaseException as exc:
            log.exception("the heartbeat thread failed")
            failure = exc
            self._tell(lambda: started.done() or started.set_exception(failure))
            self._tell(lambda: self._reports.on_failed(failure))
        finally:
            self._tell(self._ended.set)

    def _tell(self, call: Callable[[], object]) -> None:
        self._call(self._owner, call)

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            log.debug("a loop was closed before it could be told")

    async def _live(self, started: asyncio.Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._hurry = asyncio.Event()
        self._duty_lock = asyncio.Lock()
        self._living = asyncio.current_task()
        self._spawn(self._keep_up(self._watch_over))
        try:
            if self._halt:
                raise asyncio.CancelledError
            await self._register()
        except BaseException as exc:
            failure = exc
            self._pulse_link.abort()
            self._tell(lambda: started.done() or started.set_exception(failure))
            return
        self._tell(lambda: started.done() or started.set_result(None))
        for forever in (self._find_passed, self._do_duties):
            self._spawn(self._keep_up(forever))
        try:
            await self._beat()
            await self._sign_off()
        finally:
            for task in tuple(self._background):
                task.cancel()
            if self._background:
                await asyncio.wait(self._background, timeout=2.0)
            await self._duty_link.close()
            await self._pulse_link.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._reap)

    @staticmethod
    async def _keep_up(forever: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin again whatever ends by an error that it did not expect."""
        while True:
            try:
                await forever()
            except Exception:
                log.exception("a duty failed; it begins again")
                await asyncio.sleep(1.0)

    def _on_lost(self) -> None:
        if self._hurry is not None:
            self._hurry.set()

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a duty failed", exc_info=error)

    # -- the lease

    async def _register(self) -> None:
        """Enter under a new random id."""
        if self._settings.listen:
            self._session = await self._pulse.own_session()
            self._session_connects = self._pulse_link.connects
        worker_id = secrets.randbits(63)
        await self._pulse.register(
            worker_id, self._settings.lease, os.getpid(), socket.gethostname(), __version__,
            self._queues, self._settings.concurrency, self._supervisor, *self._session,
        )  # fmt: skip
        self.worker_id = worker_id

    async def _beat(self) -> None:
        patience = Patience()
        away = False
        while not self._halt:
            try:
                await self._pulse_once()
                patience.reset()
                wait = self._settings.heartbeat
                if away:
                    away = False
                    log.info("the lease is being renewed again")
                    self._tell(self._reports.on_registered)
            except PgQueueError as exc:
                self._renewing_since = time.monotonic()
                if not away:
                    away = True
                    log.warning("the lease cannot be renewed: %s", exc)
                wait = patience.delay()
            assert self._hurry is not None
            try:
                async with asyncio.timeout(wait * random.uniform(0.9, 1.0)):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()

    async def _pulse_once(self) -> None:
        began = time.monotonic()
        if self._settings.listen and (
            self._session_connects != self._pulse_link.connects or not self._pulse_link.connected
        ):
            self._session = await self._pulse.own_session()
            self._session_connects = self._pulse_link.connects
            self._renewing_since = began
        check = random.random() < _MANY_WORKERS / max(self._workers, 1)
        row = await self._pulse.renew(
            self.worker_id, self._running(), self._stopping, *self._session, check,
            began - self._renewing_since, self._due_since(),
        )  # fmt: skip
        self.pulses += 1
        if not row["alive"]:
            await self._fenced()
            return
        if check:
            self._workers = row["workers"]
        if row["cancelled"]:
            cancelled: list[int] = row["cancelled"]
            self._tell(lambda: self._reports.on_cancel(cancelled))
        next_due = row["next_due"]
        if next_due is not None and next_due <= self._settings.heartbeat * 2:
            self._tell(lambda: self._reports.on_next_due(next_due))
        for lost in row["expired"]:
            self._spawn(self._rescue(lost, vanished=False))
        for lost in row["vanished"]:
            self._spawn(self._rescue(lost, vanished=True))

    async def _fenced(self) -> None:
        """Our row is gone: others have, or will have, what we held. Begin anew under a new id."""
        if self.worker_id is not None:  # else the registration failed last time
            self._former, self.worker_id = self.worker_id, None
            log.warning(
                "this worker's lease was lost; what it runs is cancelled, and it registers anew"
            )
            self._tell(self._reports.on_fenced)
        await self._register()
        assert self._former is not None
        self._spawn(self._rescue(self._former, vanished=False, orphaned=True))
        self._tell(self._reports.on_registered)

    async def _sign_off(self) -> None:
        if not self._signs_off or self._recovering:
            return
        try:
            if self.worker_id is not None:
                await self._pulse.remove_worker(self.worker_id)
        except PgQueueError as exc:
            log.warning("could not sign off: %s", exc)

    # -- the watchdog

    async def _watch_over(self) -> None:
        """Cut statements that are overdue, and say where the worker's loop is held up."""
        next_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now > next_at + _TICK:
                # This process stood still, and what came in meanwhile is still to be read.
                still = now - next_at
                self._watch.extend(still)
                self._own_watch.extend(still)
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
            for link in (*self._watch.overdue(now), *self._own_watch.overdue(now)):
                log.warning("no answer on the %s connection in time: cutting it", link.role)
                link.cut()
            await asyncio.sleep(_TICK)

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

    # -- lost workers, lost claims, passed jobs

    async def _rescue(self, worker: int, *, vanished: bool, orphaned: bool = False) -> None:
        if worker in self._rescuing:
            return
        self._rescuing.add(worker)
        try:
            if vanished:
                # It may be about to reconnect.
                await asyncio.sleep(_CONFIRM_AFTER)
            await self._rescue_once(worker, vanished=vanished, orphaned=orphaned)
            if not orphaned:
                # The server may have been at work on a claim that the worker sent last.
                await asyncio.sleep(SECOND_LOOK_AFTER)
                await self._rescue_once(worker, vanished=False, orphaned=True)
        finally:
            self._rescuing.discard(worker)

    async def _rescue_once(self, worker: int, *, vanished: bool, orphaned: bool) -> None:
        assert self._duty_lock is not None
        try:
            async with self._duty_lock:
                lowest = await rescue_worker(
                    self._duty,
                    worker,
                    crash_cap=self._settings.crash_cap,
                    vanished=vanished,
                    orphaned=orphaned,
                )
        except PgQueueError as exc:
            log.warning("a rescue is put off: %s", exc)
            return
        if lowest:
            self._tell(lambda: self._reports.on_ready_again(lowest))

    async def _recover(self, worker: int, token: int) -> None:
        """Look several times: the server may still be at work on the claim when we first look."""
        self._recovering += 1
        patience = Patience(0.2, 5.0)
        for wait in _RECOVER_AFTER:
            await asyncio.sleep(wait)
            # While the database is away no look counts: nobody else would give back these jobs.
            while not await self._look_for_claim(worker, token):  # noqa: ASYNC110
                await asyncio.sleep(patience.delay())
        self._recovering -= 1

    async def _look_for_claim(self, worker: int, token: int) -> bool:
        """Give back what this claim holds; False if the database could not be asked."""
        assert self._duty_lock is not None
        try:
            async with self._duty_lock:
                rows = await self._duty.release_claim(worker, token)
        except Exception as exc:
            ours = isinstance(exc, PgQueueError)
            log.log(
                logging.DEBUG if ours else logging.ERROR,
                "a lost claim is looked for later: %s", exc, exc_info=not ours,
            )  # fmt: skip
            return False
        if not rows:
            return True
        log.info("gave back %d jobs of a claim whose answer was lost", len(rows))
        lowest: dict[str, int] = {}
        for row in rows:
            lowest[row["queue"]] = min(row["position"], lowest.get(row["queue"], row["position"]))
        self._tell(lambda: self._reports.on_ready_again(lowest))
        try:
            async with self._duty_lock:
                await self._duty.rewind(list(lowest), list(lowest.values()))
        except PgQueueError as exc:
            log.debug("nobody could be told of jobs given back: %s", exc)
        return True

    async def _find_passed(self) -> None:
        """Look for ready jobs that the cursors passed, as often as it costs little."""
        assert self._duty_lock is not None
        wait = self._settings.poll_interval
        while True:
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))
            began = time.monotonic()
            found: dict[str, int] = {}
            try:
                async with self._duty_lock:
                    began = time.monotonic()
                    rows = await self._duty.find_passed(
                        self._queues, self._cursors(), self._tasks, self._floor.position
                    )
            except PgQueueError as exc:
                log.debug("the search for passed jobs waits: %s", exc)
                continue
            for row in rows:
                if row["queue"] is None:
                    self._floor.learn(
                        lowest_live=row["position"],
                        newest=row["newest"],
                        oldest=row["oldest"],
                        following=row["following"],
                        server=row["server"],
                    )
                else:
                    found[row["queue"]] = row["position"]
            if found:
                self._tell(lambda found=found: self._reports.on_ready_again(found))
            took = time.monotonic() - began
            wait = max(self._settings.poll_interval, _FIND_SHARE * took)

    # -- duties of the fleet

    async def _do_duties(self) -> None:
        await asyncio.sleep(random.uniform(0.0, 2.0))
        assert self._duty_lock is not None
        while True:
            try:
                async with self._duty_lock:
                    if await self._duty.take_duty("history", _HISTORY_EVERY):
                        await self._duty.ensure_history()
                    if await self._duty.take_duty("retention", _RETENTION_EVERY):
                        dropped = await self._duty.drop_history(self._settings.retention)
                        log.debug("%d partitions of history dropped", dropped)
                    lost = (
                        await self._duty.orphans()
                        if await self._duty.take_duty("orphans", _ORPHANS_EVERY)
                        else []
                    )
                for worker in lost:
                    await self._rescue(worker, vanished=False, orphaned=True)
            except PgQueueError as exc:
                log.warning("a duty is put off: %s", exc)
            await asyncio.sleep(_DUTY_CHECK_EVERY * random.uniform(0.8, 1.0))
