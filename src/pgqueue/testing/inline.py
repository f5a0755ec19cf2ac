"""Runs due jobs one by one on a connection that a test lends, in the test's transaction.

Claim and completion are a worker's own statements, arguments are read by its payload code, and what
an attempt comes to is decided by its table. What is missing is what a test has no use for: leases,
heartbeats, notifications, several slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pgqueue.completing import Completion
from pgqueue.drained import Drained, how_it_ended
from pgqueue.errors import ConfigError, Discard, PayloadError, Retry, Snooze
from pgqueue.groups import leaves
from pgqueue.outcome import DONE, Dead, RetryAt
from pgqueue.running import CURRENT, RunningJob
from pgqueue.testing.functions import Functions, OnLoop, WithoutLoop
from pgqueue.testing.inline_store import InlineStore
from pgqueue.testing.on_commit import call_registered, count_registered
from pgqueue.testing.transactions import InlineTransactions
from pgqueue.testing.wire import Wire
from pgqueue.testing.write import write
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import entry_of
from pgqueue.worker.run.admission import Admission, Refused
from pgqueue.worker.run.callers import not_committed
from pgqueue.worker.run.job_log import JobLog
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.marks import Marks
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.slot import Counts, Slot
from pgqueue.worker.run.verdict import Verdict, judge
from pgqueue.worker.timings import TIMINGS

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["InlineRunner"]

_WISHES = (Retry, Snooze, Discard)


class InlineRunner:
    """Runs what is due until nothing is. ``queues``: none for all that have such jobs."""

    def __init__(
        self,
        app: App,
        wire: Wire,
        tasks: Mapping[str, Task[..., Any]],
        *,
        queues: Sequence[str],
        limit: int,
        raise_errors: bool,
    ) -> None:
        self._app = app
        self._wire = wire
        self._tasks = tasks
        self._queues = queues
        self._limit = limit
        self._raise_errors = raise_errors
        self._store = InlineStore(wire, app.tasks.flows())
        self._functions: Functions = OnLoop() if wire.asynchronous else WithoutLoop(wire.driver)
        self._transactions = InlineTransactions(self._store)
        lease = Lease()
        lease.until = float("inf")
        self._admission = Admission(
            marks=Marks(self._store),
            large=LargeJobs(self._store, TIMINGS.put_off),
            misfits=Misfits(self._store, TIMINGS.misfits),
            lease=lease,
        )
        self._log = JobLog(Counts())
        self._done = Drained()

    async def drain(self) -> Drained:
        """Run what is due, and what that enqueues, until nothing is due."""
        begun: Counter[str] = Counter()
        try:
            while (taken := await self._next(begun)) is not None:
                record, token = taken
                begun[record["task"]] += 1
                await self._run(record, token)
        finally:
            self._functions.close()
        return self._done

    async def _next(self, begun: Counter[str]) -> tuple[dict[str, Any], int] | None:
        if begun.total() < self._limit:
            return await self._store.take_one(self._queues, list(self._tasks))
        if await self._store.ready_queues(self._queues, list(self._tasks)):
            task, times = begun.most_common(1)[0]
            raise ConfigError(
                f"after {self._limit} attempts jobs are still due; "
                f'task "{task}" ran {times} times: '
                "does it enqueue or snooze itself each time? If not, give a larger limit="
            )
        return None

    async def _run(self, record: dict[str, Any], token: int) -> None:
        """Run one attempt, write what it comes to, and raise what it raised if that is wanted."""
        slot = Slot(0, _Nobody())
        slot.record, slot.token = record, token  # type: ignore[assignment]  # pyright: ignore
        slot.began = time.monotonic()
        savepoint = self._wire.savepoint()
        await savepoint.begin()
        error: BaseException | None = None
        verdict: Verdict | None = Verdict(DONE)
        try:
            await self._attempt(slot, record)
        except Refused as refused:
            verdict = refused.verdict
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            if _we_are_cancelled(exc):
                raise
            error = exc
            verdict = judge(slot.told, exc, record, self._tasks[record["task"]])
        finally:
            told, job = slot.told, slot.job
            slot.clear()
        await savepoint.end()
        if job is not None and job.completion is Completion.IN_DOUBT:
            await self._transactions.callers.settle(job)
            if job.is_completed:
                told = "completed"
            elif error is None:
                error = not_committed(job)
                verdict = judge(told, error, record, self._tasks[record["task"]])
        if told == "completed":
            verdict = Verdict(DONE)
        elif verdict is not None:
            used = None if job is None else job.used
            await write(self._store, entry_of(record, token, verdict.outcome, used))  # type: ignore[arg-type]  # pyright: ignore
        self._note(slot, record, verdict, error)

    def _note(
        self,
        slot: Slot,
        record: dict[str, Any],
        verdict: Verdict | None,
        error: BaseException | None,
    ) -> None:
        if verdict is None:
            return
        if verdict.outcome is not DONE:
            self._log.ended(record, slot.began, verdict)  # type: ignore[arg-type]  # pyright: ignore
        names = {"job_id": record["id"], "task": record["task"], "attempt": record["attempt"]}
        self._done.add(verdict.outcome, verdict.failure, **names, error=error)
        if error is None or not self._raise_errors:
            return
        if isinstance(verdict.outcome, RetryAt | Dead) and not _is_a_wish(error):
            how = how_it_ended(verdict.outcome)
            with contextlib.suppress(Exception):
                error.add_note(
                    f"raised by job {record['id']} ({record['task']}), attempt "
                    f"{record['attempt']}, which is {how}; "
                    "with raise_errors=False the drain goes on"
                )
            raise error

    async def _attempt(self, slot: Slot, record: dict[str, Any]) -> None:
        if record["crash_count"] or record["refused"] or record["attempt"] > record["max_attempts"]:
            await self._admission.admit(record, slot.token)  # type: ignore[arg-type]  # pyright: ignore
        task = self._tasks[record["task"]]
        try:
            args, kwargs = task.payload.decode(record["args"])
        except PayloadError as error:
            raise await self._admission.misfit(record, error) from error  # type: ignore[arg-type]  # pyright: ignore
        slot.job = RunningJob(record, slot.token, self._transactions, task.is_async)  # type: ignore[arg-type]  # pyright: ignore
        if task.on_crash == "dead":
            await self._admission.begin(record, slot.token)  # type: ignore[arg-type]  # pyright: ignore
        timeout = record["timeout_seconds"] or task.timeout
        context = contextvars.copy_context()
        context.run(CURRENT.set, slot.job)
        block = self._app.within(self._wire.connection)
        context.run(block.__enter__)
        try:
            call = partial(task.call, *args, **kwargs)
            connection, driver = self._wire.connection, self._wire.driver
            before = count_registered(connection, driver)
            await self._functions.call(call, slot, timeout, context)
            call_registered(connection, driver, before)
        finally:
            context.run(block.__exit__)


class _Nobody:
    """Whose slot it is: nobody waits for it."""

    def told(self, slot: Slot, task: asyncio.Task[None]) -> None: ...

    def given_up(self, slot: Slot) -> None: ...

    def left(self, slot: Slot, record: Any) -> None: ...


def _we_are_cancelled(error: BaseException) -> bool:
    """True if the test itself is cancelled, and not the attempt."""
    if not issubclass(type(error), asyncio.CancelledError):  # isinstance asks the user's class
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def _is_a_wish(error: BaseException) -> bool:
    return all(issubclass(type(one), _WISHES) for one in leaves(error))
