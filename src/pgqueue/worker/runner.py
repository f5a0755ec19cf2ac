"""Runs claimed jobs in slots: at most ``concurrency`` at a time, each to an outcome.

A slot is a long-lived asyncio task that takes the next buffered job, so that a short job costs no
task of its own. A slot wakes the next one as it begins a job: jobs that never wait run one after
another in a single slot, jobs that wait spread over as many as there are.

    waiting --job--> running --returns / raises / is cancelled--> outcome --> waiting
                        |  why: timeout, cancel, lease lost, stop

Whoever cancels says why, and the outcome follows from that: a timeout is a failure, a cancel
request ends the job, a lost lease writes nothing, a stop gives the job back with its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from pgqueue import failpoints
from pgqueue.failure import Failure, describe
from pgqueue.outcome import (
    CANCELLED,
    RELEASED,
    Dead,
    Outcome,
    Released,
    RetryAt,
    Snoozed,
    decide,
)
from pgqueue.retry import Backoff
from pgqueue.running import RunningJob, Transactions
from pgqueue.worker.board import Board
from pgqueue.worker.completer import Completer, entry_of
from pgqueue.worker.large import LargeJobs
from pgqueue.worker.lease import Lease
from pgqueue.worker.stubborn import Stubborn
from pgqueue.worker.threads import Threads
from pgqueue.worker.waiting import Claimed, Waiting, is_suspect

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["Runner", "Slot"]

log = logging.getLogger("pgqueue.worker")

_YIELD_EVERY = 64
_PUT_OFF_FROM, _PUT_OFF_TO = 2.0, 6.0


class Slot:
    """One place where jobs run, one after another."""

    __slots__ = ("job", "place", "record", "task", "timer", "token", "waiter", "why")

    def __init__(self, place: int) -> None:
        self.place = place
        self.task: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.record: Record | None = None
        self.token = 0
        self.job: RunningJob | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.why: str | None = None


class Runner:
    """Runs jobs and hands their outcomes to the completer."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        *,
        concurrency: int,
        board: Board,
        completer: Completer,
        transactions: Transactions,
        expose: Callable[[int, int], Any],
        large: LargeJobs,
        lease: Lease,
        on_room: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._tasks = tasks
        self._concurrency = concurrency
        self._completer = completer
        self._transactions = transactions
        self._expose = expose
        self._large = large
        self._lease = lease
        self._on_room = on_room
        self._loop = loop
        self._threads = Threads(concurrency, loop)
        self._stubborn = Stubborn(loop)
        self._waiting = Waiting(
            lease=lease,
            loop=loop,
            on_low=on_room,
            on_next=self._wake_slot,
            on_put_off=self._put_off,
        )
        self._buffer = self._waiting.jobs
        self._idle: list[Slot] = []
        self._places = list(range(concurrency))
        self._begun_ids = board.ids
        self._begun_tokens = board.tokens
        self._slots: set[Slot] = set()
        self._closing = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._context = contextvars.copy_context()
        self.running = 0
        self.finished = 0
        self._busy_seconds = 0.0
        self._busy_from: float | None = None
        self.retried = 0
        self.dead = 0
        self.released = 0
        self.cancelled = 0
        self.started = 0

    # -- for the claimer

    @property
    def buffered(self) -> int:
        """Jobs that were claimed and wait for a slot; not those that wait for each other."""
        return len(self._buffer)

    @property
    def free(self) -> int:
        """Slots without a job, not counting those that waiting jobs will take."""
        # Of suspects one runs at a time; the others are put off before they could take any.
        return self._concurrency - self.running - len(self._buffer) - bool(self._waiting.suspects)

    @property
    def stuck(self) -> int:
        """Slots whose job was told to end seconds ago and goes on."""
        return self._stubborn.count

    @property
    def passed_on(self) -> int:
        """How many jobs were given up before they began, for others to have."""
        return self._waiting.passed_on

    @property
    def waits(self) -> bool:
        """True if a job is here that has not begun."""
        return bool(self._waiting)

    def busy_seconds(self, now: float) -> float:
        """For how long there has been something to run, up to the monotonic time ``now``."""
        since = 0.0 if self._busy_from is None else now - self._busy_from
        return self._busy_seconds + since

    def tell_when(self, buffered_at_most: int) -> None:
        """Call ``on_room`` once no more than so many jobs are buffered."""
        self._waiting.low = buffered_at_most

    def add(self, records: Sequence[Record], token: int) -> None:
        """Take claimed jobs, in the order in which they should run."""
        self._waiting.add(records, token)
        self._quiet.clear()
        if self._busy_from is None:
            self._busy_from = time.monotonic()
        self._wake_slot()

    def _put_off(self, suspects: list[Claimed]) -> None:
        """Let others have the suspects that wait, and the queue their place here.

        Not as they were: this worker would claim them again at once.
        """
        for record, token in suspects:
            outcome = Snoozed(random.uniform(_PUT_OFF_FROM, _PUT_OFF_TO))
            self._completer.add(entry_of(record, token, outcome))
        self._settle_quiet()
        self._on_room()

    def take_back(self, keep: int) -> list[Claimed]:
        """Return buffered jobs but the first ``keep``: for others to have."""
        taken = self._waiting.take_back(keep)
        self._settle_quiet()
        return taken

    # -- for the worker

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs that run or wait here."""
        running = {(s.record["id"], s.token) for s in self._slots if s.record is not None}
        return running.union(self._waiting.receipts())

    def cancel(self, job_ids: Sequence[int], why: str) -> None:
        """Cancel these jobs, wherever they are; ``why`` decides the outcome."""
        wanted = set(job_ids)
        for slot in tuple(self._slots):
            if slot.record is not None and slot.record["id"] in wanted:
                self._cancel_slot(slot, why)
        for record, token in self._waiting.remove(wanted):
            self.cancelled += 1
            self._completer.add(entry_of(record, token, CANCELLED))
        self._settle_quiet()

    def cancel_all(self, why: str) -> None:
        """Cancel every running job."""
        for slot in tuple(self._slots):
            if slot.record is not None:
                self._cancel_slot(slot, why)

    def empty_buffer(self) -> list[Claimed]:
        """Return what was claimed and not started, for good."""
        taken = self._waiting.clear()
        self._settle_quiet()
        return taken

    def abandon(self) -> list[Claimed]:
        """Give up on what still runs although it was cancelled: its outcome is nobody's now."""
        left: list[Claimed] = []
        for slot in self._slots:
            if slot.record is not None and slot.why != "abandoned":
                if slot.why != "lost" and not (slot.job is not None and slot.job.is_completed):
                    left.append((slot.record, slot.token))
                slot.why = "abandoned"
        return left

    def disown(self) -> None:
        """Run nothing more in this process, which was forked by a job."""
        self._waiting.clear()
        self._threads.disown()

    async def wait_quiet(self, seconds: float | None) -> bool:
        """Return True once nothing runs or waits, False after so many seconds, if any."""
        if self._quiet.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End the slots and the threads that have nothing to do."""
        self._closing = True
        self._waiting.close()
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        self._threads.stop()

    # -- slots

    def _wake_slot(self) -> None:
        if self._idle:
            waiter = self._idle.pop().waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        elif len(self._slots) < self._concurrency and not self._closing:
            slot = Slot(self._places.pop())
            self._slots.add(slot)
            # A context of its own: what a job leaves in context variables ends with its slot.
            slot.task = self._loop.create_task(
                self._serve(slot), name="pgqueue slot", context=self._context.copy()
            )

    async def _serve(self, slot: Slot) -> None:
        pristine = contextvars.copy_context()
        in_a_row = 0
        try:
            while True:
                claimed = self._waiting.next()
                if claimed is None:
                    if self._closing:
                        return
                    in_a_row = 0
                    slot.waiter = self._loop.create_future()
                    self._idle.append(slot)
                    await slot.waiter
                    continue
                if self._buffer:
                    self._wake_slot()
                record, token = claimed
                slot.record = record
                slot.token = token
                self.running += 1
                self.started += 1
                await self._run(slot, record, token)
                if self._is_spent(slot, pristine):
                    return
                in_a_row += 1
                if in_a_row == _YIELD_EVERY:
                    in_a_row = 0
                    await asyncio.sleep(0)
        finally:
            self._slots.discard(slot)
            self._places.append(slot.place)
            if slot in self._idle:
                self._idle.remove(slot)
            if self._waiting and not self._closing:
                self._wake_slot()

    @staticmethod
    def _is_spent(slot: Slot, pristine: contextvars.Context) -> bool:
        """True if the last job left something behind: the next one gets a slot of its own."""
        assert slot.task is not None
        try:
            changed = contextvars.copy_context() != pristine
        except BaseException:  # the values are the user's, and so is how they compare
            changed = True
        return slot.why is not None or changed or slot.task.cancelling() > 0

    def _left(self, slot: Slot) -> None:
        slot.record = None
        slot.job = None
        self.running -= 1
        self.finished += 1
        if not self._buffer:
            self._on_room()
            self._settle_quiet()

    def _settle_quiet(self) -> None:
        if self.running == 0 and not self._waiting:
            self._quiet.set()
            self._busy_seconds = self.busy_seconds(time.monotonic())
            self._busy_from = None

    # -- one job

    async def _run(self, slot: Slot, record: Record, token: int) -> None:
        """Run one job to its outcome. Nothing that user code raises gets past here."""
        task = self._tasks[record["task"]]
        suspect = is_suspect(record)
        if suspect:
            self._waiting.suspect_runs = True
        job: RunningJob | None = None
        try:
            if record["attempt"] - record["crash_count"] > record["max_attempts"]:
                self._hand_on(slot, Dead("it had no attempts left when it was claimed", None))
                return
            if record["cancel_requested"]:
                self._hand_on(slot, CANCELLED)
                return
            if suspect:
                marked = await self._expose(record["id"], token)
                if marked is None or self._lease.is_over:
                    self._hand_on(slot, RELEASED)
                    return
                if not marked:
                    slot.why = "lost"
                    return
            if record["args"] is None:
                whole = await self._large.read(record["id"], token)
                if whole is None:
                    slot.why = "lost"
                    return
                if isinstance(whole, (Released, Snoozed)):
                    self._hand_on(slot, whole)
                    return
                if self._lease.is_over:
                    self._hand_on(slot, RELEASED)
                    return
                slot.record = record = whole
            args, kwargs = task.payload.decode(record["args"])
            if task.job_parameters:
                job = RunningJob(record, token, self._transactions, is_async=task.is_async)
                slot.job = job
                for name in task.job_parameters:
                    kwargs[name] = job
            timeout = record["timeout_seconds"] or task.timeout
            if timeout is not None:
                slot.timer = self._loop.call_later(timeout, self._time_out, slot)
            self._begun_tokens[slot.place] = token
            self._begun_ids[slot.place] = record["id"]
            if failpoints.armed is not None:
                failpoints.armed.reach("job.starting")
            if task.is_async:
                await task.function(*args, **kwargs)
            else:
                await self._in_thread(slot, functools.partial(task.function, *args, **kwargs))
            if slot.timer is not None:
                slot.timer.cancel()
                slot.timer = None
            if failpoints.armed is not None:
                failpoints.armed.reach("job.ended")
            if slot.why == "abandoned":
                return
            if job is not None and job.is_completed:
                self._completer.completed += 1
            else:
                # It returned in spite of whatever it was told: that is a success.
                self._completer.done(record["id"], token)
            if log.isEnabledFor(logging.DEBUG):
                with contextlib.suppress(Exception):
                    _report_success(record)
        except BaseException as error:
            self._failed(slot, record, task, job, error)
        finally:
            if slot.timer is not None:
                slot.timer.cancel()
                slot.timer = None
            if suspect:
                self._waiting.suspect_runs = False
            self._left(slot)

    async def _in_thread(self, slot: Slot, call: Callable[[], Any]) -> None:
        """Wait for a thread. It cannot be cancelled: the slot stays taken until it ends."""
        answer = self._threads.submit(call)
        try:
            result = await asyncio.shield(answer)
            if _is_awaitable(result):
                await result
            return
        except asyncio.CancelledError:
            if answer.done() or slot.why is None:
                raise
        record, why = slot.record, slot.why
        assert record is not None
        task = self._tasks[record["task"]]
        log.warning(
            "job %d (%s) was told to end (%s); its thread goes on and keeps its slot",
            record["id"], record["task"], why,
        )  # fmt: skip
        self._failed(slot, record, task, slot.job, asyncio.CancelledError())
        slot.why = "abandoned"
        while not answer.done():
            try:
                await asyncio.shield(answer)
            except asyncio.CancelledError:
                if self._closing:
                    raise
            except BaseException as late:
                log.info(
                    "job %d (%s), long given up, raised %s: %s",
                    record["id"], task.name, describe(late).type, describe(late).message,
                )  # fmt: skip
        raise asyncio.CancelledError

    def _cancel_slot(self, slot: Slot, why: str) -> None:
        if slot.why is not None or slot.task is None:
            return
        slot.why = why
        if slot.job is not None:
            slot.job.mark_cancelled()
        slot.task.cancel()
        if slot.record is not None and why != "stop":  # which has a bound of its own
            give_up = functools.partial(self._give_up, slot)
            self._stubborn.told(slot.task, slot.record, why, give_up)

    def _give_up(self, slot: Slot) -> None:
        """Its job was told to end and goes on: write what the attempt comes to without it."""
        record, job = slot.record, slot.job
        if record is not None and slot.why != "abandoned" and not (job and job.is_completed):
            told = asyncio.CancelledError()
            self._failed(slot, record, self._tasks[record["task"]], job, told)
            slot.why = "abandoned"

    def _time_out(self, slot: Slot) -> None:
        slot.timer = None
        if slot.record is not None:
            self._cancel_slot(slot, "timeout")

    # -- outcomes

    def _failed(
        self,
        slot: Slot,
        record: Record,
        task: Task[..., Any],
        job: RunningJob | None,
        error: BaseException,
    ) -> None:
        """Say what an attempt that raised comes to."""
        why = slot.why
        if why == "abandoned" or self._loop.is_closed():
            return
        if job is not None and job.is_completed:
            log.warning(
                "job %d (%s) is completed, but raised after its transaction: %s",
                record["id"], task.name, describe(error).message, exc_info=error,
            )  # fmt: skip
            return
        if why == "lost":
            return
        if why == "cancelled":
            self._hand_on(slot, CANCELLED)
            return
        # By its type: __class__ may be a property of the user's, and raise.
        stopped = issubclass(type(error), asyncio.CancelledError)
        if stopped and (why == "stop" or (why is None and self._completer.is_torn_down)):
            self._hand_on(slot, RELEASED)
            return
        if why == "timeout" and stopped:
            timeout = record["timeout_seconds"] or task.timeout
            error = TimeoutError(
                f"it ran for longer than its timeout of {timeout:g} s"
            ).with_traceback(error.__traceback__)
        failure, outcome = _verdict(record, task, error)
        self._hand_on(slot, outcome)
        with contextlib.suppress(Exception):  # a log filter of the user's may raise
            self._report(record, failure, outcome)

    def _hand_on(self, slot: Slot, outcome: Outcome) -> None:
        record = slot.record
        assert record is not None
        match outcome:
            case RetryAt():
                self.retried += 1
            case Dead():
                self.dead += 1
            case _:
                if outcome is RELEASED:
                    self.released += 1
                elif outcome is CANCELLED:
                    self.cancelled += 1
        self._completer.add(entry_of(record, slot.token, outcome))

    def _report(self, record: Record, failure: Failure, outcome: Outcome) -> None:
        """One line for each attempt that fails."""
        if isinstance(outcome, Snoozed):
            log.debug("job %d (%s) snoozed: %s", record["id"], record["task"], failure.message)
            return
        match outcome:
            case Dead(reason=reason):
                then, level = f"dead: {reason}", logging.ERROR
            case RetryAt(delay=delay):
                then, level = f"retry in {delay:.3g} s", logging.WARNING
            case _:
                then, level = "", logging.INFO
        log.log(
            level,
            "job %d (%s) failed in attempt %d of %d: %s: %s; %s",
            record["id"], record["task"], record["attempt"], record["max_attempts"],
            failure.type, failure.message.partition("\n")[0], then,
            extra={
                "job_id": record["id"], "task": record["task"], "queue": record["queue"],
                "attempt": record["attempt"], "error_type": failure.type,
            },
        )  # fmt: skip


def _is_awaitable(result: object) -> TypeGuard[Awaitable[object]]:
    try:
        return inspect.isawaitable(result)
    except BaseException:  # it looks at the class, which is the user's, and may raise anything
        return False


def _report_success(record: Record) -> None:
    log.debug(
        "job %d (%s) succeeded in attempt %d of %d",
        record["id"], record["task"], record["attempt"], record["max_attempts"],
        extra={
            "job_id": record["id"], "task": record["task"], "queue": record["queue"],
            "attempt": record["attempt"],
        },
    )  # fmt: skip


def _verdict(record: Record, task: Task[..., Any], error: BaseException) -> tuple[Failure, Outcome]:
    """Describe an error and decide, whatever its class does when it is looked at."""
    counts = {name: record[name] for name in ("attempt", "crash_count", "max_attempts")}
    try:
        failure = describe(error)
        return failure, decide(error, failure, **counts, policy=task.retry)
    except BaseException as odd:
        failure = Failure("Error", f"it cannot be looked at: {type(odd).__name__}", "")
        return failure, decide(RuntimeError(), failure, **counts, policy=Backoff())
