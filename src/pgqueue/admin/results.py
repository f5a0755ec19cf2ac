"""What became of an operator's work on jobs: plain values, no I/O."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pgqueue.admin.info import Count

__all__ = ["CancelResult", "DeadCount", "PurgeResult", "RedriveResult", "RetryResult"]


class CancelResult(msgspec.Struct, frozen=True):
    """What became of a cancel.

    ``state``: ``cancelled``, ``requested`` (it runs; its worker was asked to stop it), or what kept
    it from being cancelled: ``completed``, ``dead``, ``missing``. ``changed``: this call did it.
    ``id``: the job's.
    """

    id: int
    state: str
    changed: bool


class RetryResult(msgspec.Struct, frozen=True):
    """What became of a retry or a redrive of the job ``id``.

    ``state``: ``pending`` when it is ready, ``blocked`` when it is in the line of its flow, else
    where it still is, or ``missing``. ``changed``: this call moved it. ``holder``: the live job
    whose unique key it would need.
    """

    id: int
    state: str
    changed: bool
    holder: int | None = None


class RedriveResult(msgspec.Struct, frozen=True):
    """What became of a redrive. ``jobs``: each one that fitted; in a dry run nothing was done.

    ``matched``: how many fitted. ``last_id``: go on behind it while ``more``. ``dry_run``: it was
    only counted.
    """

    jobs: tuple[RetryResult, ...]
    matched: Count
    last_id: int
    more: bool
    dry_run: bool

    @property
    def redriven(self) -> int:
        """How many became ready."""
        return sum(job.changed for job in self.jobs)


class PurgeResult(msgspec.Struct, frozen=True):
    """What became of a purge: ``matched`` jobs fitted, and ``deleted`` are gone.

    ``more``: the limit was reached; ask again. ``dry_run``: it was only counted.
    """

    matched: Count
    deleted: int
    more: bool
    dry_run: bool


class DeadCount(msgspec.Struct, frozen=True):
    """Dead letters of one ``task`` in one ``queue``: ``jobs`` of them, dead since ``oldest`` to
    ``newest``.
    """

    queue: str
    task: str
    jobs: Count
    oldest: datetime
    newest: datetime
