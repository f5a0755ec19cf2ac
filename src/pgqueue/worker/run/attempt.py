"""One attempt: a claimed job, from the moment it has a place to its outcome.

Whoever cancels an attempt says why. The outcome follows from that, and from how the job ended: by
the table in ``worker/run/settle.py``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from pgqueue import failpoints
from pgqueue.completing import Completion
from pgqueue.db.waits import Waits
from pgqueue.errors import PayloadError
from pgqueue.outcome import DONE
from pgqueue.running import CURRENT, RunningJob, Transactions
from pgqueue.worker.forked import came_back
from pgqueue.worker.neighbours import Outcomes
from pgqueue.worker.receipt import entry_of
from pgqueue.worker.run.admission import Admission, Refused
from pgqueue.worker.run.callers import not_committed
from pgqueue.worker.run.eager import EAGER
from pgqueue.worker.run.in_child import InChildren
from pgqueue.worker.run.job_log import JobLog
from pgqueue.worker.run.settle import NOTHING, Ended, settle
from pgqueue.worker.run.slot import Counts, Owner, Slot
from pgqueue.worker.run.stubborn import Stubborn
from pgqueue.worker.run.threads import Threads, forget
from pgqueue.worker.run.verdict import Verdict, judge
from pgqueue.worker.running_jobs import RunningJobs

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["Attempts"]

_set_current = CURRENT.set


class Attempts:
    """Runs attempts. The last thing in each is that the owner gets its slot back."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        *,
        running_jobs: RunningJobs,
        completer: Outcomes,
        transactions: Transactions,
        admission: Admission,
        threads: int,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        cancel_seconds: float,
        children: InChildren | None = None,
    ) -> None:
        self._tasks = tasks
        self._begun_ids = running_jobs.ids
        self._begun_tokens = running_jobs.tokens
        self._completer = completer
        self._transactions = transactions
        self._admission = admission
        self._threads = Threads(threads, loop)
        self._children = children
        self._stubborn = Stubborn(loop, cancel_seconds)
        self._on_end = owner.left
        self._loop = loop
        self.closing = False
        self.counts = Counts()
        self._log = JobLog(self.counts)

    @property
    def stuck(self) -> int:
        """How many slots have a job that was told to end seconds ago and goes on."""
        return self._stubborn.count

    def claimed(self, token: int) -> None:
        """Note that a claim was answered just now."""
        self._admission.claimed(token)

    async def run(self, slot: Slot, record: Record) -> None:
        """Run one job to its outcome. Nothing that user code raises gets past here."""
        task = self._tasks[record["task"]]
        runs_in = task.runs_in
        try:
            body = record["args"]
            if (
                body is None
                or record["crash_count"]
                or record["refused"]
                or record["attempt"] > record["max_attempts"]
            ):
                slot.record = record = await self._admission.admit(record, slot.token)
                body = record["args"]
            try:
                args, kwargs = task.payload.decode(body)
            except PayloadError as error:
                raise await self._admission.misfit(record, error) from error
            slot.job = job = RunningJob(record, slot.token, self._transactions, runs_in != "thread")
            _set_current(job)
            if task.on_crash == "dead":
                await self._note_begin(slot, record)
            timeout = record["timeout_seconds"] or task.timeout
            if timeout is not None and runs_in != "process":
                slot.waits = Waits.of_this_context()
                slot.timer = self._loop.call_later(timeout, slot.time_out)
            self._begun_tokens[slot.place] = slot.token
            self._begun_ids[slot.place] = record["id"]
            if failpoints.armed is not None:
                failpoints.armed.reach("job.starting")
            await (
                task.call(*args, **kwargs)
                if runs_in == "loop"
                else self._apart(slot, record, task, partial(task.call, *args, **kwargs))
            )
            if failpoints.armed is not None:
                failpoints.armed.reach("job.ended")
            if slot.why is not None and settle(slot.why, Ended.RETURNED) is NOTHING:
                return
            if job.completion is None and record["flow"] is None:
                self._completer.done(record["id"], slot.token)
            else:
                await self._completed(slot, record, job)
            if slot.began >= self._log.silent_until[record["task"]]:
                self._log.succeeded(record, slot.began)
        except BaseException as error:
            await self._raised(slot, record, error)
        finally:
            self._on_end(slot, record)

    async def _note_begin(self, slot: Slot, record: Record) -> None:
        """Note that a job begins that may not run twice. Told to stop meanwhile, it has not run."""
        try:
            await self._admission.begin(record, slot.token)
        except asyncio.CancelledError:
            if slot.why != "stop":
                raise
            raise self._admission.not_begun() from None

    async def _raised(self, slot: Slot, record: Record, error: BaseException) -> None:
        """Say what a handler that raised comes to, which may have been in its own commit."""
        job, owned = slot.job, not self._threads.is_disowned
        if job is not None and job.completion is Completion.IN_DOUBT and owned:
            await self._transactions.callers.settle(job)
        self._failed(slot, record, error)

    async def _completed(self, slot: Slot, record: Record, job: RunningJob) -> None:
        """Hand on the success of a job of a flow.

        Count a job that its handler completed, or raise that it was not committed.
        """
        if job.completion is None:
            self._completer.add(entry_of(record, slot.token, DONE, job.used))
            return
        if job.completion is Completion.IN_DOUBT:
            await self._transactions.callers.settle(job)
        if not job.is_completed:
            raise not_committed(job)
        self._completer.done_by_handler(job.flow)

    def _apart(self, slot: Slot, record: Record, task: Task[..., Any], call: partial[Any]) -> Any:
        if self._children is not None and task.runs_in == "process":
            return self._children.run(slot, record, task)
        return self._in_thread(slot, record, call)

    async def _in_thread(self, slot: Slot, record: Record, call: Callable[[], Any]) -> None:
        """Wait for a thread. It cannot be cancelled: the place stays taken until it ends."""
        answer = self._threads.submit(call)
        try:
            result = await asyncio.shield(answer)
        except asyncio.CancelledError:
            if not answer.done():
                if slot.why is None:
                    raise
                await self._outlast(slot, record, answer)
            result = answer.result()  # it returned in spite of what it was told
        if _is_awaitable(result):
            if slot.why is not None and slot.task is not None:
                slot.task.cancel()  # its thread was told in vain: so it is told again
            await result

    async def _outlast(self, slot: Slot, record: Record, answer: asyncio.Future[Any]) -> None:
        """Wait for a thread whose job was told to end. Returns if its outcome still counts.

        At a stop it does, until the runner gives the job up.
        """
        self._log.thread_goes_on(record, slot.why)
        if slot.why != "stop":
            try:
                self._failed(slot, record, asyncio.CancelledError())
            finally:
                slot.give_up()
        while not answer.done():
            try:
                await asyncio.wait([answer])
            except asyncio.CancelledError:
                if self.closing:
                    answer.add_done_callback(forget)
                    raise
        if slot.why == "abandoned":
            late = answer.exception()
            if late is not None:
                self._log.ended_late(record, late)
            raise asyncio.CancelledError

    def look_after(self, begun: list[tuple[Slot, asyncio.Task[None]]]) -> None:
        """Once they have made their first step: name the tasks that wait, settle the others."""
        if EAGER:
            self._look_after(begun)
        else:
            self._loop.call_soon(self._look_after, begun)

    def _look_after(self, begun: list[tuple[Slot, asyncio.Task[None]]]) -> None:
        """Name the tasks that wait. Settle those that ended before they made their first step."""
        for slot, task in begun:
            record = slot.record
            if slot.task is task and record is not None:
                if task.done():
                    self.never_began(slot, record)
                else:
                    task.set_name(f"job {record['id']} {record['task']}")

    def never_began(self, slot: Slot, record: Record) -> None:
        """Settle an attempt whose task ended before its first step: cancelled, or for memory."""
        if slot.why is None:
            slot.why = "stop"  # by somebody else: nothing was run
        try:
            self._failed(slot, record, asyncio.CancelledError())
        finally:
            self._on_end(slot, record)

    def disown(self) -> None:
        """End this process, which was forked by a job, where an attempt ends in it."""
        self._on_end = _lost
        self._threads.disown()

    async def stop(self) -> None:
        """End the threads that have nothing to do, and the child processes."""
        self._threads.stop()
        if self._children:
            await self._children.close()

    def told(self, slot: Slot, task: asyncio.Task[None]) -> None:
        """Note that the job of a slot was told to end. A stop has a bound of its own."""
        record = slot.record
        if record is not None and slot.why is not None and slot.why != "stop":
            give_up = partial(self._give_up, slot, record)
            self._stubborn.told(task, record, slot.why, give_up)

    def _give_up(self, slot: Slot, record: Record) -> None:
        """Its job was told to end and goes on: write what the attempt comes to without it."""
        if slot.record is record and slot.told not in ("abandoned", "completed"):
            try:
                self._failed(slot, record, asyncio.CancelledError())
            finally:
                slot.give_up()

    def _failed(self, slot: Slot, record: Record, error: BaseException) -> None:
        """Say what an attempt that raised comes to."""
        if type(error) is Refused:
            if error.verdict is not None:
                self._end(slot, record, error.verdict, None)
            return
        if self._threads.is_disowned or self._loop.is_closed():
            return
        told = slot.told or ("stop" if self._completer.is_torn_down else None)
        if told == "completed":
            self._log.raised_after_completion(record, error)
        task = self._tasks[record["task"]]
        verdict = judge(told, error, record, task, self._admission.put_off)
        if verdict is not None:
            self._end(slot, record, verdict, error)

    def _end(
        self, slot: Slot, record: Record, verdict: Verdict, error: BaseException | None
    ) -> None:
        """Hand an outcome other than success on to be written."""
        self.counts.add(verdict.outcome)
        used = None if slot.job is None else slot.job.used
        self._completer.add(entry_of(record, slot.token, verdict.outcome, used))
        self._log.ended(record, slot.began, verdict)
        if self.counts.tell is not None:
            self.counts.tell(record, verdict, error)


def _lost(slot: Slot, record: Record) -> None:  # noqa: ARG001  (it stands for what is told of both)
    came_back()


def _is_awaitable(result: object) -> TypeGuard[Awaitable[object]]:
    try:
        return inspect.isawaitable(result)
    except BaseException:  # it looks at the class, which is the user's, and may raise anything
        return False
