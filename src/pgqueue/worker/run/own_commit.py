"""The statement with which a handler's transaction completes its job."""

from __future__ import annotations

from typing import Any

from pgqueue.db.statements import statement
from pgqueue.running import RunningJob

__all__ = ["completing", "finishing"]


def finishing(schema: str, job: RunningJob) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that answers null if the receipt was good, and its values."""
    if job.flow is None:
        return statement("finish_jobs", schema), ([job.id], [job.token], "completed")
    return statement("finish_flow_jobs", schema), ([job.id], [job.token], "completed", [job.used])


def completing(schema: str, job: RunningJob) -> tuple[Any, ...]:
    """Return the statement that answers 1 if the receipt was good, and its values after it."""
    if job.flow is None:
        return statement("complete_job", schema), job.id, job.token
    return statement("complete_flow_job", schema), job.id, job.token, job.used
