"""Transactions whose commit also completes a job, in threads: on connections of psycopg.

Their messages are those of the event loop's, next door.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.connect import is_readable
from pgqueue.db.exchange import RESET
from pgqueue.db.faults import as_ours
from pgqueue.db.forks import note_session
from pgqueue.db.pool import Pool
from pgqueue.db.session import KEEPALIVES
from pgqueue.db.target import keepalive_parameters, session_attributes
from pgqueue.db.waits import NotBegun, waiting
from pgqueue.drivers.psycopg_message import has_ended, send
from pgqueue.errors import ConfigError, DatabaseError, PoolTimeout
from pgqueue.running import RunningJob
from pgqueue.worker.forked import refuse_in_forks
from pgqueue.worker.run.deadlines import Deadlines
from pgqueue.worker.run.lost_commit import ask_blocking, ended_inside, not_ours, session_ended
from pgqueue.worker.run.not_begun import is_away_for_psycopg, not_begun, of_psycopg
from pgqueue.worker.run.own_commit import BEGIN, is_receipt_refused, is_refused, last_message
from pgqueue.worker.run.whole_batch import complete_all
from pgqueue.worker.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg import Connection as SyncConnection

__all__ = ["BlockingTransactions"]

log = logging.getLogger("pgqueue.worker")

_LOOK_EVERY = 0.25
_DISCARD = b"discard all"


class _Session:
    """A connection, and what its session has prepared of ours."""

    __slots__ = ("connection", "prepared")

    def __init__(self, connection: SyncConnection[Any]) -> None:
        self.connection = connection
        self.prepared: set[str] = set()


class BlockingTransactions:
    """Begins and ends them. A job waits for its turn for as long as it may last itself.

    ``connections``: how many may be open at once; one is opened when a job finds none that is idle.
    """

    def __init__(self, pool: Pool, *, deadline: float, connections: int) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._deadline = deadline
        self._idle: list[_Session] = []
        self._connections = connections
        self._deadlines = Deadlines()
        self._turns = threading.BoundedSemaphore(connections)
        self._long = Seldom()
        self._closed = False

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
                session = self._begin()
            except BaseException:
                self._turns.release()
                raise
        return session, session.connection

    def _begin(self) -> _Session:
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
                    "waits on; all %d are in use: raise max_transactions, or lower concurrency",
                    job.id, job.task, self._deadline, self._connections,
                )  # fmt: skip

    def _connect(self) -> _Session:
        import psycopg

        while self._idle:
            session = self._idle.pop()
            idle = session.connection
            if not idle.closed and not idle.broken and not is_readable(idle.fileno()):
                self._send_begin(idle)
                return session
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
        self._send_begin(fresh)
        return _Session(fresh)

    def _send_begin(self, connection: SyncConnection[Any]) -> None:
        with self._deadlines.at_most(self._deadline, connection):
            try:
                send(connection, BEGIN)
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

    def end(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None:
        """Complete the job and commit; or roll back, if there was an error."""
        if error is None:
            refuse_in_forks(self._pid)
        elif os.getpid() != self._pid:
            return
        session: _Session = handle
        connection = session.connection
        try:
            with self._deadlines.at_most(self._deadline, connection):
                if error is None:
                    self._complete(session, job, others)
                else:
                    self._roll_back(session)
        except NotBegun as exc:
            if error is None:
                text = f"the transaction of job {job.id} was rolled back: {exc}"
                raise DatabaseError(text) from exc.__cause__
        finally:
            if connection.closed:
                with contextlib.suppress(Exception):
                    connection.close()
            else:
                self._idle.append(session)
                if self._closed:  # its thread outlived the worker
                    self.close()
            self._turns.release()

    def _roll_back(self, session: _Session) -> None:
        try:
            send(session.connection, "rollback" if self._pool.pooled else f"rollback;{RESET}")
            if not self._pool.pooled:
                _forget_prepared(session)
        except Exception:
            session.connection.close()

    def _complete(self, session: _Session, job: RunningJob, others: Sequence[RunningJob]) -> None:
        import psycopg

        connection, pooled = session.connection, self._pool.pooled
        if connection.closed or has_ended(connection):
            connection.close()
            raise session_ended(job)
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            connection.close()  # it may have begun something else
            raise ended_inside(job)
        if others:
            try:
                complete_all(connection, self._pool, others)
            except BaseException:
                self._roll_back(session)
                raise
        message = last_message(
            self._pool.schema, job, prepared=None if pooled else session.prepared, count=not pooled
        )
        try:
            prepared = _send_last(connection, message.text)
        except psycopg.Error as exc:
            self._settle(session, job, exc, is_new=bool(message.prepares))
        else:
            session.prepared.update(message.prepares)
            if prepared not in ("", "0"):
                _forget_prepared(session)
        for one in (job, *others):
            one.mark_completed()

    def _settle(
        self, session: _Session, job: RunningJob, failed: psycopg.Error, *, is_new: bool
    ) -> None:
        """Return if it was committed all the same; raise what the handler is to hear if not."""
        from psycopg.pq import TransactionStatus

        connection, pool = session.connection, self._pool
        status = connection.info.transaction_status
        if status == TransactionStatus.INERROR:
            if is_new:
                connection.close()  # nobody knows whether it came so far as to prepare
            else:
                self._roll_back(session)
        else:  # the commit was refused, or its answer is lost, or what is behind it failed
            connection.close()
            if status == TransactionStatus.UNKNOWN or not is_refused(failed.sqlstate):
                ask_blocking(pool, job, failed)
                return
        if is_receipt_refused(failed.sqlstate, str(failed)):
            raise not_ours(job)
        raise as_ours(failed, pool.dsn) from failed

    def close(self) -> None:
        """Close the idle psycopg connections, and those that threads give back later."""
        self._closed = True
        while self._idle:
            self._idle.pop().connection.close()
        self._deadlines.close()


def _forget_prepared(session: _Session) -> None:
    """Forget what the handler has prepared, and ours with it; the driver hears of it."""
    connection = session.connection
    connection.autocommit = True
    connection.execute(_DISCARD)
    connection.autocommit = False
    session.prepared.clear()


def _send_last(connection: SyncConnection[Any], text: str) -> str:
    if failpoints.armed is not None:
        failpoints.armed.reach(
            "thread_transaction.before_commit", lambda: failpoints.shut(connection.fileno())
        )
    answer = send(connection, text)
    if failpoints.armed is not None:

        def lose() -> None:
            import psycopg

            connection.close()
            raise psycopg.OperationalError("cut after the commit")

        failpoints.armed.reach("thread_transaction.after_commit", lose)
    return answer
