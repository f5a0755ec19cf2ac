"""Threads for the calls that async jobs make into code without async: bounded, and kept.

A job that makes such a call takes the thread that the fewest jobs have, and keeps it to its end: so
all its calls see the same connection. A job that makes none takes none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["OrmThreads", "OrmUser"]

P = ParamSpec("P")
T = TypeVar("T")


class OrmThreads:
    """At most ``size`` threads, made when they are needed."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._jobs: dict[ThreadPoolExecutor, int] = {}  # how many have each thread

    def take(self) -> ThreadPoolExecutor:
        """Return the thread that the fewest jobs have; a new one while all have some."""
        with self._lock:
            least = min(self._jobs, key=self._jobs.__getitem__, default=None)
            if least is None or (self._jobs[least] and len(self._jobs) < self._size):
                least = ThreadPoolExecutor(1, thread_name_prefix="pgqueue-orm")
                self._jobs[least] = 0
            self._jobs[least] += 1
            return least

    def give_back(self, thread: ThreadPoolExecutor) -> None:
        """Note that a job has left its thread."""
        with self._lock:
            if thread in self._jobs:
                self._jobs[thread] -= 1

    def close(self, last: Callable[[], Any]) -> None:
        """End the threads after what they are doing, and ``last``; the next job makes new ones."""
        with self._lock:
            threads, self._jobs = list(self._jobs), {}
        for thread in threads:
            thread.submit(last)
            thread.shutdown(wait=False)


class OrmUser(Executor):
    """One job. ``begin`` is called in its thread before its first call."""

    def __init__(self, threads: OrmThreads, begin: Callable[[], None]) -> None:
        self._threads = threads
        self._begin = begin
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call of the job in its thread."""
        if self._thread is None:
            self._thread = self._threads.take()
            self._thread.submit(self._begin)
        return self._thread.submit(fn, *args, **kwargs)

    def leave(self, end: Callable[[], Any]) -> None:
        """Call ``end`` in the job's thread, if it has one, and let others have that."""
        thread = self._thread
        if thread is not None:
            thread.submit(end).add_done_callback(lambda _: self._threads.give_back(thread))
