"""Whether a job's commit was carried out that got no answer: the database is asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pgqueue.db.pool import Pool
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, DatabaseError, LeaseLost, OutcomeUnknown
from pgqueue.running import RunningJob

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["ask", "ended_inside", "not_ours", "session_ended"]

_TRIES = 5


async def ask(pool: Pool, job: RunningJob, failed: BaseException) -> None:
    """Return if the lost commit was carried out; raise if not, or if nobody can tell."""
    for tried in range(_TRIES):
        await asyncio.sleep(0.1 * 2**tried)
        try:
            # The first waits for that commit to end either way, the second sees what it left.
            held = await _fetch(pool, "hold_job", job.id, job.token)
            done = await _fetch(pool, "find_finished", [job.id], [job.token])
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


async def _fetch(pool: Pool, name: str, *args: Any) -> list[Record]:
    async def work(connection: Connection) -> list[Record]:
        async with connection.transaction():
            return await connection.fetch(statement(name, pool.schema), *args)

    return await pool.arun(work, checked=False)


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
