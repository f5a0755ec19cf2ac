"""asyncpg connections, also those of its pool.

Parameters and answers travel as text, integer, bigint and boolean, so a codec for json or jsonb is
not asked. A codec that the caller set for one of those types is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

from asyncpg import Record  # pyright: ignore[reportMissingTypeStubs]

from pgqueue.drivers.begin import already_open
from pgqueue.drivers.encoding import check_encoding, of_asyncpg

__all__ = ["aautocommits", "aquery", "arun", "atransaction", "aunit"]


class Connection(Protocol):
    """What is used of asyncpg's Connection."""

    async def fetch(self, query: str, *args: object, record_class: Any) -> list[Any]: ...
    async def execute(self, query: str) -> str: ...
    def is_in_transaction(self) -> bool: ...
    def transaction(self) -> AbstractAsyncContextManager[object]: ...


async def arun(connection: Connection, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Run ``sql`` with ``values`` and return its rows."""
    for value in values:  # here, not in there: nearly all is ASCII, and a call costs as much again
        if isinstance(value, str) and not value.isascii():
            check_encoding(values, lambda: of_asyncpg(connection))
            break
    return list(map(tuple, await connection.fetch(sql, *values, record_class=Record)))


def atransaction(connection: Connection) -> AbstractAsyncContextManager[object]:
    """Return a transaction, or nothing inside one of the caller's."""
    return nullcontext() if connection.is_in_transaction() else connection.transaction()


async def aautocommits(connection: Connection) -> bool:
    """Return whether the next statement would be a transaction of its own."""
    return not connection.is_in_transaction()


def aunit(connection: Connection) -> AbstractAsyncContextManager[object]:
    """Return a transaction that ends with its block; ConfigError if one is open."""
    if connection.is_in_transaction():
        raise already_open()
    return connection.transaction()


async def aquery(connection: Connection) -> Any:
    """Return what runs the statements of operations."""

    async def query(sql: str, args: tuple[Any, ...]) -> list[Mapping[str, Any]]:
        if args or sql.startswith(("select", "/*")):
            return await connection.fetch(sql, *args, record_class=Record)
        await connection.execute(sql)
        return []

    return query
