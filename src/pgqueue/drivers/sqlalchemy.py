"""SQLAlchemy connections and sessions, sync and async, over any driver for PostgreSQL.

A session answers with the connection of its transaction, so its own ``execute``, which subclasses
change, is not asked.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Generator, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, Any, cast

from pgqueue.drivers import begin
from pgqueue.drivers.begin import abegun, already_open, begun
from pgqueue.drivers.encoding import Encoding, check_encoding, of_asyncpg, of_libpq
from pgqueue.drivers.placeholder import colon_style
from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    Sync = Connection | Session | scoped_session[Session]
    Async = AsyncConnection | AsyncSession | async_scoped_session[AsyncSession]

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

# a server-side cursor would be asked for by a connection with stream_results or yield_per
_OPTIONS: dict[str, Any] = {"stream_results": False, "yield_per": None}


def run(connection: Sync, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Run ``sql`` with ``values`` and return its rows."""
    plain = _connection(connection)
    check_encoding(values, lambda: _encodings(plain))
    result = plain.execute(_statement(sql, len(values)), _named(values), execution_options=_OPTIONS)
    return [tuple(row) for row in result]


async def arun(connection: Async, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Do what ``run`` does, on an asynchronous connection or session."""
    plain = await _aconnection(connection)
    check_encoding(values, lambda: _encodings(_sync(plain)))
    result = await plain.execute(
        _statement(sql, len(values)), _named(values), execution_options=_OPTIONS
    )
    return [tuple(row) for row in result]


def transaction(connection: Sync) -> AbstractContextManager[None]:
    """Return a transaction if the connection is in AUTOCOMMIT with none open, else nothing."""
    plain = _connection(connection)

    def execute(sql: str) -> object:
        return plain.exec_driver_sql(sql, execution_options=_OPTIONS)

    return begun(execute) if _autocommits(plain) else nullcontext()


@asynccontextmanager
async def atransaction(connection: Async) -> AsyncGenerator[None, None]:
    """Do what ``transaction`` does, on an asynchronous connection or session."""
    plain = await _aconnection(connection)

    def execute(sql: str) -> Awaitable[object]:
        return plain.exec_driver_sql(sql, execution_options=_OPTIONS)

    async with abegun(execute) if _autocommits(_sync(plain)) else nullcontext():
        yield


def autocommits(connection: Sync) -> bool:
    """Return whether the next statement would be a transaction of its own."""
    return _autocommits(_connection(connection))


async def aautocommits(connection: Async) -> bool:
    """Do what ``autocommits`` does, on an asynchronous connection or session."""
    return _autocommits(_sync(await _aconnection(connection)))


@contextmanager
def unit(connection: Sync) -> Generator[None, None, None]:
    """Begin for the block, and commit at its end; ConfigError if a transaction is open.

    A scoped session has a registry, which returns the session of this scope.
    """
    own = cast("Session", getattr(connection, "registry", lambda: connection)())
    if own.in_transaction():
        raise already_open()
    with own.begin():
        _refuse_autocommit(_connection(connection))
        yield


@asynccontextmanager
async def aunit(connection: Async) -> AsyncGenerator[None, None]:
    """Do what ``unit`` does, on an asynchronous connection or session."""
    own = cast("AsyncSession", getattr(connection, "registry", lambda: connection)())
    if own.in_transaction():
        raise already_open()
    async with own.begin():
        _refuse_autocommit(_sync(await _aconnection(connection)))
        yield


def _refuse_autocommit(connection: Connection) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise ConfigError(
            "this SQLAlchemy connection is in AUTOCOMMIT, where begin() begins nothing; use one "
            "with another isolation level"
        )


def _connection(connection: Sync) -> Connection:
    from sqlalchemy import Connection

    plain = connection if isinstance(connection, Connection) else connection.connection()
    _check(plain)
    return plain


async def _aconnection(connection: Async) -> AsyncConnection:
    from sqlalchemy.ext.asyncio import AsyncConnection

    plain = connection if isinstance(connection, AsyncConnection) else await connection.connection()
    _check(_sync(plain))
    return plain


def _sync(connection: AsyncConnection) -> Connection:
    from sqlalchemy.ext.asyncio.exc import AsyncContextNotStarted

    if connection.sync_connection is None:
        raise AsyncContextNotStarted("this AsyncConnection has not been started")
    return connection.sync_connection


def _check(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        raise ConfigError(
            f"this SQLAlchemy connection is to {connection.dialect.name}, not to postgresql"
        )


def _autocommits(connection: Connection) -> bool:
    below = connection.connection
    driver = connection.dialect.driver
    raw = cast("Any", below.driver_connection)
    if not getattr(below.dbapi_connection, "autocommit", False):
        return False
    if driver == "asyncpg":
        return not raw.is_in_transaction()
    if driver.startswith("psycopg"):
        return begin.autocommits(raw)
    raise ConfigError(
        f"with {driver} in AUTOCOMMIT it cannot be seen whether a transaction is open; "
        "enqueue many jobs inside one, without AUTOCOMMIT"
    )


def _encodings(connection: Connection) -> Iterator[Encoding | None]:
    driver = connection.dialect.driver
    raw = cast("Any", connection.connection.driver_connection)
    if driver == "asyncpg":
        return of_asyncpg(raw)
    return of_libpq(raw) if driver.startswith("psycopg") else iter(())


@functools.lru_cache(maxsize=64)
def _statement(sql: str, count: int) -> TextClause:
    from sqlalchemy import text

    return text(colon_style(sql, count))


def _named(values: tuple[str | int, ...]) -> dict[str, str | int]:
    return {f"p{n}": value for n, value in enumerate(values, 1)}


def query(connection: Sync) -> Any:
    """Return what runs the statements of operations, on the connection of the driver.

    Inside ``run_sync`` that driver is asynchronous, as where Alembic runs on an async engine.
    """
    from sqlalchemy import literal, select
    from sqlalchemy.util import await_only

    from pgqueue.drivers import sync_driver

    plain = _connection(connection)
    plain.execute(select(literal(1)))  # SQLAlchemy begins its transaction, which a commit looks for
    if not plain.dialect.is_async:
        below = plain.connection.driver_connection
        return sync_driver(below).query(below)
    awaited = await_only(_below(plain))

    async def query(sql: str, args: tuple[Any, ...]) -> Any:
        return await_only(awaited(sql, args))

    return query


async def aquery(connection: Async) -> Any:
    """Do what ``query`` does, on an asynchronous connection or session."""
    from sqlalchemy import literal, select

    plain = await _aconnection(connection)
    await plain.execute(select(literal(1)))  # as above
    return await _below(_sync(plain))


async def _below(connection: Connection) -> Any:
    from pgqueue.drivers import async_driver

    below = connection.connection.driver_connection
    return await async_driver(below).aquery(below)
