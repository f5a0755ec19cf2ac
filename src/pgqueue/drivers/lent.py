"""A connection of the caller's as operations want one, which speak as asyncpg does.

Below SQLAlchemy and Django, the connection of asyncpg, psycopg or psycopg2 is taken. In a
transaction of the caller's an operation is a savepoint, what it sets is set back, and nothing is
committed or repeated. In autocommit an operation has transactions of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pgqueue.db.again import gave_way
from pgqueue.db.faults import as_ours
from pgqueue.drivers import Query, async_driver, sync_driver
from pgqueue.drivers.faults import sqlstate
from pgqueue.errors import DatabaseError

__all__ = ["Lent", "lend", "lend_blocking"]

T = TypeVar("T")

_SET = (
    "search_path", "statement_timeout", "enable_seqscan", "plan_cache_mode", "jit",
    "client_min_messages",
)  # fmt: skip
_READ = "select " + ", ".join(f"pg_catalog.current_setting('{name}') as {name}" for name in _SET)
_WRITE = "select " + ", ".join(
    f"pg_catalog.set_config('{name}', ${n}, true)" for n, name in enumerate(_SET, 1)
)
_ISOLATION = {"read_committed": "read committed", "repeatable_read": "repeatable read"}


class Lent:
    """What the operations use of asyncpg's Connection. ``autocommit``: none is open."""

    def __init__(self, query: Query, *, autocommit: bool) -> None:
        self._query = query
        self._autocommit = autocommit
        self._depth = 0

    async def fetch(self, sql: str, *args: Any) -> list[Mapping[str, Any]]:
        """Return the rows of a statement."""
        import asyncpg

        try:
            return await self._query(sql, args)
        except Exception as exc:
            state = sqlstate(exc)
            if state is None:
                raise
            text = next(iter(str(exc).splitlines()), "")
            theirs: Any = asyncpg.PostgresError
            told: Exception = theirs.new({"C": state, "M": text})
            if gave_way(told):
                raise DatabaseError(f"it had to give way to another transaction: {text}") from exc
            raise told from exc

    async def fetchrow(self, sql: str, *args: Any) -> Mapping[str, Any] | None:
        """Return the first row."""
        return next(iter(await self.fetch(sql, *args)), None)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """Return the first value of the first row."""
        row = await self.fetchrow(sql, *args)
        return None if row is None else next(iter(row.values()))

    async def execute(self, sql: str, *args: Any) -> None:
        """Run a statement, or several of them without parameters."""
        await self.fetch(sql, *args)

    @asynccontextmanager
    async def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AsyncGenerator[None]:
        """Open a transaction, or a savepoint inside another one."""
        if self._autocommit and self._depth == 0:
            mode = f" isolation level {_ISOLATION[isolation]}" if isolation else ""
            begin = f"begin{mode}{' read only' if readonly else ''}"
            end, undo = "commit", "rollback"
            kept = None
        else:
            name = f"pgqueue_{self._depth}"
            begin, end = f"savepoint {name}", f"release savepoint {name}"
            undo = f"rollback to savepoint {name}; {end}"
            kept = await self.fetchrow(_READ) if self._depth == 0 else None
        await self.execute(begin)
        self._depth += 1
        try:
            yield
            if kept is not None:
                await self.execute(_WRITE, *kept.values())
        except BaseException:
            await self.execute(undo)
            raise
        finally:
            self._depth -= 1
        await self.execute(end)


async def lend(connection: object, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run an operation on an asynchronous connection. Raises errors of ours."""
    driver = async_driver(connection, "use the method without the a, as cancel for acancel")
    lent = Lent(await driver.aquery(connection), autocommit=await driver.aautocommits(connection))
    try:
        return await work(lent)
    except Exception as exc:
        raise _ours(exc) from exc.__cause__


def lend_blocking(connection: object, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do what ``lend`` does, on a blocking connection."""
    driver = sync_driver(connection, "await the method with an a, as acancel for cancel")
    lent = Lent(driver.query(connection), autocommit=driver.autocommits(connection))

    async def run() -> T:
        return await work(lent)

    step = run()
    try:
        step.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except Exception as exc:
        raise _ours(exc) from exc.__cause__
    step.close()
    raise AssertionError("an operation on a blocking connection waited for something else")


def _ours(error: Exception) -> Exception:
    return as_ours(error, "postgresql://")
