"""What operators change of flows: limits, weights of keys, pauses. Each change acts at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgqueue.admin.flow_look import KEYS_BOUND, need_flow
from pgqueue.admin.info import COUNT_BOUND
from pgqueue.admin.schedules import Actor
from pgqueue.admin.session import writing
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, nearest
from pgqueue.flow.change import FlowRow, KeyRow, settle, settle_key

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = [
    "pause_flow",
    "pause_flow_key",
    "reset_flow",
    "reset_flow_key",
    "resume_flow",
    "resume_flow_key",
    "set_flow",
    "set_flow_key",
]


async def set_flow(
    connection: Connection, schema: str, flow: str, changes: Mapping[str, Any], actor: Actor
) -> bool:
    """Change the limits of a flow; True if that changed any."""
    before = await _change(
        connection, schema, flow, lambda row: settle(row, changes), actor, "flow.set"
    )
    return settle(before, changes).changed != before.changed


async def reset_flow(connection: Connection, schema: str, flow: str, actor: Actor) -> bool:
    """Undo what operators set of a flow; True if anything was."""
    before = await _change(
        connection, schema, flow, lambda row: replace(row, changed=None), actor, "flow.reset"
    )
    return before.changed is not None


async def pause_flow(connection: Connection, schema: str, flow: str, actor: Actor) -> bool:
    """Stop a flow; True if it was not paused."""
    before = await _change(
        connection, schema, flow, lambda row: replace(row, paused=True), actor, "flow.pause"
    )
    return not before.paused


async def resume_flow(connection: Connection, schema: str, flow: str, actor: Actor) -> bool:
    """Let a flow go on, also if a server asked for a break; True if it stood still."""
    before = await _change(
        connection, schema, flow, lambda row: replace(row, paused=False, held=False),
        actor, "flow.resume",
    )  # fmt: skip
    return before.paused or before.held


async def set_flow_key(
    connection: Connection, schema: str, flow: str, key: str, changes: Mapping[str, Any],
    actor: Actor, *, new: bool,
) -> bool:  # fmt: skip
    """Give a key a limit or a weight of its own; True if that changed any."""
    before = await _change_key(
        connection, schema, flow, key, lambda line, row: settle_key(line, row, changes), actor,
        "flow.set", new=new,
    )  # fmt: skip
    return replace(before, **changes) != before


async def reset_flow_key(
    connection: Connection, schema: str, flow: str, key: str, actor: Actor
) -> bool:
    """Treat a key as the others of its flow; True if it was not."""
    before = await _change_key(
        connection, schema, flow, key, lambda _, row: replace(row, concurrency=None, weight=None),
        actor, "flow.reset",
    )  # fmt: skip
    return before.concurrency is not None or before.weight is not None


async def pause_flow_key(
    connection: Connection, schema: str, flow: str, key: str, actor: Actor, *, new: bool
) -> bool:
    """Stop a key of a flow; True if it was not paused."""
    before = await _change_key(
        connection, schema, flow, key, lambda _, row: replace(row, paused=True), actor,
        "flow.pause", new=new,
    )  # fmt: skip
    return not before.paused


async def resume_flow_key(
    connection: Connection, schema: str, flow: str, key: str, actor: Actor
) -> bool:
    """Let a key go on that was paused, halted or held; True if it stood still."""
    before = await _change_key(
        connection, schema, flow, key, lambda _, row: replace(row, paused=False, held=False),
        actor, "flow.resume",
    )  # fmt: skip
    return before.paused or before.held


async def _change(
    connection: Connection, schema: str, flow: str, decide: Callable[[FlowRow], FlowRow],
    actor: Actor, action: str,
) -> FlowRow:  # fmt: skip
    """Change a flow as is decided by what is there; return that."""
    async with writing(connection, schema, what=action):
        row = await _locked(connection, schema, flow)
        anew = decide(row)
        if anew != row:
            target = {"flow": flow, "before": _shown(row), "after": _shown(anew)}
            await connection.execute(
                statement("write_flow", schema), flow, _json(anew.changed), anew.paused,
                row.held and not anew.held, actor.name, actor.via, action, json.dumps(target),
                actor.reason,
            )  # fmt: skip
            before = None if anew.changed == row.changed else row.settings
            await _apply(connection, schema, flow, before)
    return row


async def _change_key(
    connection: Connection, schema: str, flow: str, key: str,
    decide: Callable[[FlowRow, KeyRow], KeyRow], actor: Actor, action: str, *,
    new: bool | None = None,
) -> KeyRow:  # fmt: skip
    async with writing(connection, schema, what=action):
        line = await _locked(connection, schema, flow)
        row = await _read_key(connection, schema, flow, key, new=new)
        anew = decide(line, row)
        if anew != row:
            target = {
                "flow": flow,
                "key": key,
                "before": _key_shown(row),
                "after": _key_shown(anew),
            }
            move = None if anew.paused == row.paused else "pause" if anew.paused else "resume"
            if row.held and not anew.held:
                move = "resume"
            await connection.execute(
                statement("write_flow_key", schema), flow, key, anew.concurrency, anew.weight,
                move, actor.name, actor.via, action, json.dumps(target), actor.reason,
            )  # fmt: skip
            await _apply(connection, schema, flow, None)
    return row


async def _locked(connection: Connection, schema: str, flow: str) -> FlowRow:
    """Return a flow that nobody else changes meanwhile; raises ConfigError if there is none."""
    record = await connection.fetchrow(statement("lock_flow", schema), flow)
    if record is None:
        await connection.execute(statement("make_flow", schema), flow)
        await need_flow(connection, schema, flow)
        return await _locked(connection, schema, flow)
    declared, changed = record["declared"], record["changed"]
    return FlowRow(
        flow, None if declared is None else json.loads(declared),
        None if changed is None else json.loads(changed), record["paused"], record["held"],
    )  # fmt: skip


async def _read_key(
    connection: Connection, schema: str, flow: str, key: str, *, new: bool | None
) -> KeyRow:
    """Return what is said of a key; ConfigError for one that is not there and not ``new``.

    None: it makes no sense for a new one.
    """
    record = await connection.fetchrow(statement("read_flow_key", schema), flow, key, COUNT_BOUND)
    assert record is not None
    if not record["exists"] and not new:
        rows = await connection.fetch(statement("name_flow_keys", schema), flow, KEYS_BOUND)
        guess = nearest(key, [row["key"] for row in rows])
        advice = "" if new is None else "; for one that has no jobs yet, say new=True, or --new"
        raise ConfigError(f'flow "{flow}" has no key "{key}" now{guess}{advice}')
    return KeyRow(record["concurrency"], record["weight"], record["paused"], record["held"])


async def _apply(
    connection: Connection, schema: str, flow: str, before: Mapping[str, Any] | None
) -> None:
    await connection.execute(statement("apply_flow", schema), flow, _json(before))


def _shown(row: FlowRow) -> dict[str, Any]:
    return {**row.settings, "paused": row.paused, "held": row.held}


def _key_shown(row: KeyRow) -> dict[str, Any]:
    return {
        "concurrency": row.concurrency, "weight": row.weight, "paused": row.paused,
        "held": row.held,
    }  # fmt: skip


def _json(settings: Mapping[str, Any] | None) -> str | None:
    return None if settings is None else json.dumps(settings)
