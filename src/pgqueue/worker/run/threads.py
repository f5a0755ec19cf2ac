"""Daemon threads for synchronous tasks: one that never returns cannot keep the process alive."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pgqueue.db.waits import NotBegun
from pgqueue.worker.forked import came_back

__all__ = ["Threads", "forget"]


class _Answer(asyncio.Future[Any]):
    """What a thread returned; retrieved by the loop."""


_Call = tuple[Callable[[], Any], contextvars.Context, "_Answer"]


class Threads:
    """Runs calls in threads, at most ``size`` at a time, and hands the answers back in batches."""

    _numbers = itertools.count(1)

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size = size
        self._loop = loop
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._answers: deque[tuple[_Answer, Any, BaseException | None]] = deque()
        self._announced = False
        self._lock = threading.Lock()
        self._threads = 0
        self.is_disowned = False
        self._busy = 0

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run ``function`` in a thread, in a copy of the context. NotBegun: none is left."""
        answer = _Answer(loop=self._loop)
        if self._threads < min(self._size, self._busy + 1):
            try:
                threading.Thread(
                    target=self._work, name=f"pgqueue-task-{next(self._numbers)}", daemon=True
                ).start()
            except RuntimeError as exc:
                raise NotBegun(f"no thread could be had for a task without async: {exc}") from exc
            self._threads += 1
        self._busy += 1
        self._calls.put((function, contextvars.copy_context(), answer))
        return answer

    def stop(self) -> None:
        """Let every thread end after what it is doing now."""
        for _ in range(self._threads):
            self._calls.put(None)

    def disown(self) -> None:
        """Do nothing more in this process, which was forked by a job."""
        self.is_disowned = True

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, context, answer = call
            result: Any = None
            error: BaseException | None = None
            try:
                result = context.run(function)
            except BaseException as exc:
                error = exc
            if self.is_disowned:
                came_back()
            self._answers.append((answer, result, error))
            with self._lock:
                announce = not self._announced
                self._announced = True
            if announce:
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop is closed; nobody waits any more
            del call, function, context, answer, result, error

    def _deliver(self) -> None:
        with self._lock:
            self._announced = False
        while self._answers:
            answer, result, error = self._answers.popleft()
            self._busy -= 1
            if answer.done():
                continue
            if error is None:
                answer.set_result(result)
            elif issubclass(type(error), StopIteration):
                wrapped = RuntimeError("the task raised StopIteration")
                wrapped.__cause__ = error
                answer.set_exception(wrapped)
            else:
                answer.set_exception(error)


def forget(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer any more: asyncio is not to say so."""
    if not answer.cancelled():
        answer.exception()
