"""Hooks: functions of the user that run around each job, in its thread or in its context.

``hook(job, call_next)`` calls ``call_next()`` once and returns what that returned; an async hook
awaits it. What a hook raises is what the attempt raises. A hook without async is for jobs of tasks
without async, and runs in the job's thread; an async hook is for those of async tasks.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pgqueue.errors import ConfigError
from pgqueue.running import CURRENT, RunningJob

__all__ = ["Around", "AsyncHook", "Hook", "SyncHook", "is_async"]

log = logging.getLogger("pgqueue.worker")

SyncHook = Callable[[RunningJob, Callable[[], Any]], Any]
AsyncHook = Callable[[RunningJob, Callable[[], Awaitable[Any]]], Awaitable[Any]]
Hook = SyncHook | AsyncHook

_EXAMPLE = "def hook(job, call_next): return call_next()"


class Around:
    """The hooks of an app, outermost first. Raises ConfigError for what is no hook."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self.hooks = _listed(hooks)
        for hook in self.hooks:
            _check(hook)
        self._sync = [hook for hook in self.hooks if not is_async(hook)]
        self._async = [hook for hook in self.hooks if is_async(hook)]
        self._lock = threading.Lock()
        self._workers = 0  # of this app, in any thread, that run its jobs

    def put(self, function: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        """Return the function with the hooks around it; as it is where none is for its kind."""
        if asynchronous:
            return _around_async(function, self._async) if self._async else function
        return _around_sync(function, self._sync) if self._sync else function

    def enter(self) -> None:
        """Note that a worker of the app begins to run jobs."""
        with self._lock:
            self._workers += 1

    async def leave(self) -> None:
        """Note that a worker has stopped; after the last, call ``close()`` of hooks that have it.

        Each is called in a thread.
        """
        with self._lock:
            self._workers -= 1
            if self._workers:
                return  # the jobs of another one use what would be closed
        for hook in self.hooks:
            close = getattr(hook, "close", None)
            if callable(close):
                try:
                    await asyncio.to_thread(close)
                except Exception:
                    log.exception("close() of the hook %r failed", hook)


def is_async(function: object) -> bool:
    """True if a call of this function, or object, has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  (the method, not whether it is there)
    )


def _around_sync(function: Callable[..., Any], hooks: list[Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        job = CURRENT.get()
        inner: Callable[[], Any] = functools.partial(function, *args, **kwargs)
        for hook in reversed(hooks):
            inner = functools.partial(hook, job, inner)
        return inner()

    return call


def _around_async(function: Callable[..., Any], hooks: list[Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        job = CURRENT.get()
        inner: Callable[[], Awaitable[Any]] = functools.partial(function, *args, **kwargs)
        for hook in reversed(hooks):
            inner = functools.partial(hook, job, inner)
        return await inner()

    return call


def _listed(hooks: object) -> tuple[Any, ...]:
    if callable(hooks) or not isinstance(hooks, Iterable) or isinstance(hooks, str):
        raise ConfigError(f"around must be a list of hooks, got {hooks!r}; write around=[...]")
    given: Iterable[Any] = hooks  # pyright: ignore[reportUnknownVariableType]
    return tuple(given)


def _check(hook: object) -> None:
    if isinstance(hook, (list, tuple)):
        raise ConfigError(f"around holds a list, {hook!r}; write around=[*hooks, ...]")
    if not callable(hook):
        raise ConfigError(f"a hook must be a function, got {hook!r}; write {_EXAMPLE}")
    if inspect.isclass(hook):
        raise ConfigError(f"{hook!r} is a class; a hook is an object of it, or a function")
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise ConfigError(f"the hook {hook!r} is a generator; it calls the job itself: {_EXAMPLE}")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        return  # a callable of C that says nothing of itself
    try:
        signature.bind(None, None)
    except TypeError as exc:
        raise ConfigError(
            f"the hook {hook!r} does not take (job, call_next): {exc}; write {_EXAMPLE}"
        ) from None
