"""Looks at jobs: one, a page of them, or the ids of those that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgqueue.admin.filters import JobFilter
from pgqueue.admin.info import COUNT_BOUND, JobInfo
from pgqueue.admin.rows import job_info
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement
from pgqueue.errors import DatabaseError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["get_job", "list_jobs", "match_jobs"]

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
) -> list[JobInfo]:
    """Return the newest ``limit`` jobs below ``before_id``.

    DatabaseError if none is found and there are more jobs than are looked at.
    """
    name, args = _page(which, limit, before_id)
    last: int | None = None
    async with reading(connection, schema, what="the list", advice=_ADVICE):
        rows = await connection.fetch(statement(name, schema), *args)
        if not rows and name == "list_jobs":
            last = await connection.fetchval(
                statement("last_looked_at", schema), which.state, before_id, LIST_BOUND
            )
    if last is not None:
        raise DatabaseError(
            f"none of the {LIST_BOUND:,} jobs that were looked at fits, and there are more below "
            f"id {last}; before_id={last} goes on from there"
        )
    return [job_info(dict(row.items())) for row in rows]


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
