"""Whether a job's commit was carried out that got no answer: the database is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pgqueue.db.faults import Contended
from pgqueue.db.pool import Pool
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, DatabaseError, LeaseLost, OutcomeUnknown
from pgqueue.running import RunningJob

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = [
    "ask",
    "ask_blocking",
    "ended_inside",
    "not_ours",
    "rolled_back",
    "session_ended",
    "was_committed",
]

_OPEN_SECONDS = 2.0
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


async def ask(pool: Pool, job: RunningJob, failed: BaseException) -> None:
    """Return if the lost commit was carried out; raise if not, or if nobody can tell."""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        try:
            committed = await pool.arun(_look(pool, job), checked=False)
        except DatabaseError:
            continue
        return _tell(job, failed, committed=committed)
    raise _nobody_to_ask(job) from failed


def ask_blocking(pool: Pool, job: RunningJob, failed: BaseException) -> None:
    """As ``ask``, in a thread: on a connection that threads share, and that is closed with them."""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            committed = pool.run(_look(pool, job), what="job.transaction()", checked=False)
        except DatabaseError:
            continue
        return _tell(job, failed, committed=committed)
    raise _nobody_to_ask(job) from failed


async def was_committed(pool: Pool, job: RunningJob) -> bool | None:
    """Return whether the caller committed what ``complete()`` did; None if nobody can tell.

    A transaction that stays open is waited for, but not for long: it does not count.
    """
    for pause in (0.0, *_PAUSES):
        await asyncio.sleep(pause)
        try:
            return await pool.arun(_look(pool, job, _OPEN_SECONDS), checked=False)
        except Contended:
            return False
        except DatabaseError:
            continue
    return None


def _look(
    pool: Pool, job: RunningJob, seconds: float | None = None
) -> Callable[[Connection], Awaitable[bool]]:
    hold, find = statement("hold_job", pool.schema), statement("find_finished", pool.schema)

    async def look(connection: Connection) -> bool:
        # The first waits for that commit to end either way, the second sees what it left.
        async with connection.transaction():
            if seconds is not None:
                await connection.execute(f"set local lock_timeout = {int(seconds * 1000)}")
            held = await connection.fetch(hold, job.id, job.token)
        async with connection.transaction():
            done = await connection.fetch(find, [job.id], [job.token])
        return bool(done) and not held

    return look


def _tell(job: RunningJob, failed: BaseException, *, committed: bool) -> None:
    if not committed:
        raise rolled_back(job) from failed


def rolled_back(job: RunningJob) -> DatabaseError:
    """Return the error of a transaction that surely was not committed."""
    return DatabaseError(
        f"the transaction of job {job.id} was rolled back: its connection was lost"
    )


def _nobody_to_ask(job: RunningJob) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the connection was lost in the commit of job {job.id}, and nobody can be asked"
    )


def not_ours(job: RunningJob) -> LeaseLost:
    """Return the error of an attempt whose receipt is not good any more."""
    return LeaseLost(
        f"job {job.id} is not this attempt's any more (its lease ran out, or it was cancelled); "
        "everything in this transaction was rolled back"
    )


def session_ended(job: RunningJob) -> DatabaseError:
    """Return the error of a block whose session ended while it sent nothing."""
    return DatabaseError(
        f"the transaction of job {job.id} was rolled back: its session ended while no statement "
        "ran, as by idle_in_transaction_session_timeout, transaction_timeout, "
        "pg_terminate_backend() or a restart of the server"
    )


def ended_inside(job: RunningJob) -> ConfigError:
    """Return the error of a block that committed or rolled back by itself."""
    return ConfigError(
        f"the transaction of job {job.id} was ended inside its block; leaving the block does that"
    )
