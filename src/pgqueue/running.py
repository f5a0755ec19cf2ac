"""The job that a task is running for: what it may ask, and the transaction that completes it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import msgspec

from pgqueue.completing import Callers, CallersTransaction, Completion, JobTransaction
from pgqueue.errors import ConfigError, NotInJob, shown

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from psycopg import Connection as SyncConnection

__all__ = ["CURRENT", "RunningJob", "Transactions", "current_job"]

C = TypeVar("C")
_MOST_TOKENS = 1e9


class Transactions(Protocol):
    """Begins and ends the transactions that complete jobs.

    ``others``: those of its batch, by ascending id, which are completed with the job.
    """

    drained: bool

    @property
    def callers(self) -> Callers: ...

    async def abegin(self, job: RunningJob) -> tuple[Any, Connection]: ...

    async def aend(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None: ...

    def begin(self, job: RunningJob) -> tuple[Any, SyncConnection[Any]]: ...

    def end(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None: ...


class RunningJob(msgspec.Struct, eq=False, gc=False):
    """The job that a task is running for: what ``pgqueue.current_job()`` returns.

    A worker makes one for every job, so it is a Struct: that costs half of what a class does.
    """

    _record: Record
    _token: int
    _transactions: Transactions
    _is_async: bool
    _cancelled: bool = False
    completion: Completion | None = None
    _is_open: bool = False
    _used: float | None = None

    def __repr__(self) -> str:
        return f"<RunningJob {self.id} {self.task} attempt {self.attempt}>"

    @property
    def id(self) -> int:
        """The job's id, the same for all its attempts."""
        return self._record["id"]  # type: ignore[no-any-return]

    @property
    def token(self) -> int:
        """The random token of this claim."""
        return self._token

    @property
    def task(self) -> str:
        """The task's name."""
        return self._record["task"]  # type: ignore[no-any-return]

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._record["queue"]  # type: ignore[no-any-return]

    @property
    def flow(self) -> str | None:
        """The flow that it belongs to; None: it has none."""
        return self._record["flow"]  # type: ignore[no-any-return]

    @property
    def is_async(self) -> bool:
        """False for a task that runs in a thread."""
        return self._is_async

    @property
    def is_drained(self) -> bool:
        """True where a test drains: the job runs in the test's own context and transaction."""
        return self._transactions.drained

    @property
    def transactions(self) -> Transactions:
        """What begins and ends its transaction: for the batch that it is one of."""
        return self._transactions

    @property
    def priority(self) -> int:
        """0 (first) to 9 (last)."""
        return self._record["priority"]  # type: ignore[no-any-return]

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._record["attempt"]  # type: ignore[no-any-return]

    @property
    def max_attempts(self) -> int:
        """How many attempts it gets; those that a crash ended do not count."""
        return self._record["max_attempts"]  # type: ignore[no-any-return]

    @property
    def crash_count(self) -> int:
        """How many times its worker died while it ran."""
        return self._record["crash_count"]  # type: ignore[no-any-return]

    @property
    def enqueued_at(self) -> datetime:
        """When it was enqueued, by the database's clock."""
        return datetime.fromtimestamp(self._record["enqueued_epoch"], UTC)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags it was enqueued with."""
        return tuple(self._record["tags"] or ())

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata it was enqueued with."""
        text = self._record["metadata"]
        return {} if text is None else msgspec.json.decode(text)

    @property
    def is_cancelled(self) -> bool:
        """True once this attempt should end: cancelled, timed out, lease lost, or worker stopping.

        An async task is cancelled besides; a task in a thread should look here now and then.
        """
        return self._cancelled

    @property
    def is_completed(self) -> bool:
        """True once ``transaction()`` has committed."""
        return self.completion is Completion.COMMITTED

    def charge(self, tokens: float) -> None:
        """Say how many tokens of its flow's rate this attempt has really used, or used once more.

        Calls add up. A job pays its ``weight`` when it begins; what it used beyond that, or less,
        is settled with its outcome, also where it fails, and in ``transaction()``. The next jobs
        then wait for the tokens that it took in advance. The sums are in ``flows.usage()``. Without
        a flow, nothing is charged. Raises ConfigError for what is no number from 0 on.
        """
        if isinstance(tokens, bool) or not isinstance(tokens, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"tokens must be a number, got {shown(tokens)}")
        if not 0 <= tokens <= _MOST_TOKENS:
            raise ConfigError(f"tokens must be from 0 to 1000000000, got {shown(tokens)}")
        self._used = (self._used or 0.0) + tokens

    @property
    def used(self) -> float | None:
        """The tokens that this attempt has charged; None if it has not said."""
        return self._used

    @overload
    def transaction(self, connection: None = None) -> JobTransaction: ...
    @overload
    def transaction(self, connection: C) -> CallersTransaction[C]: ...
    def transaction(self, connection: Any = None) -> JobTransaction | CallersTransaction[Any]:
        """Begin a transaction whose commit also completes this job: both, or neither.

        In an async task: ``async with job.transaction() as tx``, an asyncpg connection. In a task
        that runs in a thread: ``with job.transaction() as tx``, a psycopg connection (the extra
        ``psycopg``). Leaving the block raises LeaseLost, and rolls everything back, if this attempt
        no longer owns the job. An exception inside the block rolls back and passes through.
        Where all ``max_transactions`` of the app are in use, it waits for as long as the job may
        last; what ends that wait (its timeout, a cancel, a stop) costs no attempt.

        With a ``connection`` or session of yours (asyncpg, psycopg, SQLAlchemy, Django) on which no
        transaction is open, one is begun there, and ended with the block.
        """
        if connection is not None:
            return CallersTransaction(self, self._transactions.callers, connection)
        return JobTransaction(self, self._transactions, is_async=self._is_async)

    def complete(self, connection: object) -> None:
        """Complete this job in the transaction of ``connection``, which you commit yourself.

        Call it last before the commit: it locks the job's row. Raises LeaseLost if this attempt no
        longer owns the job; let it pass, and roll back. An attempt whose handler returns before the
        commit has failed.
        """
        self.check_open()
        self._transactions.callers.complete(self, connection)

    async def acomplete(self, connection: object) -> None:
        """Do what ``complete`` does, on an asynchronous connection or session."""
        self.check_open()
        await self._transactions.callers.acomplete(self, connection)

    def check_open(self) -> None:
        """Raise ConfigError if this job is completed already."""
        if self.is_completed:
            raise ConfigError(f"job {self.id} is completed already; one transaction() does it")

    def mark_cancelled(self) -> None:
        """Note that this attempt should end."""
        self._cancelled = True

    @contextlib.contextmanager
    def entering(self) -> Generator[None]:
        """Hold the job's one transaction, unless the body fails to begin it."""
        if self._is_open:
            raise ConfigError(f"job {self.id} has a transaction() open already; one at a time")
        self._is_open = True
        try:
            yield
        except BaseException:
            self._is_open = False
            raise

    def mark_left(self) -> None:
        """Note that its transaction has ended."""
        self._is_open = False

    def mark_completed(self) -> None:
        """Note that its transaction has committed."""
        self.completion = Completion.COMMITTED

    def mark_in_doubt(self) -> None:
        """Note that its completion is in a transaction that the caller ends."""
        self.completion = Completion.IN_DOUBT

    def mark_undone(self) -> None:
        """Note that nothing was committed, as far as anybody can tell."""
        self.completion = Completion.UNDONE


CURRENT: ContextVar[RunningJob] = ContextVar("pgqueue_job")
"""The job of this context. A worker sets it in each job's own; nobody resets it there."""


def current_job() -> RunningJob:
    """Return the job that this code runs for, in the task itself and in all that it calls.

    It is context-local: code in ``asyncio.to_thread`` and in the tasks of a TaskGroup has it too. A
    thread that you start yourself has not, nor has ``loop.run_in_executor``: hand the job over, or
    run the thread's function in ``contextvars.copy_context()``. Raises NotInJob outside of a job.
    """
    job = CURRENT.get(None)
    if job is None:
        if any(variable.name == "pgqueue_batch" for variable in copy_context()):
            raise NotInJob(
                "current_job() was called in a task that takes batches, which runs for many jobs; "
                "call current_batch(): each of its jobs is one of .jobs"
            )
        raise NotInJob(
            "current_job() was called outside of a job: a worker sets it for the functions that it "
            "runs; in a unit test, call the function inside `with pgqueue.testing.running_job():`"
        )
    return job
