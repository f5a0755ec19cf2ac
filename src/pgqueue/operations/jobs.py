"""Verbs on jobs: look, cancel, retry."""

from __future__ import annotations

from collections.abc import Iterable

from pgqueue import admin
from pgqueue.admin import JobFilter, check_ids, check_page
from pgqueue.admin.info import JobInfo, JobPage
from pgqueue.admin.results import CancelResult, RetryResult
from pgqueue.config import check_int
from pgqueue.operations.verbs import Base, Work, awaitable, blocking

__all__ = ["JobOperations"]


class JobOperations(Base):
    """Look at jobs, cancel them, retry them."""

    @blocking
    def get_job(self, job_id: int, *, connection: object | None = None) -> Work[JobInfo | None]:
        """Return a job, wherever it is; None if there is none of that id."""
        (one,) = check_ids(job_id)
        return Work(lambda c: admin.get_job(c, self.schema, one), connection=connection)

    @blocking
    def why_waiting(
        self, job_id: int, *, connection: object | None = None
    ) -> Work[tuple[str, ...]]:
        """Return what keeps a job from running now, a sentence each.

        It is due later, its flow is at a limit, a queue, flow or key is paused, nobody serves its
        queue or knows its task, other jobs are before it, all workers are busy. None for a job that
        runs, is over, or is not there.
        """
        (one,) = check_ids(job_id)
        return Work(lambda c: admin.why_waiting(c, self.schema, one), connection=connection)

    @blocking
    def list_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        flow: str | None = None,
        flow_key: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
        connection: object | None = None,
    ) -> Work[JobPage]:
        """Return a page of jobs, newest first.

        The next page is that with ``before_id=page.before_id``, unless that is None. A page looks
        at 100,000 jobs at most: it may be shorter than ``limit``, or empty, and not be the last.
        ``running`` jobs are looked for among the first 10,000 of each queue and priority, where
        claims take them. DatabaseError if it would take more than 5 s.
        """
        which = JobFilter(state, queue, task, tag, flow, flow_key)
        size, below = check_page(limit, before_id)
        return Work(
            lambda c: admin.list_jobs(c, self.schema, which, limit=size, before_id=below),
            connection=connection,
        )

    @blocking
    def match_jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        flow: str | None = None,
        flow_key: str | None = None,
        limit: int = 1000,
        connection: object | None = None,
    ) -> Work[list[int]]:
        """Return ids of live jobs that fit and were not asked to stop: what a bulk cancel takes."""
        which = JobFilter(state, queue, task, tag, flow, flow_key)
        size = check_int(limit, "limit", 1, 100_000)
        return Work(
            lambda c: admin.match_jobs(c, self.schema, which, limit=size), connection=connection
        )

    @blocking
    def cancel(
        self, ids: int | Iterable[int], *, connection: object | None = None
    ) -> Work[list[CancelResult]]:
        """Cancel jobs: at once where they wait, by asking the worker where they run.

        Answers one result an id, in ascending order; a job that is over is left as it is.
        """
        checked = check_ids(ids)
        return Work(lambda c: admin.cancel(c, self.schema, checked), connection=connection)

    @blocking
    def retry(
        self, ids: int | Iterable[int], *, connection: object | None = None
    ) -> Work[list[RetryResult]]:
        """Make jobs ready now: scheduled ones, and cancelled and dead ones with all attempts anew.

        Answers one result an id, in ascending order. One that is ready, running or completed is
        left as it is; so is one whose unique key a live job has.
        """
        checked = check_ids(ids)
        return Work(lambda c: admin.retry(c, self.schema, checked), connection=connection)

    aget_job = awaitable(get_job)
    awhy_waiting = awaitable(why_waiting)
    alist_jobs = awaitable(list_jobs, "Return a page of jobs, newest first; see ``list_jobs``.")
    amatch_jobs = awaitable(match_jobs)
    acancel = awaitable(cancel, "Cancel jobs; see ``cancel``.")
    aretry = awaitable(retry, "Make jobs ready now; see ``retry``.")
