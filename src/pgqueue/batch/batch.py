"""A batch: the jobs that one call of a handler runs for, and the transaction that completes them.

The transaction is begun for the first job. At its end one statement completes all jobs but the
last; then the end of the last one completes that, and commits. One receipt that is not good any
more rolls everything back.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from pgqueue.completing import JobTransaction
from pgqueue.errors import ConfigError, LeaseLost, NotInJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgqueue.running import RunningJob, Transactions

__all__ = ["CURRENT_BATCH", "Batch", "BatchTransaction", "current_batch"]


class Batch:
    """The jobs that one call of a handler runs for: what ``pgqueue.current_batch()`` returns.

    ``jobs``: one for each item, in the order of the items.
    """

    def __init__(
        self, jobs: Sequence[RunningJob], transactions: Transactions, *, is_async: bool
    ) -> None:
        self.jobs = tuple(jobs)
        self.failed: dict[int, BaseException] = {}
        self._transactions = transactions
        self._is_async = is_async

    def __repr__(self) -> str:
        return f"<Batch of {len(self.jobs)} {self.jobs[0].task}>"

    def __len__(self) -> int:
        return len(self.jobs)

    def fail(self, index: int, error: BaseException) -> None:
        """Let one job fail with this error, as if its own handler had raised it.

        ``index``: where its item stands in the list. The error may be a Retry, a Snooze or a
        Discard. ``transaction()`` does not complete the job. Raises ConfigError for an index that
        no item has, and for a job that is completed already.
        """
        if not isinstance(error, BaseException):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"error must be an exception, got {error!r}")
        if not 0 <= index < len(self.jobs):
            raise ConfigError(f"index must be from 0 to {len(self.jobs) - 1}, got {index}")
        self.jobs[index].check_open()
        self.failed[index] = error

    def transaction(self) -> BatchTransaction:
        """Begin a transaction whose commit also completes the jobs: all effects, or none.

        ``async with batch.transaction() as tx`` gives an asyncpg connection; ``with`` in a handler
        without async, a psycopg connection. Jobs that ``fail()`` named are not completed. Leaving
        the block raises LeaseLost, and rolls everything back, if one of the jobs is not this
        attempt's any more. Let it pass: the other jobs run again, and no attempt is counted.
        """
        return BatchTransaction(self, self._transactions, is_async=self._is_async)


class BatchTransaction(JobTransaction):
    """The context manager behind ``Batch.transaction()``."""

    __slots__ = ("_batch",)
    _of = "batch"

    def __init__(self, batch: Batch, transactions: Transactions, *, is_async: bool) -> None:
        super().__init__(batch.jobs[0], transactions, is_async=is_async)
        self._batch = batch

    def _check(self, *, asynchronous: bool) -> None:
        super()._check(asynchronous=asynchronous)
        for job in self._batch.jobs:
            job.check_open()
            if job.flow is not None:
                raise ConfigError(
                    f'job {job.id} has the flow "{job.flow}"; batch.transaction() takes jobs '
                    "without a flow only"
                )

    def _completes(
        self, error: BaseException | None
    ) -> tuple[RunningJob, BaseException | None, *tuple[RunningJob, ...]]:
        """Return the last job that did not fail, whose end commits, and the others by id."""
        failed = self._batch.failed
        left = [job for index, job in enumerate(self._batch.jobs) if index not in failed]
        if not left:
            return self._job, error or LeaseLost("no job of the batch is left to complete")
        left.sort(key=lambda job: job.id)
        return left[-1], error, *left[:-1]


CURRENT_BATCH: ContextVar[Batch] = ContextVar("pgqueue_batch")
"""The batch of this context. The context of a batch is its own, and has no current job."""


def current_batch() -> Batch:
    """Return the batch that this code runs for, in the handler itself and in all that it calls.

    Raises NotInJob outside of a task with ``batch=``.
    """
    batch = CURRENT_BATCH.get(None)
    if batch is None:
        raise NotInJob(
            "current_batch() was called outside of a batch: a worker sets it for tasks with "
            "@app.task(batch=...); in any other task, call current_job()"
        )
    return batch
