"""``job.transaction()`` in a test: a savepoint of the test's own transaction."""

from __future__ import annotations

from typing import Any

from pgqueue.errors import ConfigError, LeaseLost
from pgqueue.running import RunningJob
from pgqueue.testing.callers import InlineCallers
from pgqueue.testing.inline_store import InlineStore
from pgqueue.testing.savepoint import Savepoint
from pgqueue.testing.wire import at_once

__all__ = ["InlineTransactions"]


class InlineTransactions:
    """Hands the task the test's connection, below any framework: asyncpg's or psycopg's."""

    drained = True

    def __init__(self, store: InlineStore) -> None:
        self._store = store
        self.callers = InlineCallers(store)

    async def abegin(self, job: RunningJob) -> tuple[Any, Any]:
        """Set a savepoint; return it, and the connection of asyncpg."""
        connection = await self._below(job, "asyncpg")
        savepoint = self._store.wire.savepoint()
        await savepoint.begin()
        return savepoint, connection

    async def aend(
        self, handle: Savepoint, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None:
        """Complete the job, or go back to the savepoint. A drain runs batches of one job."""
        assert not others
        if error is not None:
            await handle.go_back()
            return
        if not await self._store.complete(job):
            await handle.go_back()
            raise LeaseLost(f"job {job.id} is not this attempt's any more; all is rolled back")
        await handle.end()
        job.mark_completed()

    def begin(self, job: RunningJob) -> tuple[Any, Any]:
        """Do what ``abegin`` does, with a connection of psycopg."""
        connection = at_once(self._below(job, "psycopg"))
        savepoint = self._store.wire.savepoint()
        at_once(savepoint.begin())
        return savepoint, connection

    def end(
        self, handle: Savepoint, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None:
        """Do what ``aend`` does, on a blocking connection."""
        at_once(self.aend(handle, job, error, *others))

    async def _below(self, job: RunningJob, driver: str) -> Any:
        wire = self._store.wire
        raw: Any = wire.connection
        if wire.driver == "django":
            raw = raw.connection
        elif wire.driver == "sqlalchemy":
            raw = await _below_sqlalchemy(raw, asynchronous=wire.asynchronous)
        lent = type(raw).__module__.partition(".")[0]
        if lent != driver:
            raise ConfigError(
                f"job.transaction() of job {job.id} ({job.task}) gives a connection of {driver}, "
                f"and the test lends one of {lent}; lend one of {driver} to drain this task"
            )
        return raw


async def _below_sqlalchemy(connection: Any, *, asynchronous: bool) -> Any:
    """Return the driver's own connection of a session or a connection."""
    if hasattr(connection, "flush"):
        connection = connection.connection()
        connection = await connection if asynchronous else connection
    if asynchronous:
        return (await connection.get_raw_connection()).driver_connection
    return connection.connection.driver_connection
