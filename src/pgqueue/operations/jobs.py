"""Verbs on jobs: look, cancel, retry."""

from __future__ import annotations

from collections.abc import Iterable

from pgqueue import admin
from pgqueue.admin import JobFilter, check_ids, check_page
from pgqueue.admin.info import CancelResult, JobInfo, RetryResult
from pgqueue.config import check_int
from pgqueue.operations.base import Base

__all__ = ["JobOperations"]


class JobOperations(Base):
    """Look at jobs, cancel them, retry them."""

    def get_job(self, job_id: int) -> JobInfo | None:
        """Return a job, wherever it is; None if there is none of that id."""
        (one,) = check_ids(job_id)
        return self.pool.run(lambda c: admin.get_job(c, self.schema, one), what="get_job")

    async def aget_job(self, job_id: int) -> JobInfo | None:
        """Return a job, wherever it is; None if there is none of that id."""
        (one,) = check_ids(job_id)
        return await self.pool.arun(lambda c: admin.get_job(c, self.schema, one))

    def list_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[JobInfo]:
        """Return a page of jobs, newest first; the next page ends below the last one's id.

        ``running`` jobs are looked for among the first 10,000 of each queue and priority, where
        claims take them. DatabaseError if it would take more than 5 s.
        """
        which = JobFilter(state, queue, task, tag)
        size, below = check_page(limit, before_id)
        return self.pool.run(
            lambda c: admin.list_jobs(c, self.schema, which, limit=size, before_id=below),
            what="list_jobs",
        )

    async def alist_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[JobInfo]:
        """Return a page of jobs, newest first; see ``list_jobs``."""
        which = JobFilter(state, queue, task, tag)
        size, below = check_page(limit, before_id)
        return await self.pool.arun(
            lambda c: admin.list_jobs(c, self.schema, which, limit=size, before_id=below)
        )

    def match_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        limit: int = 1000,
    ) -> list[int]:
        """Return ids of live jobs that fit and were not asked to stop: what a bulk cancel takes."""
        which = JobFilter(state, queue, task, tag)
        size = check_int(limit, "limit", 1, 100_000)
        return self.pool.run(
            lambda c: admin.match_jobs(c, self.schema, which, limit=size), what="match_jobs"
        )

    async def amatch_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        limit: int = 1000,
    ) -> list[int]:
        """Return ids of live jobs that fit and were not asked to stop: what a bulk cancel takes."""
        which = JobFilter(state, queue, task, tag)
        size = check_int(limit, "limit", 1, 100_000)
        return await self.pool.arun(lambda c: admin.match_jobs(c, self.schema, which, limit=size))

    def cancel(self, ids: int | Iterable[int]) -> list[CancelResult]:
        """Cancel jobs: at once where they wait, by asking the worker where they run.

        Answers one result an id, in ascending order; a job that is over is left as it is.
        """
        checked = check_ids(ids)
        return self.pool.run(lambda c: admin.cancel(c, self.schema, checked), what="cancel")

    async def acancel(self, ids: int | Iterable[int]) -> list[CancelResult]:
        """Cancel jobs; see ``cancel``."""
        checked = check_ids(ids)
        return await self.pool.arun(lambda c: admin.cancel(c, self.schema, checked))

    def retry(self, ids: int | Iterable[int]) -> list[RetryResult]:
        """Make jobs ready now: scheduled ones, and cancelled and dead ones with all attempts anew.

        Answers one result an id, in ascending order. One that is ready, running or completed is
        left as it is; so is one whose unique key a live job has.
        """
        checked = check_ids(ids)
        return self.pool.run(lambda c: admin.retry(c, self.schema, checked), what="retry")

    async def aretry(self, ids: int | Iterable[int]) -> list[RetryResult]:
        """Make jobs ready now; see ``retry``."""
        checked = check_ids(ids)
        return await self.pool.arun(lambda c: admin.retry(c, self.schema, checked))
