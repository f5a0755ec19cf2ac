"""Transactions whose commit also completes a job, on the event loop; in threads, see next door.

The completion is the last statement before the commit, with the receipt: if it matches no row, the
attempt does not own the job any more and everything rolls back. A commit is never cancelled: its
outcome would be unknown. When the connection breaks in the commit, the database is asked.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.connect import fd_of
from pgqueue.db.faults import as_ours, is_connection_loss
from pgqueue.db.pool import Pool
from pgqueue.db.statements import statement
from pgqueue.db.waits import waiting
from pgqueue.errors import Unreachable
from pgqueue.running import RunningJob
from pgqueue.worker.forked import refuse_in_forks
from pgqueue.worker.run.callers import CallersTransactions
from pgqueue.worker.run.lost_commit import ask, ended_inside, not_ours, session_ended
from pgqueue.worker.run.not_begun import not_begun
from pgqueue.worker.run.own_commit import finishing
from pgqueue.worker.run.transaction_blocking import BlockingTransactions
from pgqueue.worker.timings import TIMINGS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from asyncpg import Connection
    from asyncpg.transaction import Transaction

__all__ = ["JobTransactions"]

# A rollback takes no time: who does not answer one is silent, or busy with what was cancelled.


class JobTransactions:
    """Begins and ends them on the app's connections: asyncpg on the loop, psycopg in threads.

    A job waits for its turn at a connection for as long as it may last itself.
    """

    drained = False

    def __init__(
        self, pool: Pool, *, deadline: float, roll_back: float = TIMINGS.stop.roll_back
    ) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._deadline = deadline
        self._roll_back_seconds = roll_back
        self._reset = ";".join(statement(s, pool.schema) for s in ("reset_role", "discard_temp"))
        # A limit of its own, here as in threads: inside its block a handler may enqueue.
        self._turns = asyncio.Semaphore(pool.size)
        self._lent = asyncio.Semaphore(pool.size)  # never waited for: a turn was had before
        blocking = BlockingTransactions(pool, deadline=deadline)
        self.begin, self.end, self.close = blocking.begin, blocking.end, blocking.close
        self._warn = blocking.warn
        self.callers = CallersTransactions(pool)

    async def abegin(self, job: RunningJob) -> tuple[Any, Connection]:
        """Wait for a turn, borrow a connection and begin. NotBegun: the server is away."""
        refuse_in_forks(self._pid)
        with waiting():
            await self._wait_turn(job)
            try:
                return await self._begin()
            except BaseException as exc:
                self._turns.release()
                if isinstance(exc, Unreachable):
                    raise not_begun(exc) from exc.__cause__
                raise

    async def _wait_turn(self, job: RunningJob) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        warning = asyncio.get_running_loop().call_later(self._deadline, self._warn, job)
        try:
            await self._turns.acquire()
        finally:
            warning.cancel()

    async def _begin(self) -> tuple[Any, Connection]:
        lent = self._pool.connection(self._lent)
        connection = await lent.__aenter__()
        transaction = connection.transaction()
        stall = self._pool.check_stall(connection, time.monotonic() + self._deadline)
        try:
            await transaction.start()
        except BaseException as exc:
            connection.terminate()
            await lent.__aexit__(type(exc), exc, exc.__traceback__)
            if isinstance(exc, Exception):
                raise Unreachable(
                    f"no transaction could be begun: {exc}; nothing was done"
                ) from exc
            raise
        finally:
            stall.end()
        return (lent, connection, transaction), connection

    async def aend(self, handle: Any, job: RunningJob, error: BaseException | None) -> None:
        """Complete the job and commit; or roll back, if there was an error."""
        if error is None:
            refuse_in_forks(self._pid)
        elif os.getpid() != self._pid:
            return
        lent: AbstractAsyncContextManager[Connection]
        connection: Connection
        transaction: Transaction
        lent, connection, transaction = handle
        stall = self._pool.check_stall(connection, time.monotonic() + self._deadline)
        try:
            if error is not None:
                await self._roll_back(connection, transaction)
                return
            await self._complete(connection, transaction, job)
        finally:
            try:
                await self._clean(connection)
            finally:
                stall.end()
                try:
                    await lent.__aexit__(None, None, None)
                finally:
                    self._turns.release()

    async def _roll_back(self, connection: Connection, transaction: Transaction) -> None:
        if connection.is_closed():
            return
        rollback = asyncio.ensure_future(transaction.rollback())
        # Where we are cancelled, nobody else asks what it came to.
        rollback.add_done_callback(lambda task: task.cancelled() or task.exception())
        stall = self._pool.check_stall(connection, time.monotonic() + self._roll_back_seconds, None)
        try:
            await asyncio.shield(rollback)
        except BaseException as exc:
            # A connection that cannot roll back does so by ending.
            connection.terminate()
            if not isinstance(exc, Exception):
                raise
        finally:
            stall.end()

    async def _clean(self, connection: Connection) -> None:
        """Let the next job find nothing of this one's in the session."""
        if self._pool.pooled or connection.is_closed():
            return
        try:
            # The driver's own reset, and what it leaves: in one round trip.
            await connection.execute(f"{connection.get_reset_query()}\n{self._reset}")
        except BaseException as exc:
            connection.terminate()
            if not isinstance(exc, Exception):
                raise

    async def _complete(
        self, connection: Connection, transaction: Transaction, job: RunningJob
    ) -> None:
        if connection.is_closed():
            raise session_ended(job)
        if not connection.is_in_transaction():
            raise ended_inside(job)
        if failpoints.armed is not None:
            failpoints.armed.reach("transaction.before_finish", lambda: _shut(connection))
        try:
            sql, values = finishing(self._pool.schema, job)
            rows = await connection.fetch(sql, *values)
        except BaseException as exc:
            await self._roll_back(connection, transaction)
            if isinstance(exc, Exception):
                raise as_ours(exc, self._pool.dsn) from exc
            raise
        if rows[0][0] is not None:
            await self._roll_back(connection, transaction)
            raise not_ours(job)
        commit = asyncio.ensure_future(_commit(connection, transaction))
        cancelled: asyncio.CancelledError | None = None
        while not commit.done():
            try:
                await asyncio.wait([commit])
            except asyncio.CancelledError as exc:
                cancelled = exc
        failed = commit.exception()
        if failed is not None:
            if not is_connection_loss(failed):
                connection.terminate()
                raise as_ours(failed, self._pool.dsn) from failed  # type: ignore[arg-type]
            await ask(self._pool, job, failed)
        job.mark_completed()
        if cancelled is not None:
            raise cancelled


async def _commit(connection: Connection, transaction: Transaction) -> None:
    if failpoints.armed is not None:
        failpoints.armed.reach("transaction.before_commit", lambda: _shut(connection))
    await transaction.commit()
    if failpoints.armed is not None:

        def lose() -> None:
            connection.terminate()
            raise ConnectionResetError("cut after the commit")

        failpoints.armed.reach("transaction.after_commit", lose)


def _shut(connection: Connection) -> None:
    failpoints.shut(fd_of(connection))
