"""Transactions whose commit also completes a job, on the event loop; in threads, see next door.

A transaction takes two messages of ours: its beginning, and its end, which completes the job with
the receipt, commits, and cleans the session. If the receipt matches no row, the attempt does not
own the job any more: the server skips the commit, and everything rolls back. Where other jobs wait
for a connection, the end begins the next one's transaction, too.

The end is never given up half-way: its outcome would be unknown. When the connection breaks in it,
the database is asked.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pgqueue import failpoints
from pgqueue.db.connect import fd_of
from pgqueue.db.exchange import RESET
from pgqueue.db.faults import as_ours, is_connection_loss
from pgqueue.db.pool import Pool
from pgqueue.db.waits import waiting
from pgqueue.drivers.asyncpg_message import begun, committed
from pgqueue.errors import Unreachable
from pgqueue.running import RunningJob
from pgqueue.worker.forked import refuse_in_forks
from pgqueue.worker.run.callers import CallersTransactions
from pgqueue.worker.run.lost_commit import ask, ended_inside, not_ours, session_ended
from pgqueue.worker.run.not_begun import not_begun
from pgqueue.worker.run.own_commit import (
    BEGIN,
    is_forgotten,
    is_receipt_refused,
    is_refused,
    last_message,
)
from pgqueue.worker.run.transaction_blocking import BlockingTransactions
from pgqueue.worker.run.turns import Turns
from pgqueue.worker.run.whole_batch import acomplete_all
from pgqueue.worker.timings import TIMINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Connection
    from asyncpg.transaction import Transaction

__all__ = ["JobTransactions"]


class _Open:
    """A job's transaction.

    ``next_begun``: its end has begun the next one's on the connection. ``is_new``: the session has
    not prepared what completes this job.
    """

    __slots__ = ("connection", "is_new", "next_begun", "transaction")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transaction: Transaction = begun(connection)
        self.next_begun = False
        self.is_new = True


class JobTransactions:
    """Begins and ends them on the app's connections: asyncpg on the loop, psycopg in threads.

    ``connections``: how many may be open at once, on the loop and in threads each. A connection is
    opened when a job finds none that is idle. A job waits for its turn for as long as it may last.
    """

    drained = False

    def __init__(
        self,
        pool: Pool,
        *,
        deadline: float,
        connections: int = 10,
        roll_back: float = TIMINGS.stop.roll_back,
    ) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._deadline = deadline
        self._roll_back_seconds = roll_back
        # A limit of its own, here as in threads: inside its block a handler may enqueue.
        self._turns = Turns["Connection"](connections)
        self._prepared: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
        blocking = BlockingTransactions(pool, deadline=deadline, connections=connections)
        self.begin, self.end, self.close = blocking.begin, blocking.end, blocking.close
        self._warn = blocking.warn
        self.callers = CallersTransactions(pool)

    async def abegin(self, job: RunningJob) -> tuple[Any, Connection]:
        """Wait for a turn, borrow a connection and begin. NotBegun: the server is away."""
        refuse_in_forks(self._pid)
        with waiting():
            connection = await self._wait_turn(job)
            if connection is None or connection.is_closed():
                try:
                    connection = await self._begin()
                except BaseException as exc:
                    self._turns.give(None)
                    if isinstance(exc, Unreachable):
                        raise not_begun(exc) from exc.__cause__
                    raise
        return _Open(connection), connection

    async def _wait_turn(self, job: RunningJob) -> Connection | None:
        """Return a connection on which a transaction was begun for this job, if one was."""
        if not self._turns.all_taken:
            return await self._turns.take()
        warning = asyncio.get_running_loop().call_later(self._deadline, self._warn, job)
        try:
            return await self._turns.take()
        finally:
            warning.cancel()

    async def _begin(self) -> Connection:
        connection = await self._pool.take()
        stall = self._pool.check_stall(connection, time.monotonic() + self._deadline)
        try:
            await connection.execute(BEGIN)
        except BaseException as exc:
            connection.terminate()
            if isinstance(exc, Exception):
                raise Unreachable(
                    f"no transaction could be begun: {exc}; nothing was done"
                ) from exc
            raise
        finally:
            stall.end()
        return connection

    async def aend(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None:
        """Complete the job and commit; or roll back, if there was an error.

        ``others``: those of its batch, by ascending id.
        """
        if error is None:
            refuse_in_forks(self._pid)
        elif os.getpid() != self._pid:
            return
        own: _Open = handle
        stall = self._pool.check_stall(own.connection, time.monotonic() + self._deadline)
        try:
            if error is None:
                await self._complete(own, job, others)
            else:
                await self._roll_back(own)
        finally:
            stall.end()
            self._give_back(own)

    def _give_back(self, own: _Open) -> None:
        if own.next_begun and not own.connection.is_closed():
            self._turns.give(own.connection)
        else:
            self._pool.put(own.connection)
            self._turns.give(None)

    async def _roll_back(self, own: _Open) -> None:
        connection = own.connection
        if connection.is_closed():
            return
        rollback = asyncio.ensure_future(self._undo(own))
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

    async def _undo(self, own: _Open) -> None:
        await own.transaction.rollback()
        if not self._pool.pooled:
            await own.connection.execute(RESET)

    async def _complete(self, own: _Open, job: RunningJob, others: Sequence[RunningJob]) -> None:
        connection = own.connection
        if connection.is_closed():
            raise session_ended(job)
        if not connection.is_in_transaction():
            connection.terminate()  # it may have begun something else
            raise ended_inside(job)
        if others:
            try:
                await acomplete_all(connection, self._pool, others)
            except BaseException:
                await self._roll_back(own)
                raise
        if failpoints.armed is not None:
            failpoints.armed.reach("transaction.before_finish", lambda: _shut(connection))
        sending = asyncio.ensure_future(self._send_last(own, job))
        cancelled = await self._outlast(sending, connection)
        if (failed := sending.exception()) is not None:
            await self._settle(own, job, failed, cancelled)
        for one in (job, *others):
            one.mark_completed()
        if cancelled is not None:
            raise cancelled

    async def _outlast(
        self, sending: asyncio.Future[None], connection: Connection
    ) -> asyncio.CancelledError | None:
        """Wait until it is done; return how this was cancelled meanwhile, which shortens it."""
        stall = None
        cancelled: asyncio.CancelledError | None = None
        while not sending.done():
            try:
                await asyncio.wait([sending])
            except asyncio.CancelledError as exc:
                cancelled = exc
                if stall is None:
                    until = time.monotonic() + self._roll_back_seconds
                    stall = self._pool.check_stall(connection, until)
        if stall is not None:
            stall.end()
        return cancelled

    async def _send_last(self, own: _Open, job: RunningJob) -> None:
        connection = own.connection
        if failpoints.armed is not None:
            failpoints.armed.reach("transaction.before_commit", lambda: _shut(connection))
        prepared = None if self._pool.pooled else self._prepared.setdefault(connection, set())
        begin = self._turns.awaited
        message = last_message(self._pool.schema, job, prepared=prepared, begin=begin)
        own.is_new = bool(message.prepares)
        await connection.execute(message.text)
        committed(connection, own.transaction)
        own.next_begun = begin
        if prepared is not None:
            prepared.update(message.prepares)
        if failpoints.armed is not None:

            def lose() -> None:
                connection.terminate()
                raise ConnectionResetError("cut after the commit")

            failpoints.armed.reach("transaction.after_commit", lose)

    async def _settle(
        self,
        own: _Open,
        job: RunningJob,
        failed: BaseException,
        cancelled: asyncio.CancelledError | None,
    ) -> None:
        """Return if it was committed all the same; raise what the handler is to hear if not."""
        connection, sqlstate = own.connection, getattr(failed, "sqlstate", None)
        if is_connection_loss(failed):
            await ask(self._pool, job, failed)
            return
        if not connection.is_closed() and connection.is_in_transaction():
            if own.is_new or is_forgotten(sqlstate):
                connection.terminate()  # nobody knows what it has prepared
            await self._roll_back(own)
        else:  # the commit was refused, or it was carried out and what is behind it failed
            connection.terminate()
            if not is_refused(sqlstate):
                await ask(self._pool, job, failed)
                return
        if cancelled is not None:
            raise cancelled
        if is_receipt_refused(sqlstate, str(failed)):
            raise not_ours(job)
        raise as_ours(failed, self._pool.dsn) from failed  # type: ignore[arg-type]


def _shut(connection: Connection) -> None:
    failpoints.shut(fd_of(connection))
