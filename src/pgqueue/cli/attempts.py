"""What a job's attempts took, and which of their tracebacks say the same. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pgqueue.admin.info import AttemptError, JobInfo

__all__ = ["ran_seconds", "tracebacks_once", "waited_seconds"]


def waited_seconds(job: JobInfo) -> float | None:
    """Return how long the last attempt was due before a worker took it; None before that."""
    if job.claimed_at is None or job.run_at is None:
        return None
    return max(0.0, (job.claimed_at - job.run_at).total_seconds())


def ran_seconds(
    claimed_at: datetime | None, ended_at: datetime | None, now: datetime
) -> float | None:
    """Return how long an attempt took, or has taken so far; None if it was never claimed."""
    if claimed_at is None:
        return None
    return max(0.0, ((ended_at or now) - claimed_at).total_seconds())


def tracebacks_once(
    errors: Sequence[AttemptError],
) -> Iterator[tuple[AttemptError, int | None]]:
    """Yield each error with the first attempt that has the same text; None where it is new."""
    first: dict[tuple[str, str, str], int | None] = {}
    for error in errors:
        text = (error.type, error.message, error.traceback)
        same = first.get(text) if error.traceback else None
        first.setdefault(text, error.attempt)
        yield error, same
