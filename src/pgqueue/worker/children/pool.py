"""The child processes of a worker: started at first need, kept warm, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context

from pgqueue.db.waits import NotBegun
from pgqueue.executor import memory_text
from pgqueue.worker.children.child import Child
from pgqueue.worker.children.frames import Hello, Said
from pgqueue.worker.children.memory import CAN_MEASURE, used_by
from pgqueue.worker.seldom import Seldom

__all__ = ["Children"]

log = logging.getLogger("pgqueue.worker")

_LOOKS_EVERY = 0.1
_WAIT_SECONDS = 5.0
_IDLE_SECONDS = 60.0


class Children:
    """Runs jobs in up to ``size`` processes, one at a time in each; 0: as many as there are cores.

    A job that finds none free waits for some seconds, and is then for others to have.
    """

    def __init__(
        self,
        size: int,
        hello: Hello,
        loop: asyncio.AbstractEventLoop,
        *,
        idle_seconds: float = _IDLE_SECONDS,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._size = size or os.cpu_count() or 1
        self._hello = hello
        self._loop = loop
        self._idle_seconds = idle_seconds
        self._wait_seconds = wait_seconds
        self._all: set[Child] = set()
        self._idle: list[Child] = []
        self._waiters: deque[asyncio.Future[Child]] = deque()
        self._starts: set[asyncio.Task[None]] = set()
        self._look_timer: asyncio.TimerHandle | None = None
        self._failures = Seldom()
        self._closed = False
        self._context = copy_context()  # no job's
        self._none_left = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """The processes that live."""
        return [child.process.pid for child in self._all if child.process is not None]

    async def run(
        self,
        order: bytes,
        *,
        memory: int | None,
        fields: Mapping[str, object],
        begun: Callable[[], None],
    ) -> Said:
        """Run a job; ``begun`` is called once a child has it. A cancel kills the child.

        Raises ProcessDied and MemoryError, and NotBegun if none came free.
        """
        child = self._take() or await self._wait()
        answer = child.run(order, memory=memory, fields=fields)
        begun()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                return answer.result()
            child.kill()
            raise

    def _take(self) -> Child | None:
        """Take an idle child; not one that was killed, or hung up, while it had no job."""
        while self._idle:
            child = self._idle.pop()
            if child.hears:
                return child
        return None

    async def _wait(self) -> Child:
        waiter: asyncio.Future[Child] = self._loop.create_future()
        self._waiters.append(waiter)
        self._start_some()
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await waiter
        except TimeoutError:
            if waiter.done() and not waiter.cancelled():
                return waiter.result()  # it came free as the time was over
            raise NotBegun(f"no child process came free within {self._wait_seconds:g} s") from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.free(waiter.result())
            raise

    def _start_some(self) -> None:
        starting = sum(not child.is_ready for child in self._all)
        wanted = sum(not waiter.done() for waiter in self._waiters)
        while not self._closed and len(self._all) < self._size and starting < wanted:
            starting += 1
            child = Child(self._hello, self, self._loop)
            self._all.add(child)
            task = self._loop.create_task(
                self._start(child), name="pgqueue child starts", context=self._context
            )
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)
        if self._look_timer is None and self._all:
            self._look_later()

    async def _start(self, child: Child) -> None:
        try:
            await child.start()
        except OSError:
            return  # the pool was told why

    def free(self, child: Child) -> None:
        """A child is ready for the next job."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(child)
                return
        self._idle.append(child)

    def gone(self, child: Child) -> None:
        """A child has ended; one that could not start keeps jobs from waiting for it."""
        self._all.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        if not self._all:
            self._none_left.set()
        if child.is_ready or self._closed:
            self._start_some()
            return
        if count := self._failures.count():
            log.error(
                "a child process for jobs did not start (%d such since the last such line): %s",
                count, child.failure,
            )  # fmt: skip
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(NotBegun(f"no child process: {child.failure}"))

    # -- what it looks at now and then

    def _look_later(self) -> None:
        self._look_timer = self._loop.call_later(_LOOKS_EVERY, self._look, context=self._context)

    def _look(self) -> None:
        """Kill what uses too much memory; let go what was idle for long."""
        self._look_timer = None
        now = time.monotonic()
        for child in list(self._all):
            if child.is_busy:
                self._measure(child)
        for child in [c for c in self._idle if now - c.since > self._idle_seconds]:
            self._idle.remove(child)
            child.dismiss()
        if self._all and not self._closed:
            self._look_later()

    def _measure(self, child: Child) -> None:
        limit, process = child.memory, child.process
        if not child.is_alive or process is None:
            child.kill()  # what it started holds the connection open
        elif limit is not None and CAN_MEASURE and (used := used_by(process.pid, limit)) > limit:
            child.kill(
                MemoryError(
                    f"used more than {memory_text(limit)} of memory ({memory_text(used)}), "
                    "and its process was killed"
                )
            )

    async def close(self) -> None:
        """Kill those that run a job, let the others end, and wait for all."""
        self._closed = True
        if self._look_timer is not None:
            self._look_timer.cancel()
        if self._starts:
            await asyncio.wait(list(self._starts))
        for child in list(self._all):
            child.kill()
        if self._all:
            self._none_left.clear()
            await self._none_left.wait()
