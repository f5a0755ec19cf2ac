"""With what the transaction of a batch completes all of its jobs but the one whose end commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgqueue.db.exchange import BY_INDEX
from pgqueue.db.faults import as_ours
from pgqueue.db.pool import Pool
from pgqueue.db.statements import statement
from pgqueue.drivers import arun, run
from pgqueue.errors import LeaseLost, OutcomeUnknown
from pgqueue.running import RunningJob
from pgqueue.worker.run.lost_commit import rolled_back

__all__ = ["acomplete_all", "complete_all"]


def complete_all(connection: object, pool: Pool, jobs: Sequence[RunningJob]) -> None:
    """Complete jobs without a flow, by ascending id, in a transaction that goes on."""
    try:
        run(connection, BY_INDEX)
        refused = run(connection, *_completing(pool.schema, jobs))[0][0] is not None
    except Exception as exc:
        raise _ours(exc, pool, jobs) from exc
    if refused:
        raise _one_not_ours()


async def acomplete_all(connection: object, pool: Pool, jobs: Sequence[RunningJob]) -> None:
    """Do what ``complete_all`` does, on an asynchronous connection."""
    try:
        await arun(connection, BY_INDEX)
        refused = (await arun(connection, *_completing(pool.schema, jobs)))[0][0] is not None
    except Exception as exc:
        raise _ours(exc, pool, jobs) from exc
    if refused:
        raise _one_not_ours()


def _ours(error: Exception, pool: Pool, jobs: Sequence[RunningJob]) -> Exception:
    """Return the error of ours that says the same. Nothing can have been committed yet."""
    ours = as_ours(error, pool.dsn)
    return rolled_back(jobs[0]) if isinstance(ours, OutcomeUnknown) else ours


def _completing(schema: str, jobs: Sequence[RunningJob]) -> tuple[Any, ...]:
    """Return the statement that answers null if all receipts were good, and its values after it."""
    receipts = [job.id for job in jobs], [job.token for job in jobs]
    return (statement("finish_jobs", schema), *receipts, "completed")


def _one_not_ours() -> LeaseLost:
    """Return the error of a batch of which a receipt is not good any more."""
    return LeaseLost(
        "a job of the batch is not this attempt's any more (its lease ran out, or it was "
        "cancelled); everything in this transaction was rolled back"
    )
