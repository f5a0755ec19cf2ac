"""psycopg2 connections."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pgqueue.drivers.begin import autocommits, begun, check_idle
from pgqueue.drivers.encoding import check_encoding, of_libpq
from pgqueue.drivers.placeholder import percent_style

__all__ = ["autocommits", "run", "transaction", "unit"]


def run(connection: Any, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Run ``sql`` with ``values`` and return its rows."""
    check_encoding(values, lambda: of_libpq(connection))
    with _cursor(connection) as cursor:
        cursor.execute(percent_style(sql, len(values)), values)
        return list(cursor.fetchall())


def transaction(connection: Any) -> AbstractContextManager[None]:
    """Return a transaction, or nothing where the caller or psycopg2 has begun one."""

    def execute(sql: str) -> None:
        with _cursor(connection) as cursor:
            cursor.execute(sql)

    return begun(execute) if autocommits(connection) else nullcontext()


def unit(connection: Any) -> AbstractContextManager[object]:
    """Return a transaction that ends with its block; ConfigError if one is open."""
    check_idle(connection)
    return connection


def _cursor(connection: Any) -> Any:
    from psycopg2.extensions import cursor  # pyright: ignore

    return connection.cursor(cursor_factory=cursor)
