"""How a worker starts and stops its machines, in which order, and what it does when they fail."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgqueue.config import WorkerSettings
from pgqueue.errors import ConfigError, PgQueueError
from pgqueue.observe.job_fields import upkeep
from pgqueue.worker import life_lines
from pgqueue.worker.arrival import check_schema, when_there
from pgqueue.worker.events import CannotWrite, EndEvent, HeartbeatFailed, LimitReached
from pgqueue.worker.life_lines import Here
from pgqueue.worker.machines import Machines
from pgqueue.worker.served import fitted, queues_of, tasks_of, warn_of_queues
from pgqueue.worker.states import Event, Step, WorkerState
from pgqueue.worker.statistics import summarise
from pgqueue.worker.stopping import wind_down
from pgqueue.worker.timings import Timings
from pgqueue.worker.watchers import Watchers

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["Life", "StoppedEarly"]

log = logging.getLogger("pgqueue.worker")


class StoppedEarly(PgQueueError):
    """Stopped before it had started."""


class Life:
    """One start and one stop after the other. All on the worker's loop."""

    def __init__(self, app: App, settings: WorkerSettings, timings: Timings) -> None:
        self._app = app
        self._settings = settings
        self._timings = timings
        self.state = WorkerState()
        self.watchers = Watchers()
        self.machines: Machines | None = None  # those of the last start
        self.failure: BaseException | None = None  # what ended it, or keeps it from starting
        self.loop: asyncio.AbstractEventLoop | None = None  # that it starts, runs or ends on
        self.asked_early = False  # for a stop, before there was a loop; by any thread
        self._starting: asyncio.Task[str] | None = None
        self._summary: asyncio.Task[None] | None = None
        self._retirement: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._idleness: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, register, and begin to claim; raises StoppedEarly when told to stop before."""
        if not self.state.may_start:
            raise ConfigError("this worker runs already")
        tasks = tasks_of(self._app)
        queues = queues_of(tasks, self._settings.queues)
        self.loop = asyncio.get_running_loop()
        self.failure = None
        upkeep()
        self.on(Event.START)
        build = self._starting = asyncio.create_task(self._build(tasks, queues))
        build.add_done_callback(self._on_built)
        try:
            await asyncio.wait([build])
        except asyncio.CancelledError:
            build.cancel()
            await asyncio.wait([build])
            await self.stop()
            raise
        if build.cancelled():
            raise StoppedEarly("the worker was stopped while it started")
        server = build.result()
        warn_of_queues(queues, tasks)
        text, fields = life_lines.started(
            Here(os.uname().nodename, os.getpid(), sys.version.split()[0], server),
            schema=self._app.schema, queues=queues, tasks=list(tasks),
            concurrency=self._settings.concurrency,
        )  # fmt: skip
        log.info("%s", text, extra=fields)

    def end_when_idle(self) -> None:
        """Have it end by itself once nothing is to do in its queues."""
        self._idleness = asyncio.create_task(self._until_idle(), name="pgqueue idleness")

    async def stop(self) -> None:
        """Stop in order; whoever calls it while it stops waits for the same stop."""
        starting = self._starting
        if starting is not None and not starting.done():
            self.on(Event.STOP)
            await asyncio.wait([starting])
        if self.state.is_running:
            self.on(Event.STOP)
            # asyncio.run() may have cancelled an earlier one before its first step.
            if self._ending is None or self._ending.done():
                self._ending = self._begin_to_end()
            await asyncio.shield(self._ending)
        else:
            self.forget()

    async def see_stop_through(self) -> None:
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
                self.on(Event.FORCE)
            if not self.state.is_running:
                break
        if cancelled is not None:
            raise cancelled

    def forget(self) -> None:
        """Forget who asked for a stop, unless somebody has started it since."""
        if self.state.may_start:
            self.asked_early = False
            self.loop = None

    def on(self, event: Event) -> None:
        """Take an event, and begin what follows from it."""
        for step in self.state.on(event):
            match step:
                case Step.CANCEL_START:
                    if self._starting is not None:
                        self._starting.cancel()
                case Step.RETIRE:
                    self._retirement = asyncio.create_task(
                        self._retire(), name="pgqueue retirement"
                    )
                case Step.END:
                    self._ending = self._begin_to_end()

    # -- the start

    async def _build(self, tasks: dict[str, Task[..., Any]], queues: Sequence[str]) -> str:
        """Connect, and start the machines; return the version of the server."""
        machines, server = await when_there(functools.partial(self._connect, tasks, queues))
        machines.completer.start()
        self.watchers.enter("registered")
        self._app.around.enter()
        machines.start()
        self._summary = asyncio.create_task(
            summarise(machines.statistics, self._settings.summary_interval),
            name="pgqueue summary",
        )
        self.on(Event.STARTED)
        return server

    async def _connect(
        self, tasks: dict[str, Task[..., Any]], queues: Sequence[str]
    ) -> tuple[Machines, str]:
        app = self._app
        try:
            server = await check_schema(app, listen=self._settings.listen)
            machines = self.machines = Machines(
                app, fitted(self._settings, tasks),
                tasks=tasks, queues=queues, running_jobs=self.watchers.running_jobs, life=self,
                timings=self._timings,
            )  # fmt: skip
            await machines.register()
        except BaseException:
            await app.pool.aclose()
            raise
        return machines, server

    def _on_built(self, build: asyncio.Task[str]) -> None:
        """A start is over. Whoever waits for it runs later, and may find the next one begun."""
        self._starting = None
        self.on(Event.NOT_STARTED)  # unless it has
        if self.state.may_start:
            self.loop = None
        if not build.cancelled():
            build.exception()  # whoever started it may have been cancelled

    # -- the stop

    def _begin_to_end(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._stop(), name="pgqueue stop")

    async def _stop(self) -> None:
        try:
            assert self.machines is not None
            await self._stop_machines(self.machines)
        finally:
            self._ending = None
            self.on(Event.ENDED)
            self.forget()

    async def _stop_machines(self, machines: Machines) -> None:
        began = time.monotonic()
        for task in (self._retirement, self._summary, self._idleness):
            if task is not None:
                task.cancel()
        machines.heartbeat_thread.mark_stopping()
        unwritten = 1  # until we know better: then the worker stays on the list, to be rescued
        try:
            unwritten = await wind_down(
                machines, grace=self._settings.grace, forced=self.state.forced,
                on_jobs_over=self.watchers.jobs_over, timings=self._timings.stop,
            )  # fmt: skip
            machines.holdings.close()
        finally:
            await machines.close(sign_off=not unwritten)
            await self._app.pool.aclose()
            await self._app.around.leave()
        log.info("worker stopped after %.1f s%s", time.monotonic() - began,
                 f", {unwritten} outcomes unwritten" if unwritten else "")  # fmt: skip

    async def _retire(self) -> None:
        """The last of ``max_jobs`` has begun: wait until they are done, however long they take."""
        assert self.machines is not None
        self.watchers.enter("retiring")
        await self.machines.runner.wait_quiet(None)
        self.on(Event.QUIET)

    async def _until_idle(self) -> None:
        assert self.machines is not None
        tasks = tasks_of(self._app)
        await self.machines.wait_idle(queues_of(tasks, self._settings.queues), list(tasks))
        self.watchers.enter("idle")
        self.on(Event.IDLE)

    # -- what the machines say

    def send(self, event: EndEvent) -> None:
        """Take what decides over the life of the worker."""
        match event:
            case LimitReached():
                self.on(Event.LAST_BEGUN)
            case CannotWrite(error):
                # It stops without signing off, so that others rescue its jobs.
                if self.failure is None:
                    log.error(
                        "giving up, so that others take over what this worker holds: %s", error
                    )
                    self._fail(error)
            case HeartbeatFailed(error):
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.on(Event.FORCE)
