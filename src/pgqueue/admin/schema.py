"""The schema: install, upgrade, and say how it stands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pgqueue.admin.info import SchemaStatus
from pgqueue.admin.repair import find_damage, repair
from pgqueue.admin.session import reading
from pgqueue.db import migrate
from pgqueue.errors import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["apply_migrations", "plan_migrations", "schema_status"]

log = logging.getLogger("pgqueue.admin")


async def apply_migrations(connection: Connection, schema: str) -> list[str]:
    """Apply what is missing, and repair; return the names of what was applied, oldest first."""
    applied = [migration.id for migration in await migrate.apply(connection, schema)]
    for what in await repair(connection, schema):
        log.info("repaired: %s", what)
    return applied


async def plan_migrations(connection: Connection, schema: str) -> str:
    """Return the SQL of what is missing; empty when nothing is."""
    return migrate.plan(schema, await migrate.applied(connection, schema))


async def schema_status(connection: Connection, schema: str) -> SchemaStatus:
    """Say what is installed, what is missing, and whether this version can work with it."""
    done = await migrate.applied(connection, schema)
    damage: tuple[str, ...] = ()
    try:
        migrate.check(done, schema)
        problem = None
        async with reading(connection, schema, what="the look for damage", advice="try again"):
            damage = await find_damage(connection, schema)
    except SchemaError as exc:
        problem = str(exc)
    return SchemaStatus(
        schema=schema,
        version=max(done, default=None),
        newest=migrate.known()[-1].version,
        applied=tuple(f"{version:04d}_{name}" for version, (name, _) in sorted(done.items())),
        missing=tuple(migration.id for migration in migrate.missing(done)),
        problem=problem,
        damage=damage,
    )
