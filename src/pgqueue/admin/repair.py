"""What restores and TRUNCATE leave out: shown by ``status``, repaired by ``migrate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgqueue.admin.session import reading, writing
from pgqueue.db.migrate import LOCK, restore_ledger
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["damage_of", "find_damage", "repair"]

_REPAIRS = ("restore_duties", "restore_queues", "restore_sequences", "ensure_history")


def damage_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Say in words what find_damage.sql found."""
    found = [f'duty "{name}" has no row' for name in row["duties"]]
    found += [f'queue "{name}", which a worker serves, has no row' for name in row["queues"]]
    found += [f"history has no partition for {day}" for day in row["days"]]
    if row["ids_behind"]:
        found.append("the sequence of ids is behind: it would give a new job the id of another")
    if row["positions_behind"]:
        found.append("the sequence of positions is behind: new jobs would overtake old ones")
    if row["unrecorded"]:
        found.append("migration has no rows")
    if row["homeless"]:
        found.append("home has no row: a copy of this database would not be known as one")
    return tuple(found)


async def find_damage(connection: Connection, schema: str) -> tuple[str, ...]:
    """Return what is damaged; empty if nothing is, or if this role may not look."""
    row = await _look(connection, schema)
    return () if row is None else damage_of(row)


async def _look(connection: Connection, schema: str) -> dict[str, Any] | None:
    import asyncpg

    try:
        async with connection.transaction():
            row = await connection.fetchrow(statement("find_damage", schema))
    except asyncpg.InsufficientPrivilegeError:
        return None
    assert row is not None
    return dict(row.items())


async def repair(connection: Connection, schema: str) -> tuple[str, ...]:
    """Repair what is damaged; return what that was."""
    async with reading(connection, schema, what="the look for damage", advice="try again"):
        found = await find_damage(connection, schema)
    if not found:
        return ()
    async with writing(connection, schema, what="the repair"):
        # One at a time: who waited looks at what the other has left.
        await connection.execute(LOCK, schema)
        row = await _look(connection, schema)
        damage = () if row is None else damage_of(row)
        if row is None or not damage:
            return ()
        for name in _REPAIRS:
            await connection.execute(statement(name, schema))
        if row["unrecorded"]:
            await restore_ledger(connection, schema)
        if row["homeless"]:
            await connection.execute(statement("adopt_schema", schema))
    return damage
