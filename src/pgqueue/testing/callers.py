"""``job.transaction(connection)`` and ``job.complete(connection)`` in a test.

The task completes its job on a connection of its own, and so in the test's transaction, which holds
the job: it has to be the connection that the test lends, or a session over that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from pgqueue.db.statements import statement
from pgqueue.drivers import arun, async_driver, run, sync_driver
from pgqueue.errors import ConfigError, LeaseLost
from pgqueue.running import RunningJob
from pgqueue.testing.inline_store import InlineStore
from pgqueue.testing.savepoint import Savepoint
from pgqueue.testing.wire import at_once

__all__ = ["InlineCallers"]

_WITH = "write: with job.transaction(connection)"
_ASYNC_WITH = "write: async with job.transaction(connection)"


class InlineCallers:
    """Begins a savepoint where a worker begins a transaction."""

    def __init__(self, store: InlineStore) -> None:
        self._store = store
        self._wire = store.wire
        self._session = statement("own_session", store.schema)

    def complete(self, job: RunningJob, connection: object) -> None:
        """Complete a job in a transaction that the caller commits."""
        sync_driver(connection, "write: await job.acomplete(connection)")
        self._check(job, connection)
        job.mark_in_doubt()
        at_once(self._finish(job))

    async def acomplete(self, job: RunningJob, connection: object) -> None:
        """Do what ``complete`` does, on an asynchronous connection or session."""
        async_driver(connection, "write: job.complete(connection)")
        await self._acheck(job, connection)
        job.mark_in_doubt()
        await self._finish(job)

    @contextmanager
    def transaction(self, job: RunningJob, connection: object) -> Generator[None]:
        """Complete the job at the end of the block, or go back to where it began."""
        unit: Any = sync_driver(connection, _ASYNC_WITH).unit
        block = self._savepoint(connection) or _Block(unit(connection))
        at_once(block.begin())
        try:
            self._check(job, connection)
            yield
            at_once(self._finish(job))
        except BaseException:
            at_once(block.go_back())
            raise
        at_once(block.end())
        job.mark_completed()

    @asynccontextmanager
    async def atransaction(self, job: RunningJob, connection: object) -> AsyncGenerator[None]:
        """Do what ``transaction`` does, on an asynchronous connection or session."""
        unit: Any = async_driver(connection, _WITH).aunit
        block = self._savepoint(connection) or _AsyncBlock(unit(connection))
        await block.begin()
        try:
            await self._acheck(job, connection)
            yield
            await self._finish(job)
        except BaseException:
            await block.go_back()
            raise
        await block.end()
        job.mark_completed()

    async def settle(self, job: RunningJob) -> None:
        """Look, where ``complete()`` was called, whether the task rolled it back."""
        if await self._wire.rows("read_job", job.id, job.token):
            job.mark_undone()
        else:
            job.mark_completed()

    def _savepoint(self, connection: object) -> Savepoint | None:
        """Return a savepoint where this is the test's own, in whose transaction it is already."""
        same = connection is self._wire.connection or self._wire.driver == "django"
        return self._wire.savepoint() if same else None

    def _check(self, job: RunningJob, connection: object) -> None:
        if self._wire.asynchronous or run(connection, self._session) != run(
            self._wire.connection, self._session
        ):
            raise _another(job)

    async def _acheck(self, job: RunningJob, connection: object) -> None:
        if not self._wire.asynchronous or await arun(connection, self._session) != await arun(
            self._wire.connection, self._session
        ):
            raise _another(job)

    async def _finish(self, job: RunningJob) -> None:
        if not await self._store.complete(job):
            raise LeaseLost(f"job {job.id} is not this attempt's any more")


class _Block:
    """What a driver begins for a block, as a savepoint."""

    def __init__(self, unit: Any) -> None:
        self._unit = unit

    async def begin(self) -> None:
        self._unit.__enter__()

    async def end(self) -> None:
        self._unit.__exit__(None, None, None)

    async def go_back(self) -> None:
        undo = _Undo()
        with suppress(Exception):  # the error that is on its way says more
            self._unit.__exit__(_Undo, undo, None)


class _AsyncBlock(_Block):
    """The same for a unit that is awaited."""

    async def begin(self) -> None:
        await self._unit.__aenter__()

    async def end(self) -> None:
        await self._unit.__aexit__(None, None, None)

    async def go_back(self) -> None:
        undo = _Undo()
        with suppress(Exception):
            await self._unit.__aexit__(_Undo, undo, None)


class _Undo(Exception):
    """Ends a block without its commit."""


def _another(job: RunningJob) -> ConfigError:
    return ConfigError(
        f"job {job.id} ({job.task}) is in the transaction of the test, and is completed in no "
        "other: let the task use the connection that the test lends, or a session over it"
    )
