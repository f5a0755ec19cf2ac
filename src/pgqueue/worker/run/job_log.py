"""The lines that the log gets about single jobs. None of them may fail: handlers are the user's."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pgqueue.failure import describe
from pgqueue.worker.run.frequency import Frequency
from pgqueue.worker.run.job_lines import Line, Times, completed, ended, labels
from pgqueue.worker.run.slot import Counts
from pgqueue.worker.run.verdict import Verdict
from pgqueue.worker.seldom import Seldom

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["JobLog"]

# By the base class: a subclass may have an attribute of that name that raises.
_frames: Any = BaseException.__traceback__.__get__  # type: ignore[attr-defined]

log = logging.getLogger("pgqueue.worker")


class JobLog:
    """Writes one line for each attempt that ends, but for tasks that run too often for that.

    ``silent_until``: for each task, up to when its jobs get no line; to be asked first.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._waited = Seldom()
        self._frequencies: defaultdict[str, Frequency] = defaultdict(Frequency)
        self._traces: defaultdict[str, Frequency] = defaultdict(Frequency)
        self.silent_until: defaultdict[str, float] = defaultdict(float)

    def succeeded(self, record: Record, began: float) -> None:
        """The task returned."""
        with contextlib.suppress(Exception):
            if self._passes(record["task"], began):
                self._counts.logged += 1
                _write(completed(record, _times(record, began)))

    def ended(self, record: Record, began: float, verdict: Verdict) -> None:
        """It raised or was refused, and this is what comes of it."""
        with contextlib.suppress(Exception):
            if verdict.waited:
                self._waited_in_vain(record, verdict)
                return
            line = ended(record, verdict, _times(record, began))
            if line is None:
                return
            if line.is_failure:  # the line is written in any case, a traceback is not
                traced = self._traces[record["task"]].passes(began)
                _write(line, verdict if traced else None)
            elif self._passes(record["task"], began):
                _write(line)

    def _passes(self, task: str, began: float) -> bool:
        frequency = self._frequencies[task]
        passes = frequency.passes(began)
        self.silent_until[task] = frequency.silent_until
        return passes

    def raised_after_completion(self, record: Record, error: BaseException) -> None:
        """Its transaction has committed, and the handler raised after that."""
        with contextlib.suppress(Exception):
            log.warning(
                "job %d (%s) is completed, but raised after its transaction: %s",
                record["id"], record["task"], describe(error).message, exc_info=error,
            )  # fmt: skip

    def thread_goes_on(self, record: Record, why: str | None) -> None:
        """It should end, and a thread cannot be made to."""
        with contextlib.suppress(Exception):
            log.warning(
                "job %d (%s) was told to end (%s); its thread goes on and keeps its slot",
                record["id"], record["task"], why,
            )  # fmt: skip

    def ended_late(self, record: Record, error: BaseException) -> None:
        """A thread raised whose attempt was over long before."""
        with contextlib.suppress(Exception):
            failure = describe(error)
            log.info(
                "job %d (%s), long given up, raised %s: %s",
                record["id"], record["task"], failure.type, failure.message,
            )  # fmt: skip

    def _waited_in_vain(self, record: Record, verdict: Verdict) -> None:
        """Once in a while: where one job waits, many do."""
        count = self._waited.count()
        if not count:
            return
        log.warning(
            "job %d (%s) waited in vain and is put off, no attempt is counted (%d such since the "
            "last such line): %s",
            record["id"], record["task"], count,
            "" if verdict.failure is None else verdict.failure.message.partition("\n")[0],
            extra=labels(record),
        )  # fmt: skip


def _times(record: Record, began: float) -> Times:
    """By the clocks of this host and of the database, for what was before."""
    duration = time.monotonic() - began
    due = record.get("due_at")  # a job that is drained has none
    waited_since = record["enqueued_epoch"] if due is None else due.timestamp()
    return Times(max(time.time() - duration - waited_since, 0.0), duration)


def _write(line: Line, verdict: Verdict | None = None) -> None:
    """Write it, with the error of the verdict: its traceback was made already, and is bounded."""
    if not log.isEnabledFor(line.level):
        return
    error = None if verdict is None else verdict.error
    info: Any = None if error is None else (type(error), error, _frames(error))
    record = log.makeRecord(
        log.name, line.level, __file__, 0, line.message, line.args, info, extra=line.fields
    )
    if verdict is not None and verdict.failure is not None and error is not None:
        record.exc_text = verdict.failure.traceback
    log.handle(record)
