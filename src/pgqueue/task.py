"""A task: a function with a stable name, called as before, enqueued as a job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypeVar

from pgqueue.around import is_async
from pgqueue.executor import Executor, RunsIn
from pgqueue.flow.key import key_of
from pgqueue.flow.value import Flow
from pgqueue.fullness import Wait, check_wait
from pgqueue.hints import hinting, no_attribute, no_call
from pgqueue.job import Enqueued, NewJob, new_job, with_options
from pgqueue.payload import Payload
from pgqueue.retry import RetryPolicy
from pgqueue.unique.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BoundTask", "Enqueuer", "OnCrash", "Task"]

P = ParamSpec("P")

OnCrash = Literal["retry", "dead"]
"""What follows if nobody knows how an attempt ended."""
R_co = TypeVar("R_co", covariant=True)


class Enqueuer(Protocol):
    """What a task needs of its app: a way into the database, and how large arguments may be."""

    @property
    def max_args_bytes(self) -> int: ...

    def enqueue_job(
        self, job: NewJob, connection: object | None, wait: Wait = None
    ) -> Enqueued: ...
    async def aenqueue_job(
        self, job: NewJob, connection: object | None, wait: Wait = None
    ) -> Enqueued: ...


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
        flow: Flow | None = None,
        memory: int | None = None,
        executor: Executor | None = None,
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
        self.memory = memory  # bytes that a process with a job of it may use
        self.runs_in: RunsIn = executor or ("loop" if self.is_async else "thread")
        self.flow = flow
        self._key_of = None if flow is None else key_of(flow, function, name)
        self._app = app
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
        return Payload(self.function, name=self.name, max_bytes=self._app.max_args_bytes)

    @property
    def queue(self) -> str:
        """The queue its jobs go to unless ``using(queue=...)`` says otherwise."""
        return self.options["queue"]

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job as a value, for ``app.enqueue_many``.

        Raises PayloadError if the arguments do not fit the signature or cannot be stored;
        ConfigError for a key of its flow that is none.
        """
        return self.job_with(self.options, args, kwargs)

    def job_with(
        self, options: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> NewJob:
        """Return the job of a call with these options, which are checked already."""
        job = new_job(self.name, self.payload.encode(args, kwargs), options)
        return job if self._key_of is None else self.keyed(job, args, kwargs)

    def keyed(self, job: NewJob, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
        """Return the job with the key that its arguments give it; its own key goes before."""
        options = job.options
        if self.flow is None or self._key_of is None or options.get("flow") != self.flow.name:
            return job
        if options.get("flow_key") is not None:
            return job
        return NewJob(job.task, job.args, {**options, "flow_key": self._key_of(args, kwargs)})

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
        wait: Wait = None,
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
        flow: str | None = None,
        flow_key: str | None = None,
        weight: int | None = None,
        unique: Mode | None = None,
    ) -> BoundTask[P]:
        """Return this task with options for the jobs it enqueues; None leaves one as it is.

        ``connection``: enqueue in the transaction of this connection, which stays the caller's.
        ``wait``: if the queue is full, for so many seconds until it has room; else QueueFull is
        raised at once, as in the caller's transaction. ``priority``: 0 (first) to 9. ``delay``:
        seconds or timedelta from now, by the database's clock. ``run_at``: an aware datetime.
        ``timeout``: seconds an attempt may take. ``unique_key``: while a job with it is alive,
        enqueue returns that one as a duplicate. ``expires``: seconds or timedelta from now, or an
        aware datetime; an attempt that would begin later does not, and the job is cancelled.
        ``flow``: the name of another flow. ``flow_key``: in place of the key that the arguments
        give. ``weight``: how many tokens of a rate the job takes. ``unique``: what counts as the
        same job, and what becomes of the second one: a Unique, Replace, Debounce or Throttle.
        """
        given: dict[str, Any] = {
            "queue": queue, "priority": priority, "delay": delay, "run_at": run_at,
            "max_attempts": max_attempts, "timeout": timeout, "unique_key": unique_key,
            "tags": tags, "metadata": metadata, "expires": expires, "flow": flow,
            "flow_key": flow_key, "weight": weight, "unique": unique,
        }  # fmt: skip
        chosen = {name: value for name, value in given.items() if value is not None}
        return BoundTask(self, with_options(self.options, chosen), connection, check_wait(wait))

    @property
    def enqueuer(self) -> Enqueuer:
        """The app that this task belongs to."""
        return self._app


class BoundTask(Generic[P]):
    """A task with options: what ``using`` returns."""

    __slots__ = ("_connection", "_options", "_task", "_wait")

    def __init__(
        self,
        task: Task[P, Any],
        options: Mapping[str, Any],
        connection: object | None,
        wait: float | None = None,
    ) -> None:
        self._task = task
        self._options = options
        self._connection = connection
        self._wait = wait

    if not TYPE_CHECKING:
        __getattr__ = no_attribute
        __call__ = no_call

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job as a value, for ``app.enqueue_many``."""
        return self._task.job_with(self._options, args, kwargs)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job; with ``connection``, in its transaction."""
        job = self.job(*args, **kwargs)
        return self._task.enqueuer.enqueue_job(job, self._connection, self._wait)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a job from async code; with ``connection``, in its transaction."""
        job = self.job(*args, **kwargs)
        return await self._task.enqueuer.aenqueue_job(job, self._connection, self._wait)
