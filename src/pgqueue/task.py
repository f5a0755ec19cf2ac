"""A task: a function with a stable name, called as before, enqueued as a job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypeVar

from pgqueue.around import is_async
from pgqueue.config import check_seconds, check_task_name
from pgqueue.errors import ConfigError, UnknownTask, nearest
from pgqueue.hints import hinting, no_attribute, no_call
from pgqueue.job import Enqueued, NewJob, with_options
from pgqueue.payload import Payload, annotated_with
from pgqueue.retry import Backoff, RetryPolicy, check_policy
from pgqueue.running import RunningJob
from pgqueue.shape import fault_of, where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BoundTask", "Enqueuer", "OnCrash", "Registry", "Task"]

P = ParamSpec("P")

OnCrash = Literal["retry", "dead"]
"""What follows if nobody knows how an attempt ended."""
R_co = TypeVar("R_co", covariant=True)


class Enqueuer(Protocol):
    """What a task needs of its app: a way into the database."""

    def enqueue_job(self, job: NewJob, connection: object | None) -> Enqueued: ...
    async def aenqueue_job(self, job: NewJob, connection: object | None) -> Enqueued: ...


class Task(Generic[P, R_co]):
    """A function that jobs call.

    Calling the task calls the function, as in a plain unit test. ``enqueue`` and ``aenqueue`` take
    the same arguments, check them against the signature, and make a job of them.
    """

    def __init__(
        self,
        function: Callable[..., R_co],
        *,
        app: Enqueuer,
        name: str,
        aliases: tuple[str, ...],
        options: Mapping[str, Any],
        timeout: float | None,
        retry: RetryPolicy,
        on_crash: OnCrash,
        max_args_bytes: int,
    ) -> None:
        self.function = function
        self.call: Callable[..., Any] = function  # by a worker: with the app's hooks around it
        self.name = name
        self.aliases = aliases
        self.options = dict(options)
        self.timeout = timeout
        self.retry = retry
        self.on_crash = on_crash
        self.is_async = is_async(function)
        self._app = app
        self._max_args_bytes = max_args_bytes
        functools.update_wrapper(self, function)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    if not TYPE_CHECKING:
        __getattr__ = no_attribute

    @functools.cached_property
    def payload(self) -> Payload:
        """How the arguments become JSON and come back."""
        return Payload(self.function, name=self.name, max_bytes=self._max_args_bytes)

    @property
    def queue(self) -> str:
        """The queue its jobs go to unless ``using(queue=...)`` says otherwise."""
        return self.options["queue"]

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job as a value, for ``app.enqueue_many``.

        Raises PayloadError if the arguments do not fit the signature or cannot be stored.
        """
        return NewJob(self.name, self.payload.encode(args, kwargs), self.options)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job, and return its id, once it is committed.

        For code that does not run in an event loop; there, it raises SyncInAsync: use ``aenqueue``.
        Raises PayloadError for arguments that do not fit, and what calls of Client raise.
        """
        return self._app.enqueue_job(self.job(*args, **kwargs), None)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job from async code, and return its id, once it is committed.

        Raises PayloadError for arguments that do not fit, and what calls of Client raise.
        """
        return await self._app.aenqueue_job(self.job(*args, **kwargs), None)

    @hinting("using()")
    def using(
        self,
        *,
        connection: object | None = None,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: float | timedelta | None = None,
        unique_key: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires: float | timedelta | datetime | None = None,
    ) -> BoundTask[P]:
        """Return this task with options for the jobs it enqueues; None leaves one as it is.

        ``connection``: enqueue in the transaction of this connection, which stays the caller's.
        ``priority``: 0 (first) to 9. ``delay``: seconds or timedelta from now, by the database's
        clock. ``run_at``: an aware datetime. ``timeout``: seconds an attempt may take.
        ``unique_key``: while a job with it is alive, enqueue returns that one as a duplicate.
        ``expires``: seconds or timedelta from now, or an aware datetime; an attempt that would
        begin later does not, and the job is cancelled.
        """
        given: dict[str, Any] = {
            "queue": queue,
            "priority": priority,
            "delay": delay,
            "run_at": run_at,
            "max_attempts": max_attempts,
            "timeout": timeout,
            "unique_key": unique_key,
            "tags": tags,
            "metadata": metadata,
            "expires": expires,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return BoundTask(self, with_options(self.options, chosen), connection)

    @property
    def enqueuer(self) -> Enqueuer:
        """The app that this task belongs to."""
        return self._app


class BoundTask(Generic[P]):
    """A task with options: what ``using`` returns."""

    __slots__ = ("_connection", "_options", "_task")

    def __init__(
        self, task: Task[P, Any], options: Mapping[str, Any], connection: object | None
    ) -> None:
        self._task = task
        self._options = options
        self._connection = connection

    if not TYPE_CHECKING:
        __getattr__ = no_attribute
        __call__ = no_call

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job as a value, for ``app.enqueue_many``."""
        return NewJob(self._task.name, self._task.payload.encode(args, kwargs), self._options)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job; with ``connection``, in its transaction."""
        job = self.job(*args, **kwargs)
        return self._task.enqueuer.enqueue_job(job, self._connection)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job from async code; with ``connection``, in its transaction."""
        job = self.job(*args, **kwargs)
        return await self._task.enqueuer.aenqueue_job(job, self._connection)


class Registry:
    """The tasks of an app, by name: the only names that a row can call."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, task: Task[..., Any]) -> None:
        """Enter a task; two of one name are refused, the same function again is not."""
        names = (task.name, *task.aliases)
        for name in names:
            other = self._tasks.get(name)
            if other is not None and where(other.function) != where(task.function):
                raise ConfigError(
                    f'two tasks are named "{name}": {where(other.function)} and '
                    f"{where(task.function)}; give one @app.task(name=...)"
                )
        for name in names:
            self._tasks[name] = task

    def get(self, name: str) -> Task[..., Any]:
        """Return the task of that name, or raise UnknownTask with the nearest one."""
        task = self._tasks.get(name)
        if task is None:
            raise UnknownTask(f'no task is named "{name}"{nearest(name, self._tasks)}')
        return task

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._tasks

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return (task for name, task in self._tasks.items() if name == task.name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def by_name(self) -> Mapping[str, Task[..., Any]]:
        """Return all names that a row may have, aliases too, with their tasks."""
        return self._tasks


def _checked_aliases(name: str, aliases: Iterable[str]) -> tuple[str, ...]:
    if isinstance(aliases, str):
        raise ConfigError(f'aliases must be a list of names, got "{aliases}"')
    checked = tuple(dict.fromkeys(check_task_name(alias) for alias in aliases))
    if name in checked:
        raise ConfigError(f'"{name}" is the name of the task; its aliases must be other names')
    return checked


def make_task(
    function: Callable[..., Any],
    *,
    app: Enqueuer,
    max_args_bytes: int,
    name: str | None,
    aliases: Iterable[str],
    timeout: float | timedelta | None,
    retry: RetryPolicy | None,
    on_crash: OnCrash,
    options: Mapping[str, Any],
) -> Task[..., Any]:
    """Check what the decorator was given, and make the task."""
    given: object = function
    if isinstance(given, Task):
        raise ConfigError(f"{where(function)} is a task already")
    if fault := fault_of(function):
        raise ConfigError(fault)
    for parameter in annotated_with(function, RunningJob):
        raise ConfigError(
            f"{where(function)} has a parameter {parameter!r} for its job; a task asks for it: "
            f"remove the parameter, and begin the function with\n"
            f"    {parameter} = pgqueue.current_job()"
        )
    if name is None:
        name = getattr(function, "__name__", None)
        if name is None or name == "<lambda>":
            raise ConfigError(f"{function!r} has no name of its own; give @app.task(name=...)")
    if on_crash not in ("retry", "dead"):
        raise ConfigError(f'on_crash must be "retry" or "dead", got {on_crash!r}')
    return Task(
        function,
        app=app,
        name=check_task_name(name),
        aliases=_checked_aliases(name, aliases),
        options=options,
        timeout=None if timeout is None else check_seconds(timeout, "timeout", least=0.001),
        retry=Backoff() if retry is None else check_policy(retry),
        on_crash=on_crash,
        max_args_bytes=max_args_bytes,
    )
