"""A job that its handler completes: in a transaction of ours, or on a connection of its own."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from asyncpg import Connection
    from psycopg import Connection as SyncConnection

    from pgqueue.running import RunningJob, Transactions

__all__ = ["Callers", "CallersTransaction", "Completion", "JobTransaction"]

C_co = TypeVar("C_co", covariant=True)


class Completion(Enum):
    """How far a completion by the handler itself has come."""

    IN_DOUBT = "complete() was called, and nobody has asked yet whether it was committed"
    UNDONE = "complete() was called, and was not committed"
    COMMITTED = "committed"


class Callers(Protocol):
    """Completes jobs in transactions of the caller's."""

    def transaction(self, job: RunningJob, connection: object) -> AbstractContextManager[None]: ...

    def atransaction(
        self, job: RunningJob, connection: object
    ) -> AbstractAsyncContextManager[None]: ...

    def complete(self, job: RunningJob, connection: object) -> None: ...

    async def acomplete(self, job: RunningJob, connection: object) -> None: ...

    async def settle(self, job: RunningJob) -> None: ...


class CallersTransaction(Generic[C_co]):
    """The context manager behind ``RunningJob.transaction(connection)``."""

    __slots__ = ("_block", "_callers", "_connection", "_job")

    def __init__(self, job: RunningJob, callers: Callers, connection: C_co) -> None:
        self._job = job
        self._callers = callers
        self._connection = connection
        self._block: Any = None

    def _check(self) -> None:
        self._job.check_open()
        if self._block is not None:
            raise ConfigError("this transaction was entered already; call job.transaction() anew")

    def __enter__(self) -> C_co:
        self._check()
        with self._job.entering():
            self._block = self._callers.transaction(self._job, self._connection)
            self._block.__enter__()
        return self._connection

    def __exit__(self, *error: Any) -> None:
        try:
            self._block.__exit__(*error)
        finally:
            self._job.mark_left()

    async def __aenter__(self) -> C_co:
        self._check()
        with self._job.entering():
            self._block = self._callers.atransaction(self._job, self._connection)
            await self._block.__aenter__()
        return self._connection

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._block.__aexit__(*error)
        finally:
            self._job.mark_left()


class JobTransaction:
    """The context manager behind ``RunningJob.transaction()``."""

    __slots__ = ("_handle", "_is_async", "_job", "_transactions")
    _of = "job"

    def __init__(self, job: RunningJob, transactions: Transactions, *, is_async: bool) -> None:
        self._job = job
        self._transactions = transactions
        self._is_async = is_async
        self._handle: Any = None

    def _check(self, *, asynchronous: bool) -> None:
        if asynchronous is not self._is_async:
            right = "async with" if self._is_async else "with"
            raise ConfigError(f"in this task, write: {right} {self._of}.transaction() as tx")
        self._job.check_open()
        if self._handle is not None:
            raise ConfigError(
                f"this transaction was entered already; call {self._of}.transaction() anew"
            )

    def _completes(
        self, error: BaseException | None
    ) -> tuple[RunningJob, BaseException | None, *tuple[RunningJob, ...]]:
        """Return which job it completes, or what rolls it back; and the others of a batch."""
        return self._job, error

    async def __aenter__(self) -> Connection:
        self._check(asynchronous=True)
        with self._job.entering():
            self._handle, connection = await self._transactions.abegin(self._job)
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._transactions.aend(self._handle, *self._completes(error))
        finally:
            self._job.mark_left()

    def __enter__(self) -> SyncConnection[Any]:
        self._check(asynchronous=False)
        with self._job.entering():
            self._handle, connection = self._transactions.begin(self._job)
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._transactions.end(self._handle, *self._completes(error))
        finally:
            self._job.mark_left()
