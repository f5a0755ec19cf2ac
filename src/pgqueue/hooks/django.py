"""Django: connections are closed around each job when they are due; async ORM jobs have threads.

app = pgqueue.App(around=hooks.django.around())
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper

from pgqueue.config import check_int
from pgqueue.hooks.orm_threads import OrmThreads, OrmUser
from pgqueue.running import RunningJob

__all__ = ["AsyncConnections", "SyncConnections", "around"]

_KEPT_SECONDS = 60


class _Open:
    """Connections that may be open in threads, to be closed when the worker has stopped."""

    def __init__(self) -> None:
        self._wrappers: WeakSet[BaseDatabaseWrapper] = WeakSet()

    def note(self) -> None:
        """Note those of this thread."""
        for wrapper in connections.all(initialized_only=True):
            if wrapper.connection is not None:
                self._wrappers.add(wrapper)

    def close(self) -> None:
        """Close all, from another thread: theirs has ended, or runs no job."""
        for wrapper in list(self._wrappers):
            if wrapper.connection is not None and not wrapper.in_atomic_block:
                wrapper.inc_thread_sharing()
                try:
                    wrapper.close()
                finally:
                    wrapper.dec_thread_sharing()
        self._wrappers.clear()


def _before_job() -> None:
    for alias in connections:
        _keep(connections[alias])
    reset_queries()
    close_old_connections()


def _keep(wrapper: BaseDatabaseWrapper) -> None:
    """Keep this thread's connection for a minute where the project closes one after each request.

    A job would connect anew each time, and sessions of the server end later than they are closed.
    """
    settings: dict[str, Any] = wrapper.settings_dict
    options: dict[str, Any] = settings.get("OPTIONS") or {}
    pooled = options.get("pool")  # Django refuses to keep those
    if settings.get("CONN_MAX_AGE") == 0 and not pooled:
        kept = {"CONN_MAX_AGE": _KEPT_SECONDS, "CONN_HEALTH_CHECKS": True}
        wrapper.settings_dict = {**settings, **kept}


def _after_job() -> None:
    """Close what is due, and what the job left in the middle of a transaction."""
    for wrapper in connections.all(initialized_only=True):
        if wrapper.in_atomic_block:
            wrapper.in_atomic_block = False  # else close() would wait for the end of the block
            wrapper.close()
    close_old_connections()
    reset_queries()


def _in_a_transaction() -> bool:
    """True where the caller has one: a test that runs jobs inside its own."""
    return any(wrapper.in_atomic_block for wrapper in connections.all(initialized_only=True))


class SyncConnections:
    """The hook of tasks without async, in the job's thread."""

    def __init__(self) -> None:
        self._open = _Open()

    def __call__(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        """Run the job between two looks at the thread's connections, as a request runs."""
        if _in_a_transaction():
            return call_next()
        _before_job()
        try:
            return call_next()
        finally:
            _after_job()
            self._open.note()

    def close(self) -> None:
        """Close the connections that the threads of a stopped worker have kept."""
        self._open.close()


class AsyncConnections:
    """The hook of async tasks: their ORM calls run in ``threads`` threads that are kept.

    Django runs the ORM calls of all async code in one thread, where they wait for each other. Here
    a job gets a thread of its own with its first call; where all are in use it shares one.
    """

    def __init__(self, threads: int) -> None:
        self._threads = OrmThreads(check_int(threads, "threads", 1, 1000))

    async def __call__(self, job: RunningJob, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """Run the job with a thread for its ORM calls, once it makes one."""
        context, user = ThreadSensitiveContext(), OrmUser(self._threads, begin=_before_job)
        SyncToAsync.context_to_thread_executor[context] = user  # type: ignore[assignment]  # pyright: ignore
        before = SyncToAsync.thread_sensitive_context.set(context)
        try:
            return await call_next()
        finally:
            SyncToAsync.thread_sensitive_context.reset(before)
            SyncToAsync.context_to_thread_executor.pop(context, None)
            user.leave(_after_job)

    def close(self) -> None:
        """End the threads of a stopped worker; each closes its connections before."""
        self._threads.close(connections.close_all)


def around(*, threads: int = 16) -> list[SyncConnections | AsyncConnections]:
    """Return the hooks of Django, for tasks of both kinds.

    Around each job, connections that are too old or broken are closed (as around a request), and
    the log of queries is emptied. Where ``CONN_MAX_AGE`` is 0, jobs keep connections for a minute,
    with health checks; all are closed when the worker stops. Inside a transaction of the caller,
    as in a TestCase, nothing is closed.

    ``threads``: how many threads, and so sessions of each database, the ORM calls of async jobs
    share; sync jobs have those of the worker's ``threads``.
    """
    return [SyncConnections(), AsyncConnections(threads)]
