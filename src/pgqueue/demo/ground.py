"""The demo's two schemas: made for a run, dropped after it, and nobody else's touched."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pgqueue.db import migrate
from pgqueue.db.connect import open_connection
from pgqueue.db.faults import as_ours
from pgqueue.demo.names import QUEUE_SCHEMA
from pgqueue.demo.statements import sql
from pgqueue.errors import PgQueueError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["connect", "lend_ground"]

_CONNECT_SECONDS = 10.0


@asynccontextmanager
async def connect(dsn: str) -> AsyncGenerator[Connection, None]:
    """Lend a connection; what PostgreSQL refuses on it is raised as one of our errors."""
    connection = await open_connection(
        dsn, name="pgqueue demo", seconds=_CONNECT_SECONDS, settings={}
    )
    try:
        yield connection
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise as_ours(exc, dsn) from exc
    finally:
        await connection.close()


@asynccontextmanager
async def lend_ground(dsn: str, *, keep: bool) -> AsyncGenerator[Connection, None]:
    """Make the schemas, and lend a connection whose session keeps other demos away.

    What an earlier demo has left is dropped first; what anybody else made is not.
    """
    async with connect(dsn) as connection:
        if not await connection.fetchval(sql("lock_demo")):
            raise PgQueueError("another pgqueue demo is running in this database")
        foreign = await connection.fetchval(sql("find_foreign_schemas"))
        if foreign is not None:
            raise PgQueueError(
                f'the schema "{foreign}" was not made by pgqueue demo; it is left alone, and the '
                "demo needs that name: give the dsn of another database"
            )
        await _drop(connection)
        try:
            await _make(connection)
            yield connection
        except BaseException:
            keep = False
            raise
        finally:
            if not keep and not connection.is_closed():
                await _drop(connection)


async def _make(connection: Connection) -> None:
    await connection.execute(sql("create_schemas"))
    await migrate.apply(connection, QUEUE_SCHEMA)


async def _drop(connection: Connection) -> None:
    """Drop both, also where a cancelled BEGIN has left transaction() unusable."""
    await connection.execute(sql("drop_schemas"))
