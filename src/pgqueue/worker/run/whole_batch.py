"""The statement with which the transaction of a batch completes all of its jobs but one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgqueue.db.statements import statement
from pgqueue.errors import LeaseLost
from pgqueue.running import RunningJob

__all__ = ["completing_all", "one_not_ours"]


def completing_all(schema: str, jobs: Sequence[RunningJob]) -> tuple[Any, ...]:
    """Return the statement that answers null if all receipts were good, and its values after it."""
    receipts = [job.id for job in jobs], [job.token for job in jobs]
    return (statement("finish_jobs", schema), *receipts, "completed")


def one_not_ours() -> LeaseLost:
    """Return the error of a batch of which a receipt is not good any more."""
    return LeaseLost(
        "a job of the batch is not this attempt's any more (its lease ran out, or it was "
        "cancelled); everything in this transaction was rolled back"
    )
