"""Transactions whose commit also completes a job.

The completion is the last statement before the commit, with the receipt: if it matches no row, the
attempt does not own the job any more and everything rolls back. A commit is never cancelled: its
outcome would be unknown. When the connection breaks in the commit, the database is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.connect import fd_of, is_readable
from pgqueue.db.faults import as_ours, is_connection_loss
from pgqueue.db.forks import note_session
from pgqueue.db.pool import Pool
from pgqueue.db.session import KEEPALIVES
from pgqueue.db.statements import statement
from pgqueue.db.target import session_attributes
from pgqueue.errors import ConfigError, DatabaseError, LeaseLost, OutcomeUnknown, Unreachable
from pgqueue.running import RunningJob

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from asyncpg import Connection, Record
    from asyncpg.transaction import Transaction
    from psycopg import Connection as SyncConnection

__all__ = ["JobTransactions"]

_ASK_TRIES = 5


class JobTransactions:
    """Begins and ends them on the app's connections: asyncpg on the loop, psycopg in threads."""

    def __init__(self, pool: Pool, *, deadline: float) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._deadline = deadline
        self._finish = statement("finish_jobs", pool.schema)
        self._held = statement("hold_job", pool.schema)
        self._finished = statement("find_finished", pool.schema)
        self._open = statement("open_transaction", pool.schema)
        self._reset = ";".join(statement(s, pool.schema) for s in ("reset_role", "discard_temp"))
        self._discard = statement("discard_session", pool.schema)
        self._idle: list[SyncConnection[Any]] = []
        # A limit of its own, here as in threads: inside its block a handler may enqueue.
        self._room = asyncio.Semaphore(pool.size)
        self._free = threading.BoundedSemaphore(pool.size)

    def _refuse_in_forks(self) -> None:
        if os.getpid() != self._pid:
            raise ConfigError(
                f"this process was forked from the worker, process {self._pid}: job.transaction() "
                "belongs there, where the job is completed"
            )

    # -- on the loop

    async def abegin(self) -> tuple[Any, Connection]:
        """Borrow a connection and begin."""
        self._refuse_in_forks()
        lent = self._pool.connection(self._room)
        connection = await lent.__aenter__()
        transaction = connection.transaction()
        doubt = self._pool.doubt(connection, time.monotonic() + self._deadline)
        try:
            await transaction.start()
        except BaseException as exc:
            connection.terminate()
            await lent.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        finally:
            doubt.end()
        return (lent, connection, transaction), connection

    async def aend(self, handle: Any, job: RunningJob, error: BaseException | None) -> None:
        """Complete the job and commit; or roll back, if there was an error."""
        if error is None:
            self._refuse_in_forks()
        elif os.getpid() != self._pid:
            return
        lent: AbstractAsyncContextManager[Connection]
        connection: Connection
        transaction: Transaction
        lent, connection, transaction = handle
        doubt = self._pool.doubt(connection, time.monotonic() + self._deadline)
        try:
            if error is not None:
                await self._roll_back(connection, transaction)
                return
            await self._complete(connection, transaction, job)
        finally:
            try:
                await self._clean(connection)
            finally:
                doubt.end()
                await lent.__aexit__(None, None, None)

    async def _roll_back(self, connection: Connection, transaction: Transaction) -> None:
        if connection.is_closed():
            return
        try:
            await asyncio.shield(transaction.rollback())
        except BaseException as exc:
            # A connection that cannot roll back does so by ending.
            connection.terminate()
            if not isinstance(exc, Exception):
                raise

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
            raise DatabaseError(
                f"the transaction of job {job.id} was rolled back: its session ended while no "
                "statement ran, as by idle_in_transaction_session_timeout, transaction_timeout, "
                "pg_terminate_backend() or a restart of the server"
            )
        if not connection.is_in_transaction():
            raise ConfigError(
                f"the transaction of job {job.id} was ended inside its block; "
                "leaving the block does that"
            )
        if failpoints.armed is not None:
            failpoints.armed.reach("transaction.before_finish", lambda: _shut(connection))
        try:
            rows = await connection.fetch(self._finish, [job.id], [job.token], "completed")
        except BaseException as exc:
            await self._roll_back(connection, transaction)
            if isinstance(exc, Exception):
                raise as_ours(exc, self._pool.dsn) from exc
            raise
        if rows[0][0] is not None:
            await self._roll_back(connection, transaction)
            raise _lost(job)
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
            await self._ask(job, failed)
        job.mark_completed()
        if cancelled is not None:
            raise cancelled

    async def _ask(self, job: RunningJob, failed: BaseException) -> None:
        """Return if the lost commit was carried out; raise if not, or if nobody can tell."""
        for tried in range(_ASK_TRIES):
            await asyncio.sleep(0.1 * 2**tried)
            try:
                # The first waits for that commit to end either way, the second sees what it left.
                held = await self._fetch(self._held, job.id, job.token)
                done = await self._fetch(self._finished, [job.id], [job.token])
            except DatabaseError:
                continue
            if done and not held:
                return
            raise DatabaseError(
                f"the transaction of job {job.id} was rolled back: its connection was lost"
            ) from failed
        raise OutcomeUnknown(
            f"the connection was lost in the commit of job {job.id}, and nobody can be asked"
        ) from failed

    async def _fetch(self, sql: str, *args: Any) -> list[Record]:
        async def work(connection: Connection) -> list[Record]:
            async with connection.transaction():
                return await connection.fetch(sql, *args)

        return await self._pool.arun(work, checked=False)

    # -- in threads

    def begin(self) -> tuple[Any, SyncConnection[Any]]:
        """Borrow a psycopg connection; its first statement begins."""
        self._refuse_in_forks()
        try:
            import psycopg
        except ImportError as exc:
            raise ConfigError(
                "job.transaction() in a thread needs psycopg: pip install 'pgqueue[psycopg]'"
            ) from exc
        if not self._free.acquire(timeout=self._deadline):
            raise Unreachable(
                f"all {self._pool.size} connections were in use for {self._deadline:g} s; "
                "raise pool_size"
            )
        try:
            while self._idle:
                idle = self._idle.pop()
                if not idle.closed and not idle.broken and not is_readable(idle.fileno()):
                    self._open_on(idle)
                    return idle, idle
                idle.close()  # the server hung up, and the job is not to pay for it
            fresh = psycopg.connect(
                self._pool.dsn,
                connect_timeout=int(max(2, self._deadline)),
                application_name="pgqueue task",
                prepare_threshold=None,
                **self._options(),
                **self._attributes(),
            )
            note_session(fresh)
            self._open_on(fresh)
        except psycopg.Error as exc:
            self._free.release()
            raise as_ours(exc, self._pool.dsn, connecting=True) from exc
        except BaseException:
            self._free.release()
            raise
        return fresh, fresh

    def _open_on(self, connection: SyncConnection[Any]) -> None:
        timer = _hang_up_after(self._deadline, connection)
        try:
            connection.execute(self._open.encode())
        finally:
            timer.cancel()

    def _options(self) -> dict[str, Any]:
        """Return what joins the options of the dsn; a pooler would refuse them."""
        from psycopg.conninfo import conninfo_to_dict

        if self._pool.pooler != "none":
            return {}
        given = conninfo_to_dict(self._pool.dsn).get("options") or os.environ.get("PGOPTIONS", "")
        ours = (f"-c {name}={value}" for name, value in KEEPALIVES.items())
        return {"options": " ".join((str(given), *ours)).strip()}

    def _attributes(self) -> dict[str, Any]:
        """Return which of several hosts will do, where the dsn does not say."""
        attributes = session_attributes(self._pool.dsn)
        return {} if attributes is None else {"target_session_attrs": attributes}

    def end(self, handle: Any, job: RunningJob, error: BaseException | None) -> None:
        """Complete the job and commit; or roll back, if there was an error."""
        import psycopg

        if error is None:
            self._refuse_in_forks()
        elif os.getpid() != self._pid:
            return
        connection: SyncConnection[Any] = handle
        timer = _hang_up_after(self._deadline, connection)
        try:
            if error is not None:
                connection.rollback()
                return
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                raise ConfigError(
                    f"the transaction of job {job.id} was ended inside its block; "
                    "leaving the block does that"
                )
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(
                    self._finish.encode(), ([job.id], [job.token], "completed"), prepare=False
                )
                row = cursor.fetchone()
            if row is None or row[0] is not None:
                connection.rollback()
                raise _lost(job)
            try:
                _commit_blocking(connection)
            except psycopg.OperationalError as exc:
                connection.close()
                self._ask_blocking(job, exc)
            job.mark_completed()
        except psycopg.Error as exc:
            connection.close()
            if error is None:
                raise as_ours(exc, self._pool.dsn) from exc
        finally:
            self._clean_blocking(connection)
            timer.cancel()
            if connection.closed:
                with contextlib.suppress(Exception):
                    connection.close()
            else:
                self._idle.append(connection)
            self._free.release()

    def _clean_blocking(self, connection: SyncConnection[Any]) -> None:
        if self._pool.pooled or connection.closed:
            return
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute(self._discard.encode())
            connection.autocommit = False
        except Exception:
            connection.close()

    def _ask_blocking(self, job: RunningJob, failed: BaseException) -> None:
        asyncio.run(self._ask(job, failed))

    def close(self) -> None:
        """Close the idle psycopg connections."""
        while self._idle:
            self._idle.pop().close()


