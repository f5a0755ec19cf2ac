"""Transactions whose commit also completes a job, in threads: on connections of psycopg."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.connect import is_readable
from pgqueue.db.faults import as_ours
from pgqueue.db.forks import note_session
from pgqueue.db.pool import Pool
from pgqueue.db.session import KEEPALIVES
from pgqueue.db.statements import statement
from pgqueue.db.target import keepalive_parameters, session_attributes
from pgqueue.db.waits import NotBegun, waiting
from pgqueue.errors import ConfigError, DatabaseError, PoolTimeout
from pgqueue.running import RunningJob
from pgqueue.worker.forked import refuse_in_forks
from pgqueue.worker.run.lost_commit import ask_blocking, ended_inside, not_ours
from pgqueue.worker.run.not_begun import is_away_for_psycopg, not_begun, of_psycopg
from pgqueue.worker.run.own_commit import finishing
from pgqueue.worker.seldom import Seldom

if TYPE_CHECKING:
    from psycopg import Connection as SyncConnection

__all__ = ["BlockingTransactions"]

log = logging.getLogger("pgqueue.worker")

_LOOK_EVERY = 0.25


class BlockingTransactions:
    """Begins and ends them. A job waits for its turn for as long as it may last itself."""

    def __init__(self, pool: Pool, *, deadline: float) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._deadline = deadline
        self._open = statement("open_transaction", pool.schema)
        self._discard = statement("discard_session", pool.schema)
        self._idle: list[SyncConnection[Any]] = []
        self._turns = threading.BoundedSemaphore(pool.size)
        self._long = Seldom()

    def begin(self, job: RunningJob) -> tuple[Any, SyncConnection[Any]]:
        """Wait for a turn, borrow a connection and begin. NotBegun: the server is away."""
        try:
            import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as exc:
            raise ConfigError(
                "job.transaction() in a thread needs psycopg: pip install 'pgqueue-py[psycopg]'"
            ) from exc
        refuse_in_forks(self._pid)
        with waiting():
            self._wait_turn(job)
            try:
                connection = self._begin()
            except BaseException:
                self._turns.release()
                raise
        return connection, connection

    def _begin(self) -> SyncConnection[Any]:
        import psycopg

        try:
            return self._connect()
        except psycopg.Error as exc:
            if is_away_for_psycopg(self._pool, exc):
                raise NotBegun(str(of_psycopg(exc, self._pool.dsn))) from exc
        try:
            return self._connect()  # it may have been away for a moment only
        except psycopg.Error as exc:
            raise not_begun(of_psycopg(exc, self._pool.dsn)) from exc

    def _wait_turn(self, job: RunningJob) -> None:
        """A thread cannot be cancelled: it looks now and then whether its job should end."""
        warn_at = time.monotonic() + self._deadline
        while not self._turns.acquire(timeout=_LOOK_EVERY):
            if job.is_cancelled:
                raise PoolTimeout(
                    f"job {job.id} was told to end while it waited for a connection; "
                    "nothing was sent"
                )
            if time.monotonic() >= warn_at:
                warn_at = float("inf")
                self.warn(job)

    def warn(self, job: RunningJob) -> None:
        """Say that a job waits for long, once in a while: where one does, many do."""
        if self._long.count():
            with contextlib.suppress(Exception):
                log.warning(
                    "job %d (%s) has waited for a connection of job.transaction() for %g s, and "
                    "waits on; all %d are in use: raise pool_size, or lower concurrency",
                    job.id, job.task, self._deadline, self._pool.size,
                )  # fmt: skip

    def _connect(self) -> SyncConnection[Any]:
        import psycopg

        while self._idle:
            idle = self._idle.pop()
            if not idle.closed and not idle.broken and not is_readable(idle.fileno()):
                self._open_on(idle)
                return idle
            idle.close()  # the server hung up, and the job is not to pay for it
        dsn = self._pool.source.ask()
        fresh = psycopg.connect(
            dsn,
            connect_timeout=int(max(2, self._deadline)),
            application_name="pgqueue task",
            prepare_threshold=None,
            **keepalive_parameters(dsn),
            **self._options(dsn),
            **self._attributes(dsn),
        )
        note_session(fresh)
        self._open_on(fresh)
        return fresh

    def _open_on(self, connection: SyncConnection[Any]) -> None:
        with _at_most(self._deadline, connection):
            try:
                connection.execute(self._open.encode())
            except BaseException:
                connection.close()
                raise

    def _options(self, dsn: str) -> dict[str, Any]:
        """Return what joins the options of the dsn; a pooler would refuse them."""
        from psycopg.conninfo import conninfo_to_dict

        if self._pool.pooler != "none":
            return {}
        given = conninfo_to_dict(dsn).get("options") or os.environ.get("PGOPTIONS", "")
        ours = (f"-c {name}={value}" for name, value in KEEPALIVES.items())
        return {"options": " ".join((str(given), *ours)).strip()}

    @staticmethod
    def _attributes(dsn: str) -> dict[str, Any]:
        """Return which of several hosts will do, where the dsn does not say."""
        attributes = session_attributes(dsn)
        return {} if attributes is None else {"target_session_attrs": attributes}

    def end(self, handle: Any, job: RunningJob, error: BaseException | None) -> None:
        """Complete the job and commit; or roll back, if there was an error."""
        if error is None:
            refuse_in_forks(self._pid)
        elif os.getpid() != self._pid:
            return
        connection: SyncConnection[Any] = handle
        try:
            with _at_most(self._deadline, connection):
                try:
                    self._end(connection, job, error)
                finally:
                    self._clean_blocking(connection)
        except NotBegun as exc:
            if error is None:
                text = f"the transaction of job {job.id} was rolled back: {exc}"
                raise DatabaseError(text) from exc.__cause__
        finally:
            if connection.closed:
                with contextlib.suppress(Exception):
                    connection.close()
            else:
                self._idle.append(connection)
            self._turns.release()

    def _end(
        self, connection: SyncConnection[Any], job: RunningJob, error: BaseException | None
    ) -> None:
        import psycopg

        try:
            if error is not None:
                connection.rollback()
                return
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                raise ended_inside(job)
            sql, values = finishing(self._pool.schema, job)
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(sql.encode(), values, prepare=False)
                row = cursor.fetchone()
            if row is None or row[0] is not None:
                connection.rollback()
                raise not_ours(job)
            try:
                _commit_blocking(connection)
            except psycopg.OperationalError as exc:
                connection.close()
                ask_blocking(self._pool, job, exc)
            job.mark_completed()
        except psycopg.Error as exc:
            connection.close()
            if error is None:
                raise as_ours(exc, self._pool.dsn) from exc

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

    def close(self) -> None:
        """Close the idle psycopg connections."""
        while self._idle:
            self._idle.pop().close()


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


@contextlib.contextmanager
def _at_most(seconds: float, connection: SyncConnection[Any]) -> Generator[None]:
    """Shut the connection's socket down if the body takes longer: libpq would wait for ever.

    Where no thread can be had for that, the connection is closed: NotBegun.
    """

    def hang_up() -> None:
        with contextlib.suppress(Exception):
            own = socket.socket(fileno=os.dup(connection.fileno()))
            with own:
                own.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    try:
        timer.start()
    except BaseException as exc:
        connection.close()
        if isinstance(exc, RuntimeError):
            raise NotBegun(f"no thread could be had for its deadline: {exc}") from exc
        raise
    try:
        yield
    finally:
        timer.cancel()
