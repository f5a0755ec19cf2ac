"""A batch: the jobs that one call of a handler runs for, and the transaction that completes them.

The transaction is that of the first job. Within it the other jobs are completed by one statement,
just before its end; then the first job's own end completes that one, and commits. One receipt that
is not good any more rolls everything back.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pgqueue.errors import ConfigError, LeaseLost, NotInJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from asyncpg import Connection
    from psycopg import Connection as SyncConnection

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


class BatchTransaction:
    """The context manager behind ``Batch.transaction()``."""

    def __init__(self, batch: Batch, transactions: Transactions, *, is_async: bool) -> None:
        self._batch = batch
        self._transactions = transactions
        self._is_async = is_async
        self._lead = batch.jobs[0]
        self._handle: Any = None
        self._connection: Any = None

    def _check(self, *, asynchronous: bool) -> None:
        if asynchronous is not self._is_async:
            right = "async with" if self._is_async else "with"
            raise ConfigError(f"in this task, write: {right} batch.transaction() as tx")
        if self._handle is not None:
            raise ConfigError("this transaction was entered already; one batch has one")
        for job in self._batch.jobs:
            job.check_open()
            if job.flow is not None:
                raise ConfigError(
                    f'job {job.id} has the flow "{job.flow}"; batch.transaction() takes jobs '
                    "without a flow only"
                )

    def _choose(self) -> tuple[RunningJob | None, list[RunningJob]]:
        """Return the job whose end commits, and the others to complete, by id."""
        left = [
            job for index, job in enumerate(self._batch.jobs) if index not in self._batch.failed
        ]
        left.sort(key=lambda job: job.id)
        return (left[-1], left[:-1]) if left else (None, [])

    async def __aenter__(self) -> Connection:
        self._check(asynchronous=True)
        with self._lead.entering():
            self._handle, self._connection = await self._transactions.abegin(self._lead)
        connection: Connection = self._connection
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            lead, others = self._choose()
            error = error or _none_left(lead)
            if error is None and others:
                try:
                    await self._transactions.callers.acomplete_all(others, self._connection)
                except BaseException as exc:
                    await self._transactions.aend(self._handle, self._lead, exc)
                    raise
            await self._transactions.aend(self._handle, lead or self._lead, error)
        finally:
            self._end()

    def __enter__(self) -> SyncConnection[Any]:
        self._check(asynchronous=False)
        with self._lead.entering():
            self._handle, self._connection = self._transactions.begin(self._lead)
        connection: SyncConnection[Any] = self._connection
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            lead, others = self._choose()
            error = error or _none_left(lead)
            if error is None and others:
                try:
                    self._transactions.callers.complete_all(others, self._connection)
                except BaseException as exc:
                    self._transactions.end(self._handle, self._lead, exc)
                    raise
            self._transactions.end(self._handle, lead or self._lead, error)
        finally:
            self._end()

    def _end(self) -> None:
        """Take in whether it was committed: one of the jobs tells for all."""
        self._lead.mark_left()
        lead, others = self._choose()
        if lead is not None and lead.is_completed:
            for job in others:
                job.mark_completed()


def _none_left(lead: RunningJob | None) -> BaseException | None:
    """Return what rolls back where every job has failed: nothing is to be committed for them."""
    return LeaseLost("no job of the batch is left to complete") if lead is None else None


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
