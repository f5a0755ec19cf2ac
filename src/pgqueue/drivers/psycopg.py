"""psycopg 3 connections, sync and async, also those of its pool.

The cursor is our own: the connection's row and cursor factories, even one with other placeholders
or with client-side binding, have no say. Nothing is prepared, so nothing stays in the session.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pgqueue.drivers.begin import autocommits
from pgqueue.drivers.placeholder import percent_style

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg._connection_base import BaseConnection
    from psycopg._cursor_base import BaseCursor

__all__ = ["arun", "atransaction", "run", "transaction"]

Row = tuple[Any, ...]


def run(connection: Connection[Any], sql: str, text: str) -> list[Row]:
    """Run ``sql`` with ``text`` and return its rows."""
    from psycopg import Cursor
    from psycopg.rows import tuple_row

    with Cursor(connection, row_factory=tuple_row) as cursor:
        _plain(cursor)
        cursor.execute(_query(sql, connection), (text,), prepare=False)
        return _decoded(cursor.fetchall())


async def arun(connection: AsyncConnection[Any], sql: str, text: str) -> list[Row]:
    """Do what ``run`` does, on an asynchronous connection."""
    from psycopg import AsyncCursor
    from psycopg.rows import tuple_row

    async with AsyncCursor(connection, row_factory=tuple_row) as cursor:
        _plain(cursor)
        await cursor.execute(_query(sql, connection), (text,), prepare=False)
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


def _query(sql: str, connection: BaseConnection[Any]) -> bytes:
    encoding = connection.info.encoding
    return percent_style(sql).encode("utf-8" if encoding == "ascii" else encoding)


def _plain(cursor: BaseCursor[Any, Any]) -> None:
    """Give the cursor psycopg's own conversions, whatever the connection's adapters are."""
    from psycopg.types.bool import BoolLoader
    from psycopg.types.numeric import IntLoader
    from psycopg.types.string import StrDumper, TextLoader

    adapters = cursor.adapters
    adapters.register_dumper(str, StrDumper)
    adapters.register_loader("bool", BoolLoader)
    adapters.register_loader("int8", IntLoader)
    adapters.register_loader("text", TextLoader)


def _decoded(rows: list[Row]) -> list[Row]:
    # psycopg leaves text as bytes if client_encoding is SQL_ASCII
    if not any(isinstance(value, bytes) for value in (rows[0] if rows else ())):
        return rows
    return [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in rows]
