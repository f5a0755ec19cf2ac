"""The thread that keeps a worker alive in the eyes of the others, whatever its handlers do.

It has an event loop and connections of its own: a handler that blocks the worker's loop for a
minute keeps its jobs. It renews the lease and learns what is to be cancelled, and beside that looks
for lost workers, for what this one holds without knowing it, and does the duties of the fleet that
are due. The watchdog runs on it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.db.lent import Borrower, Lender
from pgqueue.db.link import Watch
from pgqueue.db.patience import Patience
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError
from pgqueue.observe.aside import aside
from pgqueue.version import __version__
from pgqueue.worker.fleet.duties import Duties
from pgqueue.worker.fleet.events import (
    CancelWanted,
    Event,
    HeartbeatFailed,
    LeaseHeldAgain,
    LeaseRevoked,
    NextDue,
    Rejoined,
    Seated,
    Send,
)
from pgqueue.worker.fleet.fleet_size import (
    due_within,
    passed_every,
    share_of_counts,
    share_of_looks,
)
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.passed import PassedJobs
from pgqueue.worker.fleet.reconcile import Reconciler
from pgqueue.worker.fleet.salvage import CONFIRM_AFTER, Salvage
from pgqueue.worker.fleet.signoff import give_up, sign_off
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.fleet.watchdog import Watchdog
from pgqueue.worker.lease import Lease, heartbeat_every
from pgqueue.worker.seat import WATCH, kind_of, seats
from pgqueue.worker.stop_times import GIVE_BACK_SECONDS

__all__ = ["Lifeline"]

log = logging.getLogger("pgqueue.worker")

_LATE = 1.0


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
        pooled_by_session: bool = False,
        watch: Watch,
        lease: Lease,
        holdings: Holdings,
        view: WorkerView,
        take: Send,
        supervisor: int | None,
    ) -> None:
        self._settings = settings
        self._queues = list(queues)
        self._view = view
        self._take = take
        self._lease = lease
        self._holdings = holdings
        self._supervisor = supervisor
        # A blocked loop of the worker is no excuse for these two, which are not read there.
        own_watch = Watch()
        self._watchdog = Watchdog(
            watch, own_watch, view=view, deadline=settings.deadline, tell=self._tell,
            send=self._send,
        )  # fmt: skip
        make = {
            "watch": own_watch,
            "deadline": settings.deadline,
            "pooled": not settings.listen,
            "pooled_by_session": pooled_by_session,
        }
        # Without its session this worker looks dead to the others, so it is had back at once.
        self._pulse_link = Lender(dsn, role="heartbeat", on_lost=self._on_lost, **make)
        self._duty_link = Borrower(
            dsn,
            role="duties",
            lender=self._pulse_link,
            busy=lambda: view.running,
            **make,
        )
        self._pulse = Store(self._pulse_link, schema)
        duty, lock = Store(self._duty_link, schema), asyncio.Lock()
        self._salvage = Salvage(
            duty,
            lock,
            crash_cap=settings.crash_cap,
            send=self._send,
        )
        self._passed = PassedJobs(
            duty,
            lock,
            queues=queues,
            tasks=tasks,
            interval=lambda: passed_every(
                settings.poll_interval, self._alike, listen=settings.listen
            ),
            view=view,
            connects=self._connects,
            send=self._send,
        )
        self._reconciler = Reconciler(
            duty,
            lock,
            holdings=holdings,
            queues=queues,
            tasks=tasks,
            every=settings.heartbeat,
            lease=settings.lease,
            view=view,
            floor=self._passed.floor,
            worker_id=lambda: self.worker_id,
            ask=self._ask,
        )
        self._duties = Duties(
            duty,
            lock,
            hold=settings.lease,
            retention=settings.retention,
            rescue_orphans=self._salvage.rescue_orphans,
        )
        self._owner = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._watch = watch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._hurry: asyncio.Event | None = None
        self._ended = asyncio.Event()
        self._halt = False
        self._stopping = False
        self._signs_off = True
        self._gives_up = False
        self._living: asyncio.Task[Any] | None = None
        self._session: tuple[int | None, Any] = (None, None)
        self._session_connects = 0
        self.renewing_since = time.monotonic()
        self._workers: int = 1
        self._alike: int = 1
        self._on_watch = True
        self._spacing = settings.heartbeat  # from the last pulse to this one, as was wanted then
        self._kind = kind_of(queues, tasks, listen=settings.listen)
        self._background: set[asyncio.Task[None]] = set()
        self._former: int | None = None
        self._former_rescue: asyncio.Task[None] | None = None
        self._server: datetime | None = None
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
        atexit.register(self._exit)
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

    def reconcile(self) -> None:
        """Look now for what this worker holds without knowing it."""
        if self._loop is not None:
            self._call(self._loop, self._reconciler.hurry)

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

    def give_up(self, seconds: float) -> None:
        """Give back what the worker holds, sign off and end, within so many seconds.

        For when the worker's loop is blocked or closed, or the interpreter ends. From any thread.
        """
        self._gives_up = self._halt = True
        self._lease.lose()  # nothing more is claimed or begins, should the loop go on
        self.mark_stopping()
        if self._thread is not None and seconds > 0:
            self._thread.join(seconds)

    # -- in the thread

    def _cancel_start(self, living: asyncio.Task[Any]) -> None:
        """Wait no longer for a connection; with one, see through what may be a registration."""
        if self.worker_id is None and self._former is None and not self._pulse_link.connected:
            living.cancel()

    def _main(self, started: asyncio.Future[None]) -> None:
        with aside():  # no heartbeat waits for who reads the log
            self._run(started)

    def _run(self, started: asyncio.Future[None]) -> None:
        try:
            asyncio.run(self._live(started))
        except BaseException as exc:
            failure = exc
            self._tell(lambda: started.done() or started.set_exception(failure))
            self._send(HeartbeatFailed(failure))
            log.exception("the heartbeat thread failed")
        finally:
            atexit.unregister(self._exit)
            self._tell(self._ended.set)

    def _exit(self) -> None:
        """The program ends, and this worker was not stopped: that is no crash."""
        if self._pid == os.getpid():
            self.give_up(GIVE_BACK_SECONDS)

    def _tell(self, call: Callable[[], object]) -> None:
        if not self._call(self._owner, call) and not self._halt:
            log.warning(
                "the event loop of this worker was closed before the worker was stopped; its jobs "
                "are given back"
            )
            self.give_up(0.0)
            for link in self._watch.unheard_since(math.inf):
                link.cut()  # nobody else will

    def _send(self, event: Event) -> None:
        self._tell(lambda: self._take(event))

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> bool:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            log.debug("a loop was closed before it could be told")
            return False
        return True

    async def _live(self, started: asyncio.Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._hurry = asyncio.Event()
        self._living = asyncio.current_task()
        self._spawn(self._keep_up(self._watchdog.watch_over))
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
        for forever in (self._passed.search, self._reconciler.look, self._duties.do):
            self._spawn(self._keep_up(forever))
        try:
            await self._beat()
            if self._former_rescue is not None:  # else its jobs are orphans for up to a minute
                await asyncio.wait([self._former_rescue], timeout=GIVE_BACK_SECONDS)
            await self._sign_off()
        finally:
            for task in tuple(self._background):
                task.cancel()
            if self._background:
                await asyncio.wait(self._background, timeout=2.0)
            await self._duty_link.close()
            await self._pulse_link.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._reap)
        return task

    @staticmethod
    async def _keep_up(forever: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin again whatever ends by an error that it did not expect."""
        while True:
            try:
                await forever()
            except Exception:
                log.exception("a duty failed; it begins again")
                await asyncio.sleep(1.0)

    def _cut_lease(self) -> None:
        """To the others a worker without its session is dead, if it stays so for a moment."""
        if self._settings.listen:
            self._lease.cut(time.monotonic() + CONFIRM_AFTER)

    def _on_lost(self) -> None:
        self._cut_lease()
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
        began = time.monotonic()
        try:
            await self._pulse.register(
                worker_id, self._settings.lease, os.getpid(), socket.gethostname(), __version__,
                self._queues, self._settings.concurrency, self._supervisor, *self._session,
                self._kind,
            )  # fmt: skip
        except OutcomeUnknown:
            # It may stand there, and nobody is behind it; if this fails, its lease runs out.
            with contextlib.suppress(PgQueueError):
                await self._pulse.remove_worker(worker_id)
            raise
        self.worker_id = worker_id
        self._lease.hold(began, self._settings.lease)

    async def _beat(self) -> None:
        patience = Patience()
        away = False
        while not self._halt:
            try:
                await self._pulse_once()
                patience.reset()
                wait = self._spacing = self._every()
                if away:
                    away = False
                    log.info("the lease is being renewed again")
                    self._send(Rejoined())
            except PgQueueError as exc:
                self.renewing_since = time.monotonic()
                if not self._pulse_link.connected:
                    self._cut_lease()
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

    def _at_rest(self) -> bool:
        """True if others see to what comes, and nothing runs here."""
        return not (self._on_watch or self._view.running or self._stopping)

    def _every(self) -> float:
        return heartbeat_every(
            self._settings.heartbeat,
            self._settings.lease,
            self._workers,
            at_rest=self._at_rest(),
        )

    async def _pulse_once(self) -> None:
        began = time.monotonic()
        if self._settings.listen and (
            self._session_connects != self._pulse_link.connects or not self._pulse_link.connected
        ):
            self._session = await self._pulse.own_session()
            self._session_connects = self._pulse_link.connects
            self.renewing_since = began
        every = self._spacing
        check = random.random() < share_of_looks(self._workers, every / self._settings.heartbeat)
        count = check or random.random() < share_of_counts(self._alike)
        running, takes_jobs = self._view.running, self._view.takes_jobs and not self._stopping
        row = await self._pulse.renew(
            self.worker_id, running, self._stopping, *self._session, check,
            began - self.renewing_since, self._view.due_since,
            self._kind, seats(self._settings.concurrency), count, takes_jobs,
        )  # fmt: skip
        self.pulses += 1
        if not row["alive"]:
            if not self._halt:
                await self._fenced()
            return
        lapsed = self._lease.is_over
        self._lease.hold(began, self._settings.lease)
        if lapsed:
            self._send(LeaseHeldAgain())
        if count:
            self._workers, self._alike = row["workers"], row["alike"]
        self._on_watch = row["before"] < WATCH
        self._send(Seated(row["before"], self._alike, running, takes_jobs))
        if self._server not in (None, row["server"]):
            self._reconciler.hurry()  # it may not know how jobs ended that are over here
        self._server = row["server"]
        if row["cancelled"]:
            self._send(CancelWanted(row["cancelled"]))
        next_due = row["next_due"]
        if next_due is not None and next_due <= due_within(every, at_rest=self._at_rest()):
            self._send(NextDue(next_due))
        if row["age"] > 2 * every + _LATE:
            # It was held up, though nothing failed: so may all have been, and who is first to go on
            # must not take the others for dead.
            self.renewing_since = began
            return
        if row["expired"]:
            self._spawn(self._salvage.rescue(row["expired"]))
        if row["vanished"]:
            self._spawn(self._salvage.rescue(row["vanished"], vanished=True))

    async def _fenced(self) -> None:
        """Our row is gone: others have, or will have, what we held. Begin anew under a new id."""
        if self.worker_id is not None:  # else the registration failed last time
            self._former, self.worker_id = self.worker_id, None
            self._lease.lose()
            self._send(LeaseRevoked())
            log.warning(
                "this worker's lease was lost; what it runs is cancelled, and it registers anew"
            )
        await self._register()
        assert self._former is not None
        rescue = self._salvage.rescue([self._former], orphaned=True)
        self._former_rescue = self._spawn(rescue)
        self._send(Rejoined())

    async def _sign_off(self) -> None:
        if self.worker_id is None:
            return
        if self._gives_up:
            await give_up(
                self._pulse, self.worker_id, self._view.successes,
                crash_cap=self._settings.crash_cap,
            )  # fmt: skip
        elif self._signs_off and not self._holdings.unsettled:
            await sign_off(self._pulse, self.worker_id)

    # -- for the others on this loop

    async def _ask(self, call: Callable[[], object]) -> None:
        """Have a call made on the worker's loop, and wait until it was."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()

        def ask() -> None:
            try:
                call()
            finally:
                self._call(loop, lambda: answer.done() or answer.set_result(None))

        self._tell(ask)
        await answer

    def _connects(self) -> tuple[int, ...] | None:
        """Return what changes when the server may be another one, with old positions to come."""
        if not self._settings.listen:
            return None
        links = self._pulse_link, self._duty_link
        return tuple(link.connects if link.connected else -1 for link in links)
