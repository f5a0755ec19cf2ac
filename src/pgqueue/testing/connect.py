"""A kit on a connection of its own, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pgqueue.db.connect import open_connection
from pgqueue.errors import ConfigError
from pgqueue.testing.kit import Kit

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["atransaction", "transaction"]

_NAME = "pgqueue test"
_SECONDS = 8.0


@contextmanager
def blocking_connection(app: App) -> Generator[Any]:
    """Open a connection of psycopg to the app's database, and roll back what it has done."""
    try:
        import psycopg
    except ImportError as exc:
        raise ConfigError(
            f"a connection for the test needs psycopg ({exc}): pip install 'psycopg[binary]', or "
            "lend a connection of yours: override the fixture pgq_connection"
        ) from exc
    with psycopg.connect(app.pool.dsn, application_name=_NAME) as connection:
        try:
            yield connection
        finally:
            connection.rollback()


@contextmanager
def transaction(app: App) -> Generator[Kit]:
    """Give a kit whose connection is one of psycopg, and roll back at the end.

    In the block, each enqueue of the app that names no connection joins this one.
    """
    with blocking_connection(app) as connection, Kit(app, connection).joined() as kit:
        yield kit


@asynccontextmanager
async def atransaction(app: App) -> AsyncGenerator[Kit]:
    """Do what ``transaction`` does, with a connection of asyncpg."""
    connection = await open_connection(app.pool.dsn, name=_NAME, seconds=_SECONDS, settings={})
    try:
        begun = connection.transaction()
        await begun.start()
        try:
            with Kit(app, connection).joined() as kit:
                yield kit
        finally:
            await begun.rollback()
    finally:
        await connection.close()
