"""What the suite asks of a caller: a connection of its own, in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pgqueue import drivers

__all__ = [
    "CALLERS",
    "SAVEPOINT",
    "TRANSACTION",
    "Caller",
    "Opener",
    "arows_of_all",
    "asynchronous",
    "blocking",
    "by_hand",
    "by_sql",
    "caller",
    "in_autocommit",
    "rows_of_all",
]

Rows = list[tuple[Any, ...]]
Opener = Callable[[str], AbstractContextManager["Caller"]]

CALLERS: dict[str, Opener] = {}


@dataclass(kw_only=True)
class Caller:
    """``execute`` is the caller's own statement; ``run`` and ``run_all`` are what is tested."""

    execute: Callable[[str], Rows]
    transaction: Callable[[], AbstractContextManager[object]]
    savepoint: Callable[[], AbstractContextManager[object]]
    run: Callable[..., Rows]
    run_all: Callable[[str, Sequence[str]], list[Rows]] | None = None
    autocommit: bool = False
    connection: object = None
    runner: asyncio.Runner | None = None


def caller(name: str) -> Callable[[Callable[..., Iterator[Caller]]], Opener]:
    """Enter a generator function that opens a caller on a dsn into the list."""

    def enter(function: Callable[..., Iterator[Caller]]) -> Opener:
        opener = contextmanager(function)
        assert name not in CALLERS
        CALLERS[name] = opener
        return opener

    return enter


def blocking(connection: object, **rest: Any) -> Caller:
    """A caller with a blocking connection."""
    return Caller(
        connection=connection,
        run=lambda sql, *values: drivers.run(connection, sql, *values),
        run_all=lambda sql, texts: rows_of_all(connection, sql, texts),
        **rest,
    )


def asynchronous(
    runner: asyncio.Runner,
    connection: object,
    *,
    execute: Callable[[str], Awaitable[Rows]],
    transaction: Callable[[], AbstractAsyncContextManager[object]],
    savepoint: Callable[[], AbstractAsyncContextManager[object]],
    **rest: Any,
) -> Caller:
    """A caller with an asynchronous connection, in the loop of ``runner``."""
    return Caller(
        connection=connection,
        runner=runner,
        execute=lambda sql: wait(runner, execute(sql)),
        transaction=lambda: entered(runner, transaction()),
        savepoint=lambda: entered(runner, savepoint()),
        run=lambda sql, *values: runner.run(drivers.arun(connection, sql, *values)),
        run_all=lambda sql, texts: runner.run(arows_of_all(connection, sql, texts)),
        **rest,
    )


def rows_of_all(connection: object, sql: str, texts: Sequence[str]) -> list[Rows]:
    found: list[Rows] = []
    drivers.run_all(connection, [(sql, (text,)) for text in texts], found.append)
    return found


async def arows_of_all(connection: object, sql: str, texts: Sequence[str]) -> list[Rows]:
    found: list[Rows] = []

    async def check(rows: Rows) -> None:
        found.append(rows)

    await drivers.arun_all(connection, [(sql, (text,)) for text in texts], check)
    return found


def wait(runner: asyncio.Runner, awaitable: Awaitable[Any]) -> Any:
    async def finish() -> Any:
        return await awaitable

    return runner.run(finish())


@contextmanager
def entered(runner: asyncio.Runner, context: AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    """An asynchronous context manager as a blocking one."""
    value = wait(runner, context.__aenter__())
    try:
        yield value
    except BaseException as exc:
        if not wait(runner, context.__aexit__(type(exc), exc, exc.__traceback__)):
            raise
    else:
        wait(runner, context.__aexit__(None, None, None))


@contextmanager
def by_hand(commit: Callable[[], object], rollback: Callable[[], object]) -> Iterator[None]:
    """The transaction that the driver began by itself."""
    try:
        yield
    except BaseException:
        rollback()
        raise
    commit()


@contextmanager
def by_sql(
    execute: Callable[[str], object], begin: str, commit: str, rollback: str
) -> Iterator[None]:
    """A transaction or a savepoint in the caller's own SQL."""
    execute(begin)
    try:
        yield
    except BaseException:
        execute(rollback)
        raise
    execute(commit)


TRANSACTION = ("begin", "commit", "rollback")
SAVEPOINT = ("savepoint s", "release s", "rollback to s")


def in_autocommit(caller: Caller) -> Caller:
    """The same caller, whose driver does not begin: it does so in SQL."""
    caller.autocommit = True
    caller.transaction = lambda: by_sql(caller.execute, *TRANSACTION)
    caller.savepoint = lambda: by_sql(caller.execute, *SAVEPOINT)
    return caller
