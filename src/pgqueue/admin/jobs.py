"""Looks at jobs: one, a page of them, or the ids of those that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgqueue.admin.filters import JobFilter
from pgqueue.admin.info import COUNT_BOUND, JobInfo, JobPage
from pgqueue.admin.rows import job_info
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Connection, Record

__all__ = ["get_job", "list_jobs", "match_jobs", "page_of"]

_ADVICE = "narrow it: give a state, queue or task that more jobs have, or a lower before_id"
LIST_BOUND = 100_000
"""A list looks at so many jobs: history may have a thousand times as many."""
_WAITING = ("pending", "scheduled", "blocked")


async def get_job(connection: Connection, schema: str, job_id: int) -> JobInfo | None:
    """Return a job, wherever it is; None if there is none of that id."""
    async with reading(connection, schema, what="the look-up", advice="try again"):
        row = await connection.fetchrow(statement("get_job", schema), job_id)
    return None if row is None else job_info(dict(row.items()))


async def list_jobs(
    connection: Connection, schema: str, which: JobFilter, *, limit: int, before_id: int
) -> JobPage:
    """Return the newest ``limit`` jobs below ``before_id``, among LIST_BOUND of them."""
    name, args = _page(which, limit, before_id)
    last: int | None = None
    async with reading(connection, schema, what="the list", advice=_ADVICE):
        rows = await connection.fetch(statement(name, schema), *args)
        if len(rows) < limit and name == "list_jobs":
            last = await connection.fetchval(
                statement("last_looked_at", schema), which.state, before_id, LIST_BOUND
            )
    return page_of(rows, limit, last)


def page_of(rows: Sequence[Record], limit: int, last: int | None = None) -> JobPage:
    """Return the page of these rows. ``last``: there are jobs below this id that may fit."""
    ids = [row["id"] for row in rows]
    if len(ids) == limit:
        last = ids[-1]
    # Jobs that came meanwhile move the last one up: none is listed twice.
    before_id = None if last is None else min([*ids[-1:], last])
    return JobPage((job_info(dict(row.items())) for row in rows), before_id)


def _page(which: JobFilter, limit: int, before_id: int) -> tuple[str, tuple[Any, ...]]:
    rest = (which.queue, which.task, which.tag, which.flow, which.flow_key, before_id, limit)
    if which.state == "running":
        return "list_running_jobs", (*rest, COUNT_BOUND)
    if which.state in _WAITING:
        return "list_waiting_jobs", (which.state, *rest)
    return "list_jobs", (which.state, *rest, LIST_BOUND)


async def match_jobs(
    connection: Connection, schema: str, which: JobFilter, *, limit: int
) -> list[int]:
    """Return the ids of up to ``limit`` live jobs that fit and were not asked to stop."""
    async with reading(connection, schema, what="the search", advice=_ADVICE, scan=True):
        rows = await connection.fetch(
            statement("match_jobs", schema), which.state, which.queue, which.task, which.tag,
            which.flow, which.flow_key, limit,
        )  # fmt: skip
    return sorted(row["id"] for row in rows)
