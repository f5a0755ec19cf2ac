"""Which database a schema was made for: a worker on a copy would run the jobs of the original."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

from pgqueue.admin.repair import find_damage
from pgqueue.admin.session import WRITE_SECONDS, reading, writing
from pgqueue.db.statements import statement
from pgqueue.errors import DatabaseError, SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["adopt", "check_home", "find_copy"]

log = logging.getLogger("pgqueue.admin")

_DAMAGE_SECONDS = 2.0


async def find_copy(connection: Connection, schema: str) -> str | None:
    """Say whose copy this is, within a transaction; None if it is none, or nobody can tell."""
    import asyncpg

    try:
        async with connection.transaction():
            row = await connection.fetchrow(statement("find_home", schema))
    except asyncpg.InsufficientPrivilegeError:
        return None
    if row is None:
        return None
    return (
        f'schema "{schema}" was made for another database '
        f"(system {row['system_id']}, database {row['database_oid']}; this one is "
        f"system {row['here_system']}, database {row['here_database']}), so this is a copy of it"
    )


async def check_home(connection: Connection, schema: str) -> tuple[str, ...]:
    """Look before a worker starts: raise SchemaError on a copy; return what is damaged.

    No worker waits for long to learn of damage: somebody may hold a lock on one of the tables.
    """
    async with reading(
        connection, schema, what="the look-up", advice="try again", seconds=WRITE_SECONDS
    ):
        copy = await find_copy(connection, schema)
    if copy is not None:
        option = "" if schema == "pgqueue" else f" --schema {shlex.quote(schema)}"
        raise SchemaError(
            f"{copy}, and a worker would run the jobs of the original; "
            f"if they are to run here, run: pgqueue adopt{option}"
        )
    try:
        async with reading(
            connection, schema, what="the look for damage", advice="", seconds=_DAMAGE_SECONDS
        ):
            return await find_damage(connection, schema)
    except DatabaseError as exc:
        log.debug("nobody knows whether something is damaged: %s", exc)
        return ()


async def adopt(connection: Connection, schema: str) -> bool:
    """Make this database the one that the schema was made for; True if it was another."""
    async with writing(connection, schema, what="adopt"):
        row = await connection.fetchrow(statement("adopt_schema", schema))
        assert row is not None
    if not row["known"]:
        raise DatabaseError(
            "which database this is cannot be told, since pg_control_system() may not be called; "
            "workers start without asking"
        )
    return bool(row["others"])
