"""Everything at one moment, for a dashboard or a look before going home."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pgqueue.admin.fleet import read_queues, read_workers
from pgqueue.admin.flow_look import still_flows
from pgqueue.admin.home import find_copy
from pgqueue.admin.info import COUNT_BOUND, Count, QueueInfo, Status
from pgqueue.admin.repair import find_damage
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement
from pgqueue.failure import MISFIT

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["status"]

# Their errors are read, which may be long: of an incident as well, when many wait.
_MISFITS_OF = 1_000
_SCHEDULES = 1_000


async def status(connection: Connection, schema: str) -> Status:
    """Return one snapshot: every figure in it is of the same moment."""
    async with reading(connection, schema, what="the status", advice="try again"):
        counted = await connection.fetchrow(statement("count_states", schema), COUNT_BOUND)
        assert counted is not None
        queues = await read_queues(connection, schema)
        fleet = await read_workers(connection, schema)
        copy_of = await find_copy(connection, schema)
        damage = await find_damage(connection, schema)
        late = await connection.fetch(statement("find_late_schedules", schema), _SCHEDULES)
        still = await still_flows(connection, schema)
        misfits = []
        if await connection.fetchval(statement("may_read_errors", schema)):
            misfits = await connection.fetch(statement("find_misfits", schema), _MISFITS_OF, MISFIT)
    cut = counted["scheduled"] > _MISFITS_OF
    ages = [
        queue.oldest_ready_seconds for queue in queues if queue.oldest_ready_seconds is not None
    ]
    return Status(
        schema=schema,
        schema_version=counted["version"] or 0,
        jobs=_jobs(dict(counted.items()), queues),
        queues=tuple(queues),
        workers=tuple(fleet),
        oldest_ready_seconds=max(ages, default=None),
        next_due_seconds=counted["next_due"],
        misfits={row["task"]: Count.bounded(row["jobs"], cut=cut) for row in misfits},
        still_flows=tuple(still),
        copy_of=copy_of,
        damage=damage,
        late_schedules={row["name"]: row["late"] for row in late if not row["orphaned"]},
        orphaned_schedules=tuple(row["name"] for row in late if row["orphaned"]),
    )


def _jobs(counted: Mapping[str, Any], queues: list[QueueInfo]) -> dict[str, Count]:
    completed, cancelled = _finished(counted["seen"], counted["cancelled"], counted["estimate"])
    return {
        "scheduled": Count.bounded(counted["scheduled"]),
        "blocked": Count.bounded(counted["blocked"]),
        "pending": _sum(queue.ready for queue in queues),
        "running": _sum(queue.running for queue in queues),
        "completed": completed,
        "cancelled": cancelled,
        "dead": Count.bounded(counted["dead"]),
    }


def _sum(counts: Iterable[Count]) -> Count:
    parts = list(counts)
    exact = all(part.exact for part in parts)
    return Count(sum(parts), "exact" if exact else "at least")


def _finished(seen: int, cancelled: int, estimate: int) -> tuple[Count, Count]:
    """Completed and cancelled: counted, or estimated with the shares of those that were counted."""
    if seen <= COUNT_BOUND:
        return Count(seen - cancelled), Count(cancelled)
    total = max(estimate, seen)
    share = round(total * cancelled / seen)
    return Count(total - share, "about"), Count(share, "about")
