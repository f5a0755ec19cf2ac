"""Verbs on dead letters: look, count, redrive, purge."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pgqueue import admin
from pgqueue.admin import DeadFilter, JobFilter, check_page
from pgqueue.admin.filters import LARGEST_ID, check_reason
from pgqueue.admin.info import JobPage
from pgqueue.admin.results import DeadCount, PurgeResult, RedriveResult
from pgqueue.config import check_int
from pgqueue.operations.verbs import Base, Work, awaitable, blocking

__all__ = ["DeadOperations"]


class DeadOperations(Base):
    """Look at dead letters, redrive them, purge them."""

    @blocking
    def list_dead(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
        connection: object | None = None,
    ) -> Work[JobPage]:
        """Return a page of dead letters, newest first; ``reason``: a part of it, in any case.

        The next page is that with ``before_id=page.before_id``, unless that is None.
        """
        which = JobFilter(None, queue, task)
        part = check_reason(reason)
        size, below = check_page(limit, before_id)
        return Work(
            lambda c: admin.list_dead(c, self.schema, which, part, limit=size, before_id=below),
            connection=connection,
        )

    @blocking
    def count_dead(self, *, connection: object | None = None) -> Work[list[DeadCount]]:
        """Count the dead letters by queue and task, of the 10,000 that died last."""
        return Work(lambda c: admin.count_dead(c, self.schema), connection=connection)

    @blocking
    def redrive(
        self,
        ids: int | Iterable[int] | None = None,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        older_than: float | timedelta | None = None,
        limit: int = 1000,
        after_id: int | None = None,
        dry_run: bool = False,
        connection: object | None = None,
    ) -> Work[RedriveResult]:
        """Make dead jobs ready again: the same ids, all attempts anew, their errors kept.

        By ids, or up to ``limit`` that fit, lowest id first; while ``more``, go on with
        ``after_id=result.last_id``. One whose unique key a live job has stays dead, and says so.
        ``older_than``: dead for so many seconds. ConfigError for a wrong value, or no filter.
        """
        which = DeadFilter.of(ids, queue=queue, task=task, reason=reason, older_than=older_than)
        size, after = _batch(limit, after_id)
        return Work(
            lambda c: admin.redrive_dead(
                c, self.schema, which, limit=size, after_id=after, dry_run=dry_run
            ),
            connection=connection,
        )

    @blocking
    def purge_dead(
        self,
        ids: int | Iterable[int] | None = None,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        older_than: float | timedelta | None = None,
        limit: int = 10_000,
        dry_run: bool = False,
        connection: object | None = None,
    ) -> Work[PurgeResult]:
        """Delete dead letters for good, up to ``limit`` at once; ask again while ``more``.

        Each filter narrows; one must be given. ``older_than``: seconds since it died.
        """
        which = DeadFilter.of(ids, queue=queue, task=task, reason=reason, older_than=older_than)
        size, _ = _batch(limit, None)
        return Work(
            lambda c: admin.purge_dead(c, self.schema, which, limit=size, dry_run=dry_run),
            connection=connection,
        )

    alist_dead = awaitable(
        list_dead, "Return a page of dead letters, newest first; see ``list_dead``."
    )
    acount_dead = awaitable(count_dead)
    aredrive = awaitable(redrive, "Make dead jobs ready again; see ``redrive``.")
    apurge_dead = awaitable(purge_dead, "Delete dead letters for good; see ``purge_dead``.")


def _batch(limit: object, after_id: object | None) -> tuple[int, int]:
    size = check_int(limit, "limit", 1, 100_000)
    if after_id is None:
        return size, -LARGEST_ID - 1
    return size, check_int(after_id, "after_id", -LARGEST_ID - 1, LARGEST_ID)
