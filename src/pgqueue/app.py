"""An app: tasks by name, and a way into the database. What a program makes one of."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, Unpack, overload

from pgqueue.around import Around, Hook
from pgqueue.batch import BatchTask
from pgqueue.client import Client
from pgqueue.config import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    check_int,
    check_seconds,
)
from pgqueue.db.blocking import no_loop
from pgqueue.db.source import GivenDsn
from pgqueue.drained import Drained
from pgqueue.errors import ConfigError, shown
from pgqueue.executor import Executor
from pgqueue.flow.queue_limits import DeclaredQueues, QueueLimitOptions
from pgqueue.flow.value import Flow
from pgqueue.hints import hinting, no_app_attribute
from pgqueue.job import NewJob, Options, check_options
from pgqueue.registry import Registry, make_task
from pgqueue.retry import RetryPolicy
from pgqueue.schedule.code import Declarations, SlotArgs
from pgqueue.schedule.settings import ScheduleOptions, Spec
from pgqueue.task import OnCrash, Task
from pgqueue.unique.modes import Mode
from pgqueue.within import Provider

__all__ = ["App"]

P = ParamSpec("P")
R = TypeVar("R")
I = TypeVar("I")  # noqa: E741


class TaskDecorator(Protocol):
    """What ``app.task(...)`` returns: makes a task of a function."""

    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BatchDecorator(Protocol):
    """What ``app.task(batch=...)`` returns: makes a task of a function that takes a list."""

    def __call__(self, function: Callable[[list[I]], R], /) -> BatchTask[I, R]: ...


class App(Client):
    """Tasks by name, and a way into the database.

    Takes the arguments of Client. Making one connects to nothing; the first call that needs the
    database does. ``max_transactions``: how many ``job.transaction()`` a worker has open at once in
    async tasks, and as many in threads, each on a connection that is opened when a job finds none
    idle. ``around``: hooks that run around each job, outermost first; ``hook(job, call_next)``
    without async for tasks without async, in the job's thread; async for async tasks.
    """

    @hinting("App()")
    def __init__(
        self,
        dsn: GivenDsn = None,
        *,
        schema: str | None = None,
        pool_size: int = 5,
        max_transactions: int = 10,
        max_args_bytes: int = 1_048_576,
        pgbouncer: bool | Literal["session"] = False,
        connection: Provider | None = None,
        around: Iterable[Hook] = (),
    ) -> None:
        super().__init__(
            dsn,
            schema=schema,
            pool_size=pool_size,
            max_args_bytes=max_args_bytes,
            pgbouncer=pgbouncer,
            connection=connection,
        )
        self.max_transactions = check_int(max_transactions, "max_transactions", 1, 1000)
        self.tasks = Registry()
        self.around = Around(around)
        self.declared = Declarations()
        self.declared_queues = DeclaredQueues()
        self.target: str | None = None  # as a program was told where it is: "shop.jobs:app"

    if not TYPE_CHECKING:
        __getattr__ = no_app_attribute

    def job(
        self, task: str, args: Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> NewJob:
        """Return a job as a value, for ``enqueue_many``; arguments by parameter name, as JSON.

        A task of this app gives its own options where none are given, and its signature has to
        take the arguments. Raises ConfigError for a wrong option, PayloadError for the arguments.
        """
        if task not in self.tasks:
            return super().job(task, args, **options)
        known = self.tasks.get(task)
        job = self._job(task, args, known.options, options)
        given, by_name = known.payload.decode(job.args, "does not fit")
        return job if known.flow is None else known.keyed(job, given, by_name)

    def schedule(
        self,
        name: str,
        task: Task[..., Any] | str,
        *,
        args: SlotArgs | None = None,
        **settings: Unpack[ScheduleOptions],
    ) -> None:
        """Have a job made again and again: ``app.schedule("nightly", report, cron="30 2 * * *")``.

        ``args``: by parameter name; or a function of the slot, an aware datetime on the clock of
        ``zone``, which returns them, or None for no job. Options of the job stand beside the times:
        see ``ScheduleOptions``. The workers of this app write the
        schedule into the database when they start, and fire it. Raises ConfigError for what makes
        no schedule, PayloadError for arguments that do not fit the task.
        """
        if not isinstance(task, (str, Task)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f'schedule "{name}": give a task of this app, or its name, got {shown(task)}'
            )
        known = self.tasks.get(task if isinstance(task, str) else task.name)
        if not isinstance(task, str) and known is not task:
            raise ConfigError(f'schedule "{name}": {task!r} is no task of this app')
        self.declared.add(name, known, {} if args is None else args, settings)

    def queue(self, name: str, **limits: Unpack[QueueLimitOptions]) -> None:
        """Limit a queue for the whole fleet: ``app.queue("mail", concurrency=50, rate="100/s")``.

        See ``QueueLimitOptions``. The workers of this app write it into the database when they
        start. What an operator says goes before it: see ``queue_limits``. Without limits it lifts
        those that code declared before. Raises ConfigError for a value that cannot be.
        """
        self.declared_queues.add(name, limits)

    def check_args(self, task: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the arguments of a schedule as they are stored; a task of this app checks them."""
        if task not in self.tasks:
            return super().check_args(task, args)
        stored: Mapping[str, Any] = json.loads(self.tasks.get(task).payload.encode((), args))
        return stored

    def slot_job(self, spec: Spec, slot: datetime | None) -> NewJob | None:
        """Return the job of a slot of a schedule; None if its function wants no job."""
        declared = self.declared.get(spec.name)
        if spec.args is None and declared is not None and declared.compute is not None:
            return declared.job(spec, slot)
        return super().slot_job(spec, slot)

    async def run_until_idle(self, **settings: Any) -> Drained:
        """Run what is due with a worker of its own, until nothing is: for tests and scripts.

        Returns how many attempts ended how, and the failures with their errors; nothing that a task
        raises is raised here. Jobs that are due later stay, also those that wait for a retry.
        ``settings``: those of Worker. It waits for jobs that other workers run in these queues.
        """
        # A layer above: it is loaded when somebody asks for it.
        work_off: Any = importlib.import_module("pgqueue.worker.work_off")
        done: Drained = await work_off.work_off(self, **settings)
        return done

    def run_until_idle_sync(self, **settings: Any) -> Drained:
        """Do what ``run_until_idle`` does, for code that does not run in an event loop."""
        no_loop("run_until_idle_sync", "run_until_idle")
        return asyncio.run(self.run_until_idle(**settings))

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        timeout: float | timedelta | None = None,
        expires: float | timedelta | None = None,
        retry: RetryPolicy | None = None,
        on_crash: OnCrash = "retry",
        flow: Flow | None = None,
        unique: Mode | None = None,
        executor: Executor | None = None,
        memory: int | str | None = None,
    ) -> TaskDecorator: ...
    @overload
    def task(
        self,
        /,
        *,
        batch: int,
        batch_wait: float | timedelta = 0.05,
        name: str | None = None,
        aliases: Iterable[str] = (),
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        timeout: float | timedelta | None = None,
        expires: float | timedelta | None = None,
        retry: RetryPolicy | None = None,
        on_crash: OnCrash = "retry",
        unique: Mode | None = None,
    ) -> BatchDecorator: ...
    @hinting("@app.task()")
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        timeout: float | timedelta | None = None,
        expires: float | timedelta | None = None,
        retry: RetryPolicy | None = None,
        on_crash: OnCrash = "retry",
        flow: Flow | None = None,
        unique: Mode | None = None,
        executor: Executor | None = None,
        memory: int | str | None = None,
        batch: int | None = None,
        batch_wait: float | timedelta | None = None,
    ) -> Any:
        """Make a task of a function: ``@app.task`` or ``@app.task(queue="mail", ...)``.

        ``name``: by default the function's own; rows carry it, so keep it when it moves.
        ``aliases``: former names, whose jobs it runs as well. ``queue``, ``priority``,
        ``max_attempts``: defaults for its jobs. ``timeout``: seconds an attempt may take.
        ``expires``: seconds after its enqueue until which an attempt may begin.
        ``retry``: a Backoff, or a function of attempt and error that returns the seconds to wait,
        or None to give up. ``on_crash``: what follows if nobody knows how an attempt ended, since
        its worker died, stopped or lost it while it ran. "retry": it runs again. "dead": it does
        not, and becomes a dead letter; each attempt costs one statement more. ``flow``: limits
        that its jobs share, and turns between its tenants. ``unique``: which of its jobs are the
        same one, and what becomes of the second: Unique, Replace, Debounce or Throttle.
        ``executor``: "process": its jobs run in child processes, killed at the timeout, at a cancel
        or beyond ``memory``: bytes, or "1GB". ``batch``: the function takes a list, with the items
        of so many jobs at most. ``batch_wait``: seconds that the first waits for more (0.05).
        """
        options = _defaults(queue, priority, max_attempts, expires, unique)

        def decorate(target: Callable[..., Any], /) -> Task[..., Any]:
            task = make_task(
                target, app=self, name=name, aliases=aliases, timeout=timeout, retry=retry,
                on_crash=on_crash, options=options, flow=flow, executor=executor, memory=memory,
                batch=batch, batch_wait=batch_wait,
            )  # fmt: skip
            task.call = self.around.put(task.call, asynchronous=task.is_async)
            self.tasks.add(task)
            return task

        return decorate if function is None else decorate(function)


def _defaults(
    queue: str,
    priority: int,
    max_attempts: int,
    expires: float | timedelta | None,
    unique: Mode | None,
) -> dict[str, Any]:
    """Return the options of a task's jobs, as they stand in the document of each."""
    given: dict[str, object] = {
        "queue": queue, "priority": priority, "max_attempts": max_attempts,
    }  # fmt: skip
    if expires is not None:
        given["expires"] = check_seconds(expires, "expires", least=0.001)
    if unique is not None:
        given["unique"] = unique
    return check_options(given)
