"""The limits of queues: what code declares, and what operators set and reset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgqueue.admin.limit_info import QueueLimitInfo
from pgqueue.admin.schedules import Actor
from pgqueue.admin.session import reading, writing
from pgqueue.db.statements import statement
from pgqueue.flow.queue_limits import Limits, check_together

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["declare_queues", "limit_queue", "list_limits", "read_limits", "reset_queue"]


async def list_limits(connection: Connection, schema: str) -> list[QueueLimitInfo]:
    """Return the queues of which code or an operator says anything, by name."""
    async with reading(connection, schema, what="listing the limits", advice="try again"):
        return await read_limits(connection, schema)


async def read_limits(connection: Connection, schema: str) -> list[QueueLimitInfo]:
    """Return the same as the snapshot at hand shows them."""
    return [_info(row) for row in await connection.fetch(statement("list_limits", schema))]


def _info(row: Record) -> QueueLimitInfo:
    settings = json.loads(row["settings"])
    limits = Limits.of(settings)
    return QueueLimitInfo(
        queue=row["name"],
        concurrency=limits.concurrency,
        rate=limits.rate,
        burst=limits.burst or None,
        held=row["held"],
        max_depth=settings.get("max_depth"),
        full_at=row["full_at"],
        declared=_object(row["declared"]),
        changed=_object(row["changed"]),
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


def _object(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


async def limit_queue(
    connection: Connection, schema: str, queue: str, changes: Mapping[str, Any], actor: Actor
) -> None:
    """Change limits of a queue over what code says; raises ConfigError for what cannot be."""
    async with writing(connection, schema, what="limit"):
        row = await _write(connection, schema, queue, json.dumps(changes), actor, "queue.limit")
        assert row is not None
        if changes.get("burst") is not None:
            check_together(json.loads(row["settings"]))


async def reset_queue(connection: Connection, schema: str, queue: str, actor: Actor) -> bool:
    """Undo what operators said of the limits of a queue; True if anything was."""
    async with writing(connection, schema, what="reset"):
        row = await _write(connection, schema, queue, None, actor, "queue.reset")
        return row is not None


async def _write(
    connection: Connection, schema: str, queue: str, changes: str | None, actor: Actor, action: str
) -> Record | None:
    return await connection.fetchrow(
        statement("limit_queue", schema), queue, changes, actor.name, actor.via, action,
        actor.reason,
    )  # fmt: skip


async def declare_queues(
    connection: Connection, schema: str, declared: Mapping[str, Mapping[str, Any]], actor: Actor
) -> list[str]:
    """Write what code declares of queues, where it says anything new; return these names."""
    async with writing(connection, schema, what="queue.declare"):
        rows = await connection.fetch(
            statement("declare_queues", schema), list(declared),
            [json.dumps(settings) for settings in declared.values()], actor.name, actor.via,
        )  # fmt: skip
    return [row["name"] for row in rows]
