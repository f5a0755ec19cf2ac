"""Queues and workers: what they hold, how they are; pause and resume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pgqueue.admin.info import COUNT_BOUND, Count, QueueInfo, WorkerInfo, WorkerState
from pgqueue.admin.limits import read_limits
from pgqueue.admin.schedules import Actor
from pgqueue.admin.session import reading, writing
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from pgqueue.admin.limit_info import QueueLimitInfo

__all__ = ["pause", "queues", "read_queues", "read_workers", "resume", "workers"]


async def queues(connection: Connection, schema: str) -> list[QueueInfo]:
    """Return every queue that holds live jobs, was served, or was paused."""
    async with reading(connection, schema, what="counting the queues", advice="try again"):
        return await read_queues(connection, schema)


async def read_queues(connection: Connection, schema: str) -> list[QueueInfo]:
    """Return the queues as the snapshot at hand shows them."""
    counted = await connection.fetch(statement("count_queues", schema), COUNT_BOUND)
    names = [row["queue"] for row in counted]
    served = {
        row["queue"]: row for row in await connection.fetch(statement("find_served", schema), names)
    }
    limits = {one.queue: one for one in await read_limits(connection, schema)}
    return [
        QueueInfo(
            name=row["queue"],
            paused_at=row["paused_at"],
            waiting=row["waiting"],
            ready=Count.bounded(row["ready"], cut=row["cut"]),
            running=Count.bounded(row["running"]),
            scheduled=Count.bounded(row["scheduled"], cut=row["cut_scheduled"]),
            oldest_ready_seconds=row["oldest_seconds"],
            blocked=Count.bounded(row["blocked"], cut=row["cut_blocked"]),
            workers=served[row["queue"]]["workers"],
            unknown=_unknown(served[row["queue"]]["unknown"]),
            **_limits(limits.get(row["queue"])),
        )
        for row in counted
    ]


def _limits(one: QueueLimitInfo | None) -> dict[str, Any]:
    if one is None:
        return {}
    return {"concurrency": one.concurrency, "rate": one.rate, "held": one.held}


def _unknown(tasks: str | None) -> dict[str, Count]:
    found: dict[str, int] = json.loads(tasks or "{}")
    return {task: Count.bounded(jobs) for task, jobs in found.items()}


async def pause(connection: Connection, schema: str, queue: str, actor: Actor) -> bool:
    """Stop claims from a queue; True if it was not paused."""
    async with writing(connection, schema, what="pause"):
        paused = bool(await connection.fetch(statement("pause_queue", schema), queue))
        if paused:
            await connection.execute(statement("withdraw_flows", schema))
            await _note(connection, schema, queue, actor, "queue.pause")
        return paused


async def resume(connection: Connection, schema: str, queue: str, actor: Actor) -> bool:
    """Let workers claim from a queue again, at once; True if it was paused."""
    async with writing(connection, schema, what="resume"):
        resumed = bool(await connection.fetch(statement("resume_queue", schema), queue))
        if resumed:
            await connection.execute(statement("wake_queues", schema), [queue])
            await connection.execute(statement("withdraw_flows", schema))
            await _note(connection, schema, queue, actor, "queue.resume")
        return resumed


async def _note(connection: Connection, schema: str, queue: str, actor: Actor, action: str) -> None:
    await connection.execute(
        statement("write_audit", schema), actor.name, actor.via, action,
        json.dumps({"queue": queue}), actor.reason, 1,
    )  # fmt: skip


async def workers(connection: Connection, schema: str) -> list[WorkerInfo]:
    """Return every registered worker."""
    async with reading(connection, schema, what="listing the workers", advice="try again"):
        return await read_workers(connection, schema)


async def read_workers(connection: Connection, schema: str) -> list[WorkerInfo]:
    """Return the workers as the snapshot at hand shows them."""
    return [
        WorkerInfo(
            id=row["id"],
            state=_worker_state(row),
            host=row["host"],
            pid=row["pid"],
            started_at=row["started_at"],
            heartbeat_age=row["heartbeat_age"],
            lease_seconds=row["lease_seconds"],
            running=row["running"],
            concurrency=row["concurrency"],
            queues=tuple(row["queues"]),
            stopping=row["stopping"],
            version=row["version"],
            allowed_slots=row["allowed_slots"],
        )
        for row in await connection.fetch(statement("list_workers", schema))
    ]


def _worker_state(row: Record) -> WorkerState:
    if row["heartbeat_age"] > row["lease_seconds"] / 2:
        return WorkerState.LATE
    if row["stopping"]:
        return WorkerState.STOPPING
    return WorkerState.ALIVE if row["allowed_slots"] is None else WorkerState.OVERLOADED