async def _commit(connection: Connection, transaction: Transaction) -> None:
    if failpoints.armed is not None:
        failpoints.armed.reach("transaction.before_commit", lambda: _shut(connection))
    await transaction.commit()
    if failpoints.armed is not None:

        def lose() -> None:
            connection.terminate()
            raise ConnectionResetError("cut after the commit")

        failpoints.armed.reach("transaction.after_commit", lose)


def _commit_blocking(connection: SyncConnection[Any]) -> None:
    if failpoints.armed is not None:
        failpoints.armed.reach(
            "thread_transaction.before_commit", lambda: failpoints.shut(connection.fileno())
        )
    connection.commit()
    if failpoints.armed is not None:

        def lose() -> None:
            import psycopg

            raise psycopg.OperationalError("cut after the commit")

        failpoints.armed.reach("thread_transaction.after_commit", lose)


def _shut(connection: Connection) -> None:
    failpoints.shut(fd_of(connection))


def _hang_up_after(seconds: float, connection: SyncConnection[Any]) -> threading.Timer:
    """Shut the connection's socket down unless cancelled: libpq itself would wait for ever."""

    def hang_up() -> None:
        with contextlib.suppress(Exception):
            own = socket.socket(fileno=os.dup(connection.fileno()))
            with own:
                own.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    return timer


def _lost(job: RunningJob) -> LeaseLost:
    return LeaseLost(
        f"job {job.id} is not this attempt's any more (its lease ran out, or it was cancelled); "
        "everything in this transaction was rolled back"
    )
