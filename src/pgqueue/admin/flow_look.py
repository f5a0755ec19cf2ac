"""What operators look at: all flows, the keys of one, what these used."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from pgqueue.admin.flow_info import FlowInfo, FlowKey, FlowState, FlowUsage
from pgqueue.admin.info import COUNT_BOUND, Count, StillFlow
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, nearest

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["KEYS_BOUND", "flow_usage", "list_flow_keys", "list_flows", "need_flow", "still_flows"]

KEYS_BOUND = 1_000
"""No more keys of a flow than this are counted, and no more jobs of a key."""
_MOST_USAGE = 10_000


async def list_flows(connection: Connection, schema: str) -> list[FlowInfo]:
    """Return every flow that is declared, was changed, or has jobs in line, by name."""
    async with reading(connection, schema, what="listing the flows", advice="try again"):
        rows = await connection.fetch(statement("list_flows", schema), COUNT_BOUND, KEYS_BOUND)
    return [_flow(row) for row in rows]


async def list_flow_keys(
    connection: Connection, schema: str, flow: str, *, after: str | None, limit: int, stopped: bool
) -> list[FlowKey]:
    """Return the keys of a flow, by name, behind ``after``; ``stopped``: that stand still."""
    async with reading(connection, schema, what="listing the keys", advice="take fewer at a time"):
        rows = await connection.fetch(
            statement("list_flow_keys", schema), flow, after or "", after is None, limit,
            KEYS_BOUND, COUNT_BOUND, stopped,
        )  # fmt: skip
        if not rows:
            await need_flow(connection, schema, flow)
    return [_key(row) for row in rows]


async def flow_usage(
    connection: Connection, schema: str, flow: str, key: str | None, since: date
) -> list[FlowUsage]:
    """Return what jobs of a flow used since a day, by key and day, the newest first."""
    async with reading(connection, schema, what="the usage", advice="ask for fewer days"):
        rows = await connection.fetch(
            statement("list_flow_usage", schema), flow, key, since, _MOST_USAGE
        )
        if not rows:
            await need_flow(connection, schema, flow)
    return [FlowUsage(row["key"], row["day"], row["jobs"], row["used"]) for row in rows]


async def still_flows(connection: Connection, schema: str) -> list[StillFlow]:
    """Return the flows that stand still with jobs in line, as the snapshot at hand shows them."""
    rows = await connection.fetch(statement("find_still_flows", schema), COUNT_BOUND)
    return [
        StillFlow(
            row["name"], Count.bounded(row["waiting"]), row["paused_at"], row["held_until"],
            row["paused_keys"],
        )
        for row in rows
    ]  # fmt: skip


async def need_flow(connection: Connection, schema: str, name: str) -> None:
    """Raise ConfigError with the nearest name, unless a flow has this one."""
    rows = await connection.fetch(statement("name_flows", schema))
    names = [row["name"] for row in rows]
    if name not in names:
        raise ConfigError(f'no flow is named "{name}"{nearest(name, names)}')


def _flow(row: Record) -> FlowInfo:
    declared, changed = _object(row["declared"]), _object(row["changed"])
    return FlowInfo(
        name=row["name"],
        state=_state(row, known=declared is not None or changed is not None),
        admitted=Count.bounded(row["admitted"]),
        running=Count.bounded(row["running"], cut=row["admitted"] > COUNT_BOUND),
        waiting=Count.bounded(row["waiting"]),
        keys=_up_to(row["keys"]),
        oldest_seconds=row["oldest_seconds"],
        tokens=row["tokens"],
        paused_keys=row["paused_keys"],
        paused_at=row["paused_at"],
        held_until=row["held_until"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        settings=json.loads(row["settings"]),
        declared=declared,
        changed=changed,
    )


def _key(row: Record) -> FlowKey:
    return FlowKey(
        key=row["key"],
        state=_state(row, known=True),
        admitted=Count(row["admitted"]),
        running=Count(row["running"]),
        waiting=_up_to(row["waiting"]),
        oldest_seconds=row["oldest_seconds"],
        place=row["place"],
        tokens=row["tokens"],
        concurrency=row["concurrency"],
        weight=row["weight"],
        paused_at=row["paused_at"],
        reason=row["pause_reason"],
        held_until=row["held_until"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        used_today=row["used_today"],
    )


def _state(row: Record, *, known: bool) -> FlowState:
    if row["paused_at"] is not None:
        return FlowState.PAUSED
    if row["held_until"] is not None:
        return FlowState.HELD
    return FlowState.ACTIVE if known else FlowState.UNKNOWN


def _up_to(seen: int) -> Count:
    return Count(min(seen, KEYS_BOUND), "at least") if seen > KEYS_BOUND else Count(seen)


def _object(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
