"""An attempt in a child process: the worker's half of it.

The time of an attempt begins when a child has it, not while it waits for one. Whoever ends it
(its timeout, a cancel, a stop, the loss of the lease) ends the process, and the table of settle
says what follows. What the handler raised is judged in the child, by the task's own policy.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pgqueue.config import WorkerSettings
from pgqueue.errors import Discard, ProcessDied
from pgqueue.failure import Failure
from pgqueue.observe.job_fields import fields_of
from pgqueue.outcome import Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.children.frames import Hello, Order, Said, pack
from pgqueue.worker.children.home import target_of
from pgqueue.worker.children.memory import CAN_MEASURE
from pgqueue.worker.children.pool import Children
from pgqueue.worker.run.admission import Refused
from pgqueue.worker.run.slot import Slot
from pgqueue.worker.run.verdict import Verdict

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["InChildren", "children_of", "said_of", "verdict_of"]

log = logging.getLogger("pgqueue.worker")

_COLUMNS = (
    "id", "task", "queue", "flow", "priority", "attempt", "max_attempts", "crash_count",
    "enqueued_epoch", "tags", "metadata", "timeout_seconds", "args",
)  # fmt: skip


def children_of(
    app: App, tasks: Mapping[str, Task[..., Any]], settings: WorkerSettings
) -> InChildren | None:
    """Return what runs jobs in processes; None if no task asks for it.

    Raises ConfigError where a child could not import the app.
    """
    if not any(task.runs_in == "process" for task in tasks.values()):
        return None
    if not CAN_MEASURE and any(task.memory for task in tasks.values()):
        log.warning("limits of memory do not hold here: there is no /proc that says what is used")
    hello = Hello(
        target=target_of(app.home or app),
        path=list(sys.path),
        level=logging.getLogger().getEffectiveLevel(),
        deadline=settings.deadline,
        dsn=None if app.home is None else app.pool.dsn,
    )
    return InChildren(Children(settings.children, hello, asyncio.get_running_loop()))


class InChildren:
    """Runs attempts in child processes."""

    def __init__(self, pool: Children) -> None:
        self.pool = pool
        self._loop = asyncio.get_running_loop()

    async def run(self, slot: Slot, record: Record, task: Task[..., Any]) -> None:
        """Run one; raise what it failed with, or Refused with what its policy made of that."""
        job = slot.job
        assert job is not None
        row = {name: record[name] for name in _COLUMNS}
        timeout = record["timeout_seconds"] or task.timeout
        try:
            said = await self.pool.run(
                pack(Order(row, slot.token)),
                memory=task.memory,
                fields=fields_of(job),
                begun=partial(self._begun, slot, timeout),
            )
        except asyncio.CancelledError:
            if slot.why == "timeout":
                raise TimeoutError(f"killed after {timeout:g} s, which is its timeout") from None
            raise
        except ProcessDied as error:
            if task.on_crash == "dead":
                raise Discard(f'{error}, and on_crash is "dead"') from error
            raise
        if said.used is not None:
            job.charge(said.used)
        if said.completed:
            job.mark_completed()
        elif said.kind == "failed":
            if slot.why is not None:
                raise asyncio.CancelledError  # it had been told to end: the table says what follows
            raise Refused(verdict_of(said))

    def _begun(self, slot: Slot, timeout: float | None) -> None:
        slot.began = time.monotonic()
        if timeout is not None:
            slot.timer = self._loop.call_later(timeout, slot.time_out)

    async def close(self) -> None:
        """End the processes."""
        await self.pool.close()


class _InChild(Exception):
    """Stands for what a handler raised in a child, for the log: its text is there already."""


def verdict_of(said: Said) -> Verdict:
    """Return what a child says that its job came to."""
    failure = Failure(said.type, said.text, said.trace) if said.type else None
    outcome: Outcome
    match said.outcome:
        case "retry" if failure is not None:
            outcome = RetryAt(said.delay, failure, said.pause)
        case "snooze":
            outcome = Snoozed(said.delay, failure if said.waited else None, said.pause)
        case _:
            outcome = Dead(said.reason, failure)
    return Verdict(outcome, failure, waited=said.waited, error=_InChild(said.text))


def said_of(verdict: Verdict) -> Said:
    """Return how a child says what its job came to."""
    said = Said("failed", waited=verdict.waited)
    if verdict.failure is not None:
        failure = verdict.failure
        said.type, said.text, said.trace = failure.type, failure.message, failure.traceback
    match verdict.outcome:
        case RetryAt(delay, _, pause):
            said.outcome, said.delay, said.pause = "retry", delay, pause
        case Snoozed(delay, _, pause):
            said.outcome, said.delay, said.pause = "snooze", delay, pause
        case Dead(reason, _):
            said.outcome, said.reason = "dead", reason
        case _:
            pass
    return said
