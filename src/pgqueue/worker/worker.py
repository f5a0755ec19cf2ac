"""A worker: builds the machines, and orders their start and their end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from pgqueue.admin.home import check_home
from pgqueue.config import WorkerSettings
from pgqueue.db.link import Link, Watch
from pgqueue.db.listener import Listener
from pgqueue.db.statements import read_all, statement
from pgqueue.db.store import Store
from pgqueue.errors import ConfigError, PgQueueError
from pgqueue.outcome import RELEASED, RetryAt, Snoozed
from pgqueue.worker import notice
from pgqueue.worker.arrival import when_there
from pgqueue.worker.board import Board
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.events import (
    AnswerLost,
    FlagsTold,
    LimitReached,
    PulseWanted,
    Said,
)
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.lifeline import Lifeline
from pgqueue.worker.fleet.rescue import announce
from pgqueue.worker.forked import disown_in_forks, end_when_it_comes_back
from pgqueue.worker.guard import Guard
from pgqueue.worker.heartbeat_port import HeartbeatPort
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import Entry
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.transaction import JobTransactions
from pgqueue.worker.served import queues_of, tasks_of, warn_of_queues
from pgqueue.worker.signals import heeding
from pgqueue.worker.statistics import Statistics, summarise
from pgqueue.worker.stopping import wind_down

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["Phase", "Statistics", "Worker"]

log = logging.getLogger("pgqueue.worker")

_SUPERVISOR = "PGQUEUE_SUPERVISOR"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Phase = Literal["registered", "started", "retiring"]


class _StoppedEarly(PgQueueError):
    """Stopped before it had started."""


class Worker:
    """Runs the jobs of an app, inside any asyncio program.

    ``queues``: those to serve; by default all that the app's tasks name. ``concurrency``: how many
    jobs run at a time. The other settings are those of WorkerSettings, by name. Either
    ``await worker.run()``, until ``stop`` or a signal, or ``async with Worker(app):``.

    Raises ConfigError for a wrong setting, at once. At start: SchemaError, or Unreachable where a
    connection is refused for good (password, database). A server that is away is waited for.
    """

    def __init__(
        self,
        app: App,
        *,
        queues: Iterable[str] | None = None,
        concurrency: int = 100,
        **settings: Any,
    ) -> None:
        from pgqueue.app import App as AppClass

        if not isinstance(app, AppClass):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"a worker needs an App, got {app!r}")
        options = {"listen": not app.pool.pooled, **settings, "concurrency": concurrency}
        if queues is not None:
            options["queues"] = queues
        self.app = app
        self.settings = WorkerSettings.of(options)
        self._stop_wanted = asyncio.Event()
        self._force_wanted = asyncio.Event()
        self._failure: BaseException | None = None
        self._running = False
        self._starting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._retirement: asyncio.Task[None] | None = None
        self._on_phase: Callable[[Phase], None] | None = None
        self._board: Board | None = None
        self._guard: Guard | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner: int | None = None  # the process that it runs in, if that forked this one
        disown_in_forks(self)

    def __repr__(self) -> str:
        return f"<Worker {', '.join(self.settings.queues) or 'all queues'}>"

    def disown(self) -> None:
        """Do nothing more in this process, which was forked while this worker ran."""
        if self._loop is not None and self._owner is None:
            self._owner = os.getppid()
            if self._running:
                self._runner.disown()
            end_when_it_comes_back(self._loop)

    def _refuse_in_forks(self) -> None:
        if self._owner is not None:
            raise ConfigError(
                f"this worker runs in process {self._owner}, which forked this one; "
                "make a Worker of your own here"
            )

    # -- life

    async def run(
        self,
        *,
        signals: bool = False,
        on_phase: Callable[[Phase], None] | None = None,
        board: Board | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Start, work until told to stop, and stop. ``signals``: let TERM and INT stop it.

        ``on_phase`` is told "registered" before the first claim, "started", and "retiring" once the
        last of ``max_jobs`` has begun.
        ``board``: where to note which jobs run, for who watches the process. ``guard``: what ends
        the process if a stop does not end in time.
        """
        self._refuse_in_forks()
        loop = self._loop = asyncio.get_running_loop()
        self._board = board
        self._guard = guard
        if guard is not None:
            guard.watch(
                self.settings, loop,
                say_stopping=self._say_stopping, give_back=self._give_all_back,
            )  # fmt: skip
        self._on_phase = on_phase
        hearing = guard.hearing() if guard is not None and signals else contextlib.nullcontext()
        with heeding(_SIGNALS if signals else (), self._on_signal), hearing:
            stop_wanted = self._stop_wanted
            try:
                if stop_wanted.is_set():
                    raise _StoppedEarly
                await self.start()
            except _StoppedEarly:
                self._forget_stop()
                if self._failure is not None:
                    raise self._failure from None
                log.info("worker stopped before it had started")
                return
            try:
                self._enter("started")
                await stop_wanted.wait()
            finally:
                if not loop.is_closed():  # else nobody awaited this, and it is being collected
                    await self._see_stop_through()
        if self._failure is not None:
            raise self._failure

    async def start(self) -> None:
        """Connect, register, and begin to claim; wait for a server that is away.

        Raises PgQueueError when stopped meanwhile.
        """
        self._refuse_in_forks()
        if self._running or self._starting is not None:
            raise ConfigError("this worker runs already")
        tasks = tasks_of(self.app)
        queues = queues_of(tasks, self.settings.queues)
        self._loop = asyncio.get_running_loop()
        self._failure = None
        build = self._starting = asyncio.create_task(self._build(tasks, queues))
        try:
            await asyncio.wait([build])
        except asyncio.CancelledError:
            build.cancel()
            await asyncio.wait([build])
            await self.stop()
            raise
        finally:
            self._starting = None
        if build.cancelled():
            raise _StoppedEarly("the worker was stopped while it started")
        build.result()
        warn_of_queues(queues, tasks)
        log.info(
            'worker started: queues %s, concurrency %d, schema "%s"',
            ", ".join(queues), self.settings.concurrency, self.app.schema,
        )  # fmt: skip

    async def _build(self, tasks: dict[str, Task[..., Any]], queues: Sequence[str]) -> None:
        await when_there(functools.partial(self._connect, tasks, queues))
        self._completer.start()
        self._enter("registered")
        self._promoter.start()
        self._claimer.start()
        self._summary = asyncio.create_task(
            summarise(self.statistics, self.settings.summary_interval), name="pgqueue summary"
        )
        self._running = True

    async def _connect(self, tasks: dict[str, Task[..., Any]], queues: Sequence[str]) -> None:
        try:
            await self._make_machines(tasks, queues)
        except BaseException:
            await self.app.pool.aclose()
            raise

    async def _make_machines(self, tasks: dict[str, Task[..., Any]], queues: Sequence[str]) -> None:
        settings, app = self.settings, self.app
        read_all()
        loop = asyncio.get_running_loop()
        if not settings.listen and not app.pool.pooled:
            await app.pool.aclose()  # those made before have statements prepared by name
            app.pool.pooler = "transaction"
        await app.pool.acheck()
        for what in await app.pool.arun(lambda c: check_home(c, app.schema)):
            log.warning('schema "%s": %s; run: pgqueue migrate', app.schema, what)
        await app.pool.aclose()  # few jobs need one
        dsn = app.pool.dsn
        watch = Watch()
        by_session = app.pool.pooler == "session"
        how: dict[str, Any] = {"watch": watch, "deadline": settings.deadline}
        how |= {"pooled": not settings.listen, "pooled_by_session": by_session}
        listener = Listener(statement("read_channel", app.schema), self._on_notify)
        self._claim_link = Link(
            dsn, role="claim", listener=listener, on_lost=self._on_deaf, **how,
        )  # fmt: skip
        self._finish_link = Link(dsn, role="finish", **how)
        claims, finishes = Store(self._claim_link, app.schema), Store(self._finish_link, app.schema)
        lock = asyncio.Lock()
        # Statements besides claims, few as they are, take turns with them on their connection.
        self._aside, self._aside_lock = claims, lock
        self._announcements: set[asyncio.Task[None]] = set()
        self._exposed: tuple[int, int] | tuple[None, None] = (None, None)
        self._transactions = JobTransactions(app.pool, deadline=settings.deadline)
        self._completer = Completer(
            finishes,
            worker_name=f"{os.uname().nodename}:{os.getpid()}",
            on_lost=self._on_lost,
            on_written=self._on_written,
            fruitless=Fruitless(
                settings.lease,
                renewing_since=lambda: self._lifeline.renewing_since,
                give_up=self._give_up,
            ),
        )
        lease = Lease()
        self._runner = Runner(
            tasks,
            concurrency=settings.concurrency,
            board=self._board or Board.private(settings.concurrency),
            completer=self._completer,
            transactions=self._transactions,
            expose=self._expose,
            large=LargeJobs(claims, lock),
            misfits=Misfits(claims, lock),
            lease=lease,
            on_room=self._on_room,
            loop=loop,
        )
        self._holdings = holdings = Holdings(
            receipts=(self._runner.receipts, self._completer.receipts),
            give_back=self._completer.add,
        )
        self._promoter = Promoter(claims, lock=lock, on_ready=self._on_promoted, settings=settings)
        self._claimer = Claimer(
            claims,
            lock=lock,
            listener=listener,
            queues=queues,
            tasks=list(tasks),
            settings=settings,
            lease=lease,
            runner=self._runner,
            completer=self._completer,
            holdings=holdings,
            worker_id=lambda: self._lifeline.worker_id,
            say=self._on_claimer,
        )
        port = HeartbeatPort(
            claimer=self._claimer,
            promoter=self._promoter,
            runner=self._runner,
            completer=self._completer,
            lease=lease,
            pool=app.pool,
            listen=settings.listen,
            fail=self._on_failed,
        )
        supervisor = os.environ.get(_SUPERVISOR)
        self._lifeline = Lifeline(
            dsn,
            app.schema,
            Identity(settings, list(queues), list(tasks), int(supervisor) if supervisor else None),
            pooled_by_session=by_session,
            watch=watch,
            lease=lease,
            holdings=holdings,
            view=port,
            take=port.take,
        )
        try:
            await self._lifeline.start()
        except BaseException:
            await self._lifeline.stop()
            raise

    def request_stop(self) -> None:
        """Ask for a stop; a second time, for one without grace. From any thread."""
        self._refuse_in_forks()
        self._ask_guard()
        if self._loop is None:
            self._stop_wanted.set()
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_stop)

    def _ask_guard(self) -> None:
        """Whatever the event loop is doing."""
        self._say_stopping()
        if self._guard is not None:
            self._guard.ask()

    def _say_stopping(self) -> None:
        if self._running:
            self._lifeline.mark_stopping()

    def _give_all_back(self, seconds: float) -> None:
        """Give all back within so many seconds, without the loop, which is blocked."""
        if self._running:
            self._lifeline.give_up(seconds)

    def _note_stop(self) -> None:
        if self._stop_wanted.is_set() and not self._force_wanted.is_set():
            self._force_wanted.set()
        self._stop_wanted.set()
        if self._starting is not None:
            self._starting.cancel()
        self._begin_to_end()

    async def stop(self) -> None:
        """Stop in order, within ``grace`` and a few seconds; safe to call at any time.

        Whoever calls it while it stops waits for the same stop. Afterwards it can be started again.
        """
        self._refuse_in_forks()
        self._stop_wanted.set()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._begin_to_end()
        if self._ending is not None:
            await asyncio.shield(self._ending)
        else:
            self._forget_stop()

    async def _see_stop_through(self) -> None:
        """Stop, whoever cancels what: asyncio.run() cancels every task, and then closes the loop.

        Cancelled meanwhile, it stops without grace.
        """
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                await asyncio.sleep(0)  # if the loop is closed now, no stop is begun
                await self.stop()
            except asyncio.CancelledError as exc:
                cancelled = exc
                self._force_wanted.set()
            if not self._running:
                break
        if cancelled is not None:
            raise cancelled

    def _begin_to_end(self) -> None:
        if self._running and (self._ending is None or self._ending.done()):
            self._ending = asyncio.create_task(self._stop(), name="pgqueue stop")

    def _forget_stop(self) -> None:
        self._stop_wanted, self._force_wanted = asyncio.Event(), asyncio.Event()
        self._loop = None

    async def _stop(self) -> None:
        try:
            await self._stop_machines()
        finally:
            self._running = False
            self._ending = None
            self._forget_stop()

    async def _stop_machines(self) -> None:
        began = time.monotonic()
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        self._summary.cancel()
        self._lifeline.mark_stopping()
        unwritten = 1  # until we know better: then the worker stays on the list, to be rescued
        try:
            unwritten = await wind_down(
                self._claimer, self._promoter, self._runner, self._completer,
                grace=self.settings.grace, forced=self._force_wanted,
                on_jobs_over=self._on_jobs_over, announcements=self._announcements,
            )  # fmt: skip
            self._holdings.close()
        finally:
            await self._runner.stop()
            await self._lifeline.stop(sign_off=not unwritten)
            self._transactions.close()
            await asyncio.gather(self._claim_link.close(), self._finish_link.close())
            await self.app.pool.aclose()
        log.info("worker stopped after %.1f s%s", time.monotonic() - began,
                 f", {unwritten} outcomes unwritten" if unwritten else "")  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _on_signal(self, number: int) -> None:
        self._ask_guard()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._heed, number)

    def _heed(self, number: int) -> None:
        log.info(
            "%s: %s", signal.Signals(number).name,
            "stopping now" if self._stop_wanted.is_set() else "stopping when running jobs are done",
        )  # fmt: skip
        self._note_stop()

    # -- what the machines tell each other

    def _on_notify(self, payload: str) -> None:
        """Take a hint; what it says is never trusted, only looked into."""
        self._claimer.flags.heard()
        match notice.read(payload):
            case notice.Enqueued(queue):
                self._claimer.on_notification(queue)
            case notice.WorkersCalled(queue, reach):
                self._claimer.on_call(queue, reach)
            case notice.Lowered(queue):
                self._claimer.on_lowered(queue)
            case notice.Rewound(queue, position):
                self._claimer.on_rewind(queue, position)
            case notice.DueIn(seconds):
                self._promoter.due_in(seconds + self._claimer.seating.seat.delay)
            case notice.CancelAsked():
                self._lifeline.hurry()
            case notice.WatchLeft():
                self._claimer.seating.on_left()
            case notice.Word():
                pass
            case None:
                log.debug("a notification that says nothing to us: %.80r", payload)

    def _on_claimer(self, said: Said) -> None:
        match said:
            case FlagsTold(up, raised):
                self._promoter.on_flags(up=up, raised=raised)
            case PulseWanted():
                self._lifeline.hurry()
            case AnswerLost():
                self._lifeline.reconcile()
            case LimitReached():
                self._on_limit()

    def _on_room(self) -> None:
        self._claimer.on_room()

    def _on_deaf(self) -> None:
        self._claimer.look_everywhere()

    def _on_promoted(self, queues: Iterable[str]) -> None:
        self._claimer.on_ready(queues)

    def _on_ready_again(self, lowest: dict[str, int]) -> None:
        for queue, position in lowest.items():
            self._claimer.on_rewind(queue, position)

    def _on_written(self, entries: Sequence[Entry]) -> None:
        """What was given back or put off is somebody's work again."""
        soonest = min(
            (e.outcome.delay for e in entries if isinstance(e.outcome, (RetryAt, Snoozed))),
            default=None,
        )
        if soonest is not None and soonest <= self.settings.heartbeat * 2:
            self._promoter.due_in(soonest)
        places = [(e.queue, e.position) for e in entries if e.outcome is RELEASED and e.position]
        for queue, position in places:
            self._claimer.on_rewind(queue, position)
        if places:
            task = asyncio.ensure_future(self._announce(places))
            self._announcements.add(task)
            task.add_done_callback(self._announcements.discard)

    async def _announce(self, places: list[tuple[str, int]]) -> None:
        try:
            async with self._aside_lock:
                self._on_ready_again(await announce(self._aside, places))
        except PgQueueError as exc:
            log.debug("nobody could be told of released jobs: %s", exc)

    def _on_lost(self, job_id: int) -> None:
        log.warning(
            "job %d was not this worker's any more when its outcome was to be written "
            "(lease lost, cancelled or deleted); the outcome is dropped", job_id,
            extra={"job_id": job_id},
        )  # fmt: skip

    def _on_jobs_over(self) -> None:
        if self._guard is not None:
            self._guard.jobs_over()

    def _on_limit(self) -> None:
        """The last of ``max_jobs`` has begun: stop once they are done, however long they take."""
        if self._retirement is None:
            self._retirement = asyncio.create_task(self._retire(), name="pgqueue retirement")

    async def _retire(self) -> None:
        self._enter("retiring")
        await self._runner.wait_quiet(None)
        self._stop_wanted.set()

    def _enter(self, phase: Phase) -> None:
        if self._on_phase is not None:
            self._on_phase(phase)

    def _give_up(self, error: BaseException) -> None:
        """Nothing can be written: stop, without signing off, so that others rescue the jobs."""
        if self._failure is None:
            log.error("giving up, so that others take over what this worker holds: %s", error)
            self._on_failed(error)

    def _on_failed(self, error: BaseException) -> None:
        """The heartbeat thread is gone: a worker without one must not go on, nor its jobs."""
        self._failure = error
        self._force_wanted.set()
        self._note_stop()

    async def _expose(self, job_id: int, token: int) -> bool | None:
        """Mark a job that crashed workers before; False if it is not ours now, None if unknown."""
        try:
            async with self._aside_lock:
                before, self._exposed = self._exposed, (job_id, token)
                return await self._aside.expose(job_id, token, before)
        except PgQueueError as exc:
            log.warning(
                "job %d waits: it crashed workers before, and cannot be marked: %s", job_id, exc
            )
            return None

    # -- statistics

    def statistics(self) -> Statistics:
        """Return what this worker has done since it started; ConfigError before that."""
        self._refuse_in_forks()
        if not hasattr(self, "_runner"):
            raise ConfigError("this worker was not started yet")
        runner, completer = self._runner, self._completer
        return Statistics(
            claimed=self._claimer.claimed,
            started=runner.started,
            running=runner.running,
            stuck=runner.stuck,
            completed=completer.completed,
            retried=runner.counts.retried,
            dead=runner.counts.dead,
            released=runner.counts.released,
            cancelled=runner.counts.cancelled,
            promoted=self._promoter.promoted,
            unwritten=completer.backlog,
            claims=self._claimer.claims,
            flushes=completer.flushes,
        )
