"""The transactions of operators: bounded in what they may cost the database."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from pgqueue.db.again import again, gave_way
from pgqueue.db.statements import statement
from pgqueue.errors import DatabaseError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["READ_SECONDS", "WRITE_SECONDS", "reading", "repeated", "writing"]

T = TypeVar("T")
READ_SECONDS = 5.0
WRITE_SECONDS = 20.0


@asynccontextmanager
async def reading(
    connection: Connection,
    schema: str,
    *,
    what: str,
    advice: str,
    scan: bool = False,
    seconds: float = READ_SECONDS,
) -> AsyncGenerator[None, None]:
    """A snapshot that changes nothing. ``scan``: a table may be read as a whole."""
    import asyncpg

    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await _limit(connection, schema, seconds, scan=scan)
            yield
    except asyncpg.QueryCanceledError as exc:
        raise DatabaseError(
            f"{what} took more than {seconds:g} s and was stopped; {advice}"
        ) from exc


@asynccontextmanager
async def writing(connection: Connection, schema: str, *, what: str) -> AsyncGenerator[None, None]:
    """A transaction in which a statement that waited for a lock goes on with what it finds then."""
    import asyncpg

    try:
        async with connection.transaction(isolation="read_committed"):
            await _limit(connection, schema, WRITE_SECONDS, scan=False)
            yield
    except asyncpg.QueryCanceledError as exc:
        raise DatabaseError(
            f"{what} took more than {WRITE_SECONDS:g} s and was undone; another transaction may "
            "hold these rows, or they are too many at once"
        ) from exc


async def repeated(work: Callable[[], Awaitable[T]], what: str) -> T:
    """Run one of several transactions of an operation, again while it has to give way."""
    try:
        return await again(work, time.monotonic() + WRITE_SECONDS)
    except Exception as exc:
        if gave_way(exc):  # as an error of ours: the operation as a whole is not repeated
            raise DatabaseError(
                f"{what} had to give way to other transactions for {WRITE_SECONDS:g} s: {exc}"
            ) from exc
        raise


async def _limit(connection: Connection, schema: str, seconds: float, *, scan: bool) -> None:
    await connection.execute(
        statement("limit_session", schema), str(int(seconds * 1000)), "on" if scan else "off"
    )
