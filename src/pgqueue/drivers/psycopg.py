"""psycopg 3 connections, sync and async, also those of its pool.

The cursor is our own: the connection's row and cursor factories, even one with other placeholders
or with client-side binding, have no say. Whether the statement is prepared
is for the connection's ``prepare_threshold`` to say, as for the caller's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, Any

from pgqueue.drivers.begin import autocommits, check_idle
from pgqueue.drivers.encoding import check_encoding, of_libpq
from pgqueue.drivers.placeholder import percent_style

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg._connection_base import BaseConnection

__all__ = [
    "aautocommits",
    "aquery",
    "arun",
    "atransaction",
    "aunit",
    "autocommits",
    "query",
    "run",
    "transaction",
    "unit",
]

Row = tuple[Any, ...]


def run(connection: Connection[Any], sql: str, *values: str | int) -> list[Row]:
    """Run ``sql`` with ``values`` and return its rows."""
    from pgqueue.drivers.psycopg_cursor import PlainCursor

    check_encoding(values, lambda: of_libpq(connection))
    with PlainCursor(connection) as cursor:
        cursor.execute(_query(sql, connection, len(values)), values)
        return _decoded(cursor.fetchall())


async def arun(connection: AsyncConnection[Any], sql: str, *values: str | int) -> list[Row]:
    """Do what ``run`` does, on an asynchronous connection."""
    from pgqueue.drivers.psycopg_cursor import PlainAsyncCursor

    check_encoding(values, lambda: of_libpq(connection))
    async with PlainAsyncCursor(connection) as cursor:
        await cursor.execute(_query(sql, connection, len(values)), values)
        return _decoded(await cursor.fetchall())


@contextmanager
def transaction(connection: Connection[Any]) -> Generator[None, None, None]:
    """Open a transaction, unless the caller or psycopg has begun one."""
    if connection.autocommit and connection.pgconn.pipeline_status:
        with connection.pipeline():  # waits for what is on its way: the status is known after it
            pass
    with connection.transaction() if autocommits(connection) else nullcontext():
        yield


@asynccontextmanager
async def atransaction(connection: AsyncConnection[Any]) -> AsyncGenerator[None, None]:
    """Do what ``transaction`` does, on an asynchronous connection."""
    if connection.autocommit and connection.pgconn.pipeline_status:
        async with connection.pipeline():
            pass
    async with connection.transaction() if autocommits(connection) else nullcontext():
        yield


async def aautocommits(connection: AsyncConnection[Any]) -> bool:
    """Return whether the next statement would be a transaction of its own."""
    return autocommits(connection)


def unit(connection: Connection[Any]) -> AbstractContextManager[object]:
    """Return a transaction that ends with its block; ConfigError if one is open."""
    check_idle(connection)
    return connection.transaction()


def aunit(connection: AsyncConnection[Any]) -> AbstractAsyncContextManager[object]:
    """Do what ``unit`` does, on an asynchronous connection."""
    check_idle(connection)
    return connection.transaction()


def query(connection: Connection[Any]) -> Any:
    """Return what runs the statements of operations."""
    from pgqueue.drivers.psycopg_cursor import NamedCursor

    async def run(sql: str, args: tuple[Any, ...]) -> list[dict[str, Any]]:
        with NamedCursor(connection) as cursor:
            cursor.execute(sql.encode(), args or None, prepare=False)
            return _texts(cursor.fetchall()) if cursor.description else []

    return run


async def aquery(connection: AsyncConnection[Any]) -> Any:
    """Do what ``query`` does, on an asynchronous connection."""
    from pgqueue.drivers.psycopg_cursor import NamedAsyncCursor

    async def run(sql: str, args: tuple[Any, ...]) -> list[dict[str, Any]]:
        async with NamedAsyncCursor(connection) as cursor:
            await cursor.execute(sql.encode(), args or None, prepare=False)
            return _texts(await cursor.fetchall()) if cursor.description else []

    return run


def _query(sql: str, connection: BaseConnection[Any], count: int) -> bytes:
    encoding = connection.info.encoding
    return percent_style(sql, count).encode("utf-8" if encoding == "ascii" else encoding)


def _decoded(rows: list[Row]) -> list[Row]:
    if not any(isinstance(value, bytes) for value in (rows[0] if rows else ())):
        return rows
    return [tuple(map(_text, row)) for row in rows]


def _texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> Any:
    # psycopg leaves text as bytes if client_encoding is SQL_ASCII
    return value.decode() if isinstance(value, bytes) else value
