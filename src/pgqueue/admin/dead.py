"""Dead letters: look, count, redrive those that fit, purge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgqueue.admin.filters import DeadFilter, JobFilter
from pgqueue.admin.info import COUNT_BOUND, Count, JobPage
from pgqueue.admin.jobs import page_of
from pgqueue.admin.results import DeadCount, PurgeResult, RedriveResult
from pgqueue.admin.retry import redrive
from pgqueue.admin.session import reading, writing
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["count_dead", "list_dead", "purge_dead", "redrive_dead"]

_ADVICE = "narrow it: give a queue, task or reason that more of them have, or a lower before_id"


async def list_dead(
    connection: Connection,
    schema: str,
    which: JobFilter,
    reason: str | None,
    *,
    limit: int,
    before_id: int,
) -> JobPage:
    """Return the newest ``limit`` dead letters below ``before_id``."""
    async with reading(connection, schema, what="the list", advice=_ADVICE):
        rows = await connection.fetch(
            statement("list_dead", schema), which.queue, which.task, reason, before_id, limit
        )
    return page_of(rows, limit)


async def count_dead(connection: Connection, schema: str) -> list[DeadCount]:
    """Count the dead letters by queue and task, of the 10,000 that died last."""
    async with reading(connection, schema, what="the count", advice="try again"):
        rows = await connection.fetch(statement("count_dead", schema), COUNT_BOUND + 1)
    cut = sum(row["jobs"] for row in rows) > COUNT_BOUND
    return [
        DeadCount(
            row["queue"],
            row["task"],
            Count.bounded(row["jobs"], cut=cut),
            row["oldest"],
            row["newest"],
        )
        for row in rows
    ]


async def redrive_dead(
    connection: Connection,
    schema: str,
    which: DeadFilter,
    *,
    limit: int,
    after_id: int,
    dry_run: bool,
) -> RedriveResult:
    """Redrive up to ``limit`` dead letters that fit, lowest id first, from behind ``after_id``."""
    if which == DeadFilter(ids=which.ids) and which.ids is not None and not dry_run:
        jobs = await redrive(connection, schema, which.ids)
        return RedriveResult(tuple(jobs), Count(len(jobs)), max(which.ids, default=0), False, False)
    ids = await _match(connection, schema, which, COUNT_BOUND + 1 if dry_run else limit, after_id)
    last = ids[-1] if ids else after_id
    if dry_run:
        return RedriveResult((), Count.bounded(len(ids)), last, len(ids) > COUNT_BOUND, True)
    jobs = await redrive(connection, schema, ids)
    return RedriveResult(tuple(jobs), Count(len(ids)), last, len(ids) == limit, False)


async def purge_dead(
    connection: Connection, schema: str, which: DeadFilter, *, limit: int, dry_run: bool
) -> PurgeResult:
    """Delete up to ``limit`` dead letters that fit, lowest id first."""
    if dry_run:
        ids = await _match(connection, schema, which, COUNT_BOUND + 1, -(2**63))
        return PurgeResult(Count.bounded(len(ids)), 0, len(ids) > COUNT_BOUND, True)
    async with writing(connection, schema, what="purge"):
        rows = await connection.fetch(
            statement("purge_dead", schema),
            which.ids,
            which.queue,
            which.task,
            which.reason,
            which.older_than,
            limit,
        )
    return PurgeResult(Count(len(rows)), len(rows), len(rows) == limit, False)


async def _match(
    connection: Connection, schema: str, which: DeadFilter, limit: int, after_id: int
) -> list[int]:
    async with reading(connection, schema, what="the search", advice=_ADVICE):
        rows = await connection.fetch(
            statement("match_dead", schema),
            which.ids,
            which.queue,
            which.task,
            which.reason,
            which.older_than,
            after_id,
            limit,
        )
    return [row["id"] for row in rows]
