"""Gathers jobs of one task on one event loop, and calls the handler for many of them.

Each job has a slot and an attempt of its own: what this hands back is what the attempt of that job
returned or raised. So retries, misfits, expiry, cancel requests and blame are those of any job.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from pgqueue.batch.batch import CURRENT_BATCH, Batch
from pgqueue.errors import LeaseLost, Snooze
from pgqueue.running import CURRENT, RunningJob

__all__ = ["Gatherer", "Member", "goes_alone", "outcomes"]

_NO_THREAD_SECONDS = 1.0


class Member:
    """A job that waits for its batch, and its item."""

    __slots__ = ("answer", "item", "job", "run")

    def __init__(self, job: RunningJob, item: Any, answer: asyncio.Future[None]) -> None:
        self.job = job
        self.item = item
        self.answer = answer
        self.run: Run | None = None


def goes_alone(job: RunningJob) -> bool:
    """True for a job whose worker died while it ran, and in a drain: its batch is it alone."""
    return job.crash_count > 0 or job.is_drained


def outcomes(batch: Batch, error: BaseException | None) -> list[BaseException | None]:
    """Return what each job's attempt raises; None: it returned.

    A transaction that was rolled back since one receipt was lost costs the other jobs no attempt.
    """
    if error is not None and issubclass(type(error), StopIteration):
        error = RuntimeError("the task raised StopIteration")
    if type(error) is LeaseLost:
        error = Snooze(0)
    return [
        batch.failed.get(index, None if job.is_completed else error)
        for index, job in enumerate(batch.jobs)
    ]


class Run:
    """One call of the handler. It is told to end once none of its jobs wants it any more."""

    def __init__(
        self, function: Callable[..., Any], members: list[Member], *, is_async: bool
    ) -> None:
        self._members = members
        self._is_async = is_async
        jobs = [member.job for member in members]
        self._batch = Batch(jobs, jobs[0].transactions, is_async=is_async)
        context = _without_job()
        context.run(CURRENT_BATCH.set, self._batch)
        items = [member.item for member in members]
        self._call = lambda: function(items)
        loop = asyncio.get_running_loop()
        # In a drain the whole runs in the test's own thread.
        in_place = is_async or jobs[0].is_drained
        work = self._await() if in_place else self._in_thread(context, loop)
        self.task = loop.create_task(work, context=context, name=f"batch {jobs[0].task}")
        for member in members:
            member.run = self

    async def _await(self) -> None:
        error: BaseException | None = None
        try:
            called = self._call()
            if self._is_async:
                await called
        except BaseException as exc:
            error = exc
        self._answer(error)

    async def _in_thread(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        own = context.copy()

        def work() -> None:
            error: BaseException | None = None
            try:
                own.run(self._call)
            except BaseException as exc:
                error = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(error))

        try:
            threading.Thread(target=work, name="pgqueue-batch", daemon=True).start()
        except RuntimeError:  # no thread can be had now
            ended.set_result(Snooze(_NO_THREAD_SECONDS))
        self._answer(await ended)

    def _answer(self, error: BaseException | None) -> None:
        for member, raised in zip(self._members, outcomes(self._batch, error), strict=True):
            if member.answer.done():
                continue
            if raised is None:
                member.answer.set_result(None)
            else:
                member.answer.set_exception(raised)

    async def leave(self) -> None:
        """One of its jobs should end. The last one ends the call, and waits for that."""
        if all(member.answer.done() for member in self._members) and not self.task.done():
            if self._is_async:
                self.task.cancel()
            await asyncio.wait([self.task])


def _without_job() -> Context:
    """Return a copy of this context in which no job is the current one."""
    context = Context()
    for variable, value in copy_context().items():
        if variable is not CURRENT:
            context.run(variable.set, value)
    return context


class Gatherer:
    """The jobs of one task that wait for more, on one loop. ``wait``: seconds."""

    def __init__(
        self, function: Callable[..., Any], *, size: int, wait: float, is_async: bool
    ) -> None:
        self._function = function
        self._size = size
        self._wait = wait
        self._is_async = is_async
        self._members: dict[int, Member] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def join(self, job: RunningJob, item: Any) -> None:
        """Wait for the batch with this job, and return or raise what the job came to."""
        loop = asyncio.get_running_loop()
        member = Member(job, item, loop.create_future())
        if goes_alone(job):
            self._start([member])
        else:
            self._members[id(member)] = member
            if len(self._members) >= self._size:
                self._start_all()
            elif self._timer is None:
                self._timer = loop.call_later(self._wait, self._start_all)
        try:
            await member.answer
        except asyncio.CancelledError:
            if member.answer.done() and not member.answer.cancelled():
                return member.answer.result()  # the batch had ended when this was told to
            member.answer.cancel()
            if member.run is None:
                self._members.pop(id(member), None)
            else:
                await member.run.leave()
            raise

    def _start_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        members = list(self._members.values())
        self._members.clear()
        if members:
            self._start(members)

    def _start(self, members: list[Member]) -> None:
        try:
            Run(self._function, members, is_async=self._is_async)
        except BaseException as exc:
            for member in members:
                member.answer.set_exception(exc)
