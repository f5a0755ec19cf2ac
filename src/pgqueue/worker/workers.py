"""Workers for several servers in one event loop: one for each, and none waits for another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from pgqueue.cell import app_at, context_at, shares
from pgqueue.config import WorkerOptions
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.dsn import cell_names, check_cells
from pgqueue.errors import ConfigError, PgQueueError, SchemaError
from pgqueue.worker.guard import Guard
from pgqueue.worker.life_lines import STOPPING, STOPPING_NOW
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.signals import heeding
from pgqueue.worker.watchers import Phase
from pgqueue.worker.worker import Worker, check_settings

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread

__all__ = ["CellPhase", "Workers"]

log = logging.getLogger("pgqueue.worker")

CellPhase = Callable[[Phase, int], None]
"""Told how far the worker of a cell is; cells are numbered from 0 as they were given."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AGAIN_AFTER, _AGAIN_AT_MOST = 1.0, 30.0


class Workers:
    """Runs the jobs of an app at several servers, each of which has a queue of its own.

    ``cells``: the dsn of each. The settings are those of Worker. ``concurrency``, ``threads`` and
    ``children`` are for all together: each server gets an equal share, and at least one. A server
    that is away delays its own jobs alone. Calls of the app inside a job go to the job's server.
    Schedules of the app's code are kept at the first server. ``max_jobs`` is refused.

    Either ``await workers.run()``, until ``stop`` or a signal, or ``async with Workers(...)``.
    Raises ConfigError for a wrong setting or dsn, at once. At start: SchemaError. A server that is
    away, or refuses the connection, is tried again.
    """

    def __init__(
        self, app: App, *, cells: Iterable[str], **settings: Unpack[WorkerOptions]
    ) -> None:
        self.settings = check_settings(app, settings)
        if self.settings.max_jobs is not None:
            raise ConfigError("max_jobs is for a worker of one server; leave it out with cells")
        dsns = check_cells(cells)
        parts = zip(cell_names(dsns), dsns, shares(self.settings, len(dsns)), strict=True)
        self._workers = {
            name: Worker(
                app_at(app, dsn, schedules=dsn == dsns[0]),
                **{field: getattr(share, field) for field in share.__slots__},
            )
            for name, dsn, share in parts
        }
        self.told_by_signal = False  # to stop, by TERM or INT
        self._guard: Guard | None = None
        self._asked = False  # for a stop; by any thread
        self._loop: asyncio.AbstractEventLoop | None = None  # that they run on
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        self._running: asyncio.Task[None] | None = None  # of ``start``

    def __repr__(self) -> str:
        return f"<Workers {', '.join(self._workers)}>"

    @property
    def by_cell(self) -> dict[str, Worker]:
        """The worker of each server, by the name of the server that the log has as well."""
        return dict(self._workers)

    @property
    def is_running(self) -> bool:
        """True while some worker runs."""
        return any(worker.is_running for worker in self._workers.values())

    # -- life

    async def run(
        self,
        *,
        until_idle: bool = False,
        signals: bool = False,
        on_phase: CellPhase | None = None,
        running_jobs: Sequence[RunningJobs] | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Start, work until told to stop, and stop. ``signals``: let TERM and INT stop it.

        ``until_idle``: each worker ends once nothing is to do at its server. ``on_phase`` is told
        how far the worker of each server is. ``running_jobs``, ``guard``: as for Worker.
        """
        if self._loop is not None:
            raise ConfigError("these workers run already")
        loop = self._loop = asyncio.get_running_loop()
        self._guard, self._wake, self._ended = guard, asyncio.Event(), asyncio.Event()
        if guard is not None:
            guard.watch(
                self.settings, loop, say_stopping=self._say_stopping, release=self._release_all
            )
        hearing = guard.hearing() if guard is not None and signals else contextlib.nullcontext()
        try:
            with heeding(_SIGNALS if signals else (), self._on_signal), hearing:
                # A worker that is cancelled, as when another one raises, stops in order.
                async with asyncio.TaskGroup() as group:
                    for number, (name, worker) in enumerate(self._workers.items()):
                        group.create_task(
                            self._keep_running(
                                number, name, until_idle=until_idle, on_phase=on_phase,
                                running_jobs=running_jobs[number] if running_jobs else None,
                            ),
                            name=f"pgqueue cell {name}", context=context_at(worker.app),
                        )  # fmt: skip
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            for worker in self._workers.values():
                await worker.stop()  # those that did not run forget who asked
            self._loop, self._asked = None, False
            self._ended.set()

    async def _keep_running(
        self, number: int, name: str, *, until_idle: bool, on_phase: CellPhase | None,
        running_jobs: RunningJobs | None,
    ) -> None:  # fmt: skip
        """Run the worker of one server; begin again where it gave up, as others do not need to."""
        worker = self._workers[name]
        retry = RetryDelay(_AGAIN_AFTER, _AGAIN_AT_MOST)

        def tell(phase: Phase) -> None:
            if phase == "started":
                log.info("%s: started", name)
                retry.reset()
            if on_phase is not None:
                on_phase(phase, number)

        while not self._asked:
            try:
                await worker.run(until_idle=until_idle, on_phase=tell, running_jobs=running_jobs)
            except (ConfigError, SchemaError) as exc:
                log.error("%s: %s", name, exc)
                raise
            except PgQueueError as exc:
                if self._asked:
                    raise
                delay = retry.delay()
                log.error("%s: %s; its worker begins again in %.1f s", name, exc, delay)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
            else:
                return

    async def start(self) -> None:
        """Begin; return once the worker of one server has started. The others go on trying.

        Raises what ``run`` raises before that.
        """
        started = asyncio.Event()

        def on_phase(phase: Phase, _: int) -> None:
            if phase == "started":
                started.set()

        def on_end(running: asyncio.Task[None]) -> None:
            started.set()
            if not running.cancelled():
                running.exception()  # it has been logged

        running = self._running = asyncio.create_task(
            self.run(on_phase=on_phase), name="pgqueue cells"
        )
        running.add_done_callback(on_end)
        try:
            await started.wait()
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([running])
            raise
        if running.done():
            running.result()

    async def stop(self) -> None:
        """Stop all in order, at the same time; safe to call at any time."""
        if self._loop is not None:
            self.request_stop(once=True)
            await self._ended.wait()

    def request_stop(self, *, once: bool = False) -> None:
        """Ask for a stop; a second time, for one without grace. From any thread.

        ``once``: change nothing where a stop was asked for.
        """
        self._asked = True
        if self._guard is not None and not once:
            self._guard.ask()
        for worker in self._workers.values():
            worker.request_stop(once=once)
        self._call(self._wake.set)

    def _call(self, call: Callable[..., object], *args: object) -> None:
        """Have something called on the loop, if that is there."""
        loop = self._loop  # read once: it may be gone the next moment
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *args)

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

    # -- signals, and the guard

    def _on_signal(self, number: int) -> None:
        how = STOPPING_NOW if self.told_by_signal else STOPPING
        self.told_by_signal = True
        self._call(log.info, "%s: %s", signal.Signals(number).name, how)
        self.request_stop()

    def _heartbeats(self) -> list[HeartbeatThread]:
        running = [worker for worker in self._workers.values() if worker.is_running]
        return [worker.machines.heartbeat_thread for worker in running]

    def _say_stopping(self) -> None:
        """Tell other workers, whatever the event loop is doing."""
        for heartbeat in self._heartbeats():
            heartbeat.mark_stopping()

    def _release_all(self, seconds: float) -> None:
        """Release all within so many seconds, without the loop, which is blocked."""
        until = time.monotonic() + seconds
        heartbeats = self._heartbeats()
        for heartbeat in heartbeats:
            heartbeat.give_up(0)  # all begin at once
        for heartbeat in heartbeats:
            heartbeat.give_up(max(0.0, until - time.monotonic()))
