"""The schema: install, upgrade, and say how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgqueue.admin.info import SchemaStatus
from pgqueue.db import migrate
from pgqueue.errors import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["apply_migrations", "plan_migrations", "schema_status"]


async def apply_migrations(connection: Connection, schema: str) -> list[str]:
    """Apply what is missing; return the names of what was applied, oldest first."""
    return [_name(migration) for migration in await migrate.apply(connection, schema)]


async def plan_migrations(connection: Connection, schema: str) -> str:
    """Return the SQL of what is missing, for psql; empty when nothing is."""
    done = await migrate.applied(connection, schema)
    return migrate.plan(schema, done) if not done or migrate.missing(done) else ""


async def schema_status(connection: Connection, schema: str) -> SchemaStatus:
    """Say what is installed, what is missing, and whether this version can work with it."""
    done = await migrate.applied(connection, schema)
    try:
        migrate.check(done, schema)
        problem = None
    except SchemaError as exc:
        problem = str(exc)
    return SchemaStatus(
        schema=schema,
        version=max(done, default=None),
        newest=migrate.known()[-1].version,
        missing=tuple(_name(migration) for migration in migrate.missing(done)),
        problem=problem,
    )


def _name(migration: migrate.Migration) -> str:
    return f"{migration.version:04d}_{migration.name}"
