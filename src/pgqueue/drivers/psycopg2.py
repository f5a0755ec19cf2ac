"""psycopg2 connections."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pgqueue.drivers.begin import autocommits, begun, check_idle
from pgqueue.drivers.encoding import check_encoding, of_libpq
from pgqueue.drivers.placeholder import percent_style

__all__ = ["autocommits", "query", "run", "transaction", "unit"]

_NUMBERED = re.compile(r"\$(\d+)")


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


def query(connection: Any) -> Any:
    """Return what runs the statements of operations."""
    from psycopg2.extensions import new_type, register_type  # pyright: ignore

    as_text: Any = new_type((114, 3802), "pgqueue json", lambda value, _: value)

    async def run(sql: str, args: tuple[Any, ...]) -> list[dict[str, Any]]:
        with _cursor(connection) as cursor:
            register_type(as_text, cursor)
            if args:
                sql = _NUMBERED.sub(r"%(p\1)s", sql.replace("%", "%%"))
            cursor.execute(sql, {f"p{n}": value for n, value in enumerate(args, 1)} or None)
            if cursor.description is None:
                return []
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return run


def _cursor(connection: Any) -> Any:
    from psycopg2.extensions import cursor  # pyright: ignore

    return connection.cursor(cursor_factory=cursor)
