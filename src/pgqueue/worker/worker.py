"""A worker, as programs, signals and supervisors see it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from pgqueue.config import WorkerOptions, WorkerSettings
from pgqueue.errors import ConfigError
from pgqueue.worker.forked import disown_in_forks, end_when_it_comes_back
from pgqueue.worker.guard import Guard
from pgqueue.worker.in_thread import WorkerThread
from pgqueue.worker.life import Life, StoppedEarly
from pgqueue.worker.life_lines import STOPPING, STOPPING_NOW
from pgqueue.worker.machines import Machines
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.signals import heeding
from pgqueue.worker.states import Event
from pgqueue.worker.statistics import Statistics
from pgqueue.worker.timings import TIMINGS, Timings
from pgqueue.worker.watchers import Phase, Watchers

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["Phase", "Statistics", "Worker", "check_settings"]

log = logging.getLogger("pgqueue.worker")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def check_settings(app: App, options: WorkerOptions) -> WorkerSettings:
    """Return the settings of a worker of this app; ConfigError for a wrong one, or for no app."""
    from pgqueue.app import App as AppClass

    if not isinstance(app, AppClass):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(app).__name__  # a dsn may hold a password
        raise ConfigError(f"a worker needs an App, which knows the tasks; got a {kind}")
    given = {name: value for name, value in options.items() if value is not None}
    return WorkerSettings.of({"listen": not app.pool.pooled, **given})


class Worker:
    """Runs the jobs of an app, inside any asyncio program.

    The settings are those of WorkerOptions, by name: ``queues`` to serve, by default all that the
    app's tasks name; ``concurrency``, how many jobs run at a time; ``threads``, how many of these
    may be of tasks without async, each of which has a thread; and so on. Either
    ``await worker.run()``, until ``stop`` or a signal, or ``async with Worker(app):``.
    ``timings`` is for tests of pgqueue: how long its machines wait.

    Raises ConfigError for a wrong setting, at once. At start: SchemaError, or Unreachable where a
    connection is refused for good (password, database). A server that is away is waited for.
    """

    def __init__(
        self,
        app: App,
        *,
        timings: Timings = TIMINGS,
        **settings: Unpack[WorkerOptions],
    ) -> None:
        self.settings = check_settings(app, settings)
        self.app = app
        self._life = Life(self.app, self.settings, timings)
        self.told_by_signal = False  # to stop, by TERM or INT
        self._owner: int | None = None  # the process that it runs in, if that forked this one
        self.thread: WorkerThread | None = None  # in which it was started last
        disown_in_forks(self)

    def __repr__(self) -> str:
        return f"<Worker {', '.join(self.settings.queues) or 'all queues'}>"

    def disown(self) -> None:
        """Do nothing more in this process, which was forked while this worker ran."""
        loop = self._life.loop
        if loop is not None and self._owner is None:
            self._owner = os.getppid()
            if self.is_running:
                self.machines.runner.disown()
            end_when_it_comes_back(loop)

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
        until_idle: bool = False,
        signals: bool = False,
        on_phase: Callable[[Phase], None] | None = None,
        running_jobs: RunningJobs | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Start, work until told to stop, and stop. ``signals``: let TERM and INT stop it.

        ``until_idle``: stop also once nothing is to do: no job of the queues runs, in any worker,
        and none is ready or due. Jobs that are due later stay, also those that wait for a retry;
        so do jobs of paused queues and of tasks that the app does not know.
        ``on_phase`` is told "registered" before the first claim, "started", "retiring" once the
        last of ``max_jobs`` has begun, and "idle".
        ``running_jobs``: where to note which jobs run, for who watches the process. ``guard``:
        what ends the process if a stop does not end in time.
        """
        self._refuse_in_forks()
        life = self._life
        loop = life.loop = asyncio.get_running_loop()
        life.watchers = Watchers(on_phase, running_jobs, guard)
        if guard is not None:
            guard.watch(
                self.settings, loop,
                say_stopping=self._say_stopping, release=self._release_all,
            )  # fmt: skip
        hearing = guard.hearing() if guard is not None and signals else contextlib.nullcontext()
        with heeding(_SIGNALS if signals else (), self._on_signal), hearing:
            try:
                if life.asked_early:
                    raise StoppedEarly
                await life.start()
            except StoppedEarly:
                life.forget()
                if life.failure is not None:
                    raise life.failure from None
                log.info("worker stopped before it had started")
                return
            try:
                life.watchers.enter("started")
                if until_idle:
                    life.end_when_idle()
                await life.state.stop_wanted.wait()
            finally:
                if not loop.is_closed():  # else nobody awaited this, and it is being collected
                    await life.see_stop_through()
        if life.failure is not None:
            raise life.failure

    async def start(self) -> None:
        """Connect, register, and begin to claim; wait for a server that is away.

        Raises PgQueueError when stopped meanwhile.
        """
        self._refuse_in_forks()
        await self._life.start()

    def request_stop(self, *, once: bool = False) -> None:
        """Ask for a stop; a second time, for one without grace. From any thread.

        ``once``: change nothing where a stop was asked for, as ``stop`` does.
        """
        self._refuse_in_forks()
        self._say_stopping()
        self._life.watchers.ask()
        if self._life.loop is None:
            self._life.asked_early = True
        note = functools.partial(self._life.on, Event.STOP) if once else self._note_stop
        self._call(note)  # the loop may have come meanwhile

    def _say_stopping(self) -> None:
        """Tell other workers, whatever the event loop is doing."""
        if self.is_running:
            self.machines.heartbeat_thread.mark_stopping()

    def _release_all(self, seconds: float) -> None:
        """Release all within so many seconds, without the loop, which is blocked."""
        if self.is_running:
            self.machines.heartbeat_thread.give_up(seconds)

    def _note_stop(self) -> None:
        asked = self._life.state.stop_wanted.is_set()
        self._life.on(Event.FORCE if asked else Event.STOP)

    def _call(self, call: Callable[..., object], *args: object) -> None:
        """Have something called on the worker's loop, if that is there."""
        loop = self._life.loop  # read once: it may be gone the next moment
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *args)

    def start_in_thread(self, timeout: float | None = 30.0) -> WorkerThread:
        """Run in a thread with an event loop of its own; return what stops it again.

        For programs without an event loop, or with one that jobs must not block. No signal handler
        is installed. Returns once the worker has started, or after ``timeout`` seconds: then it
        goes on waiting for the server. Raises what ``start`` raises, and ConfigError if this worker
        runs already, or runs in a process that forked this one.
        """
        self._refuse_in_forks()
        thread = WorkerThread(self)
        thread.start(timeout)
        return thread

    async def stop(self) -> None:
        """Stop in order, within ``grace`` and a few seconds; safe to call at any time.

        Whoever calls it while it stops waits for the same stop. Afterwards it can be started again.
        """
        self._refuse_in_forks()
        await self._life.stop()

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
        self.told_by_signal = True
        self._say_stopping()
        self._life.watchers.ask()
        self._call(self._heed, number)

    def _heed(self, number: int) -> None:
        asked = self._life.state.stop_wanted.is_set()
        how = STOPPING_NOW if asked else STOPPING
        log.info("%s: %s", signal.Signals(number).name, how)
        self._note_stop()

    # -- what it is made of, and what it has done

    @property
    def is_running(self) -> bool:
        """True from the end of the start to the end of the stop."""
        return self._life.state.is_running

    @property
    def machines(self) -> Machines:
        """The machines of the last start, for tests and tools; ConfigError before the first."""
        if self._life.machines is None:
            raise ConfigError("this worker was not started yet")
        return self._life.machines

    def statistics(self) -> Statistics:
        """Return what this worker has done since it started; ConfigError before that."""
        self._refuse_in_forks()
        return self.machines.statistics()
