"""asyncpg connections, also those of its pool.

Parameter and answers travel as text, bigint and boolean, so a codec for json or jsonb is not
asked. A codec that the caller set for one of those three types is.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

__all__ = ["arun", "atransaction"]


class Connection(Protocol):
    """What is used of asyncpg's Connection."""

    async def fetch(self, query: str, *args: object, record_class: Any) -> list[Iterable[Any]]: ...
    def is_in_transaction(self) -> bool: ...
    def transaction(self) -> AbstractAsyncContextManager[object]: ...


async def arun(connection: Connection, sql: str, text: str) -> list[tuple[Any, ...]]:
    """Run ``sql`` with ``text`` and return its rows."""
    from asyncpg import Record  # pyright: ignore[reportMissingTypeStubs]

    return [tuple(row) for row in await connection.fetch(sql, text, record_class=Record)]


def atransaction(connection: Connection) -> AbstractAsyncContextManager[object]:
    """Return a transaction, or nothing inside one of the caller's."""
    return nullcontext() if connection.is_in_transaction() else connection.transaction()
