"""Schedules as the database has them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, nearest
from pgqueue.schedule.change import Row

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["need", "object_of", "read_row", "row_of"]


def object_of(text: str | None) -> dict[str, Any] | None:
    """Return the object that a column of JSON holds; None for null."""
    return None if text is None else json.loads(text)


async def read_row(connection: Connection, schema: str, name: str) -> tuple[Row, datetime]:
    """Return a schedule, there or not, and the time."""
    (record,) = await connection.fetch(statement("read_schedules", schema), [name])
    return row_of(record), record["now"]


def row_of(record: Record) -> Row:
    """Return what read_schedules.sql answers."""
    return Row(
        record["name"], record["next_at"], record["revision"], object_of(record["declared"]),
        object_of(record["changed"]), bool(record["paused"]), record["orphaned_seconds"],
    )  # fmt: skip


async def need(connection: Connection, schema: str, row: Row) -> None:
    """Raise ConfigError with the nearest name, unless there is such a schedule."""
    if not row.exists:
        names = [one["name"] for one in await connection.fetch(statement("name_schedules", schema))]
        raise ConfigError(f'no schedule is named "{row.name}"{nearest(row.name, names)}')
