"""Tells workers of the tickets that an operator's statement wrote."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["wake_flows"]


async def wake_flows(connection: Connection, schema: str, rows: Iterable[Record]) -> None:
    """Tell of the flows among these rows, each with its queue; of none, nothing is sent."""
    told = sorted({(row["flow"], row["queue"]) for row in rows if row["flow"] is not None})
    if told:
        flows, queues = [flow for flow, _ in told], [queue for _, queue in told]
        await connection.execute(statement("wake_flows", schema), flows, queues)
