"""Runs one statement on a connection that the caller owns.

The statement is canonical: ``$1``, ``$2`` and so on stand for its parameters, texts and integers,
each once, in their order, after every name in it. Each driver's
file spells it as that driver wants it, and answers plain tuples whatever the connection's row
factories, cursor factories and codecs are. Nothing here commits, rolls back, closes or retries in
a transaction of the caller's, and importing it loads no driver.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, cast

from pgqueue.drivers.faults import schema_fault
from pgqueue.drivers.recognise import recognise

__all__ = [
    "AsyncDriver",
    "Call",
    "Query",
    "Row",
    "SyncDriver",
    "arun",
    "arun_all",
    "async_driver",
    "run",
    "run_all",
    "sync_driver",
]

Row = tuple[Any, ...]
Query = Callable[[str, tuple[Any, ...]], Awaitable[list[Mapping[str, Any]]]]
"""Runs a statement with ``$1``, ``$2``..., and returns its rows; several without parameters."""
Call = tuple[str, tuple[str | int, ...]]
"""A statement and its parameters."""


class SyncDriver(Protocol):
    """What a driver's file has for blocking connections.

    ``transaction`` is a transaction of our own if the connection is in autocommit with none open,
    else does nothing. ``unit`` begins one in any case, and raises ConfigError if one is open.
    """

    def run(self, connection: Any, sql: str, *values: str | int) -> list[Row]: ...
    def autocommits(self, connection: Any) -> bool: ...
    def unit(self, connection: Any) -> AbstractContextManager[object]: ...
    def query(self, connection: Any) -> Query: ...
    def transaction(self, connection: Any) -> AbstractContextManager[object]: ...


class AsyncDriver(Protocol):
    """The same for asynchronous connections."""

    async def arun(self, connection: Any, sql: str, *values: str | int) -> list[Row]: ...
    async def aautocommits(self, connection: Any) -> bool: ...
    def aunit(self, connection: Any) -> AbstractAsyncContextManager[object]: ...
    async def aquery(self, connection: Any) -> Query: ...
    def atransaction(self, connection: Any) -> AbstractAsyncContextManager[object]: ...


def sync_driver(connection: object, instead: str | None = None) -> SyncDriver:
    """Return the driver of a blocking connection; ``instead``: see ``recognise``."""
    return cast("SyncDriver", recognise(connection, asynchronous=False, instead=instead))


def async_driver(connection: object, instead: str | None = None) -> AsyncDriver:
    """Return the driver of an asynchronous connection; ``instead``: see ``recognise``."""
    return cast("AsyncDriver", recognise(connection, asynchronous=True, instead=instead))


def run(connection: object, sql: str, *values: str | int) -> list[Row]:
    """Run ``sql`` on a blocking connection and return its rows.

    Raises ConfigError for a connection that cannot be used, SchemaError if the schema is missing
    or too old, and otherwise whatever the driver raises.
    """
    driver = sync_driver(connection)
    try:
        return driver.run(connection, sql, *values)
    except Exception as exc:
        if fault := schema_fault(exc, sql):
            raise fault from exc
        raise


async def arun(connection: object, sql: str, *values: str | int) -> list[Row]:
    """Do what ``run`` does, on an asynchronous connection."""
    driver = async_driver(connection)
    try:
        return await driver.arun(connection, sql, *values)
    except Exception as exc:
        if fault := schema_fault(exc, sql):
            raise fault from exc
        raise


def run_all(connection: object, calls: Sequence[Call], check: Callable[[list[Row]], None]) -> None:
    """Run several statements, all or nothing; ``check`` takes the rows of each, and may raise.

    Inside the caller's transaction if there is one, or if the driver opens one by itself; in
    autocommit inside a transaction of our own.
    """
    unit: AbstractContextManager[object] = contextlib.nullcontext()
    if len(calls) > 1:
        unit = sync_driver(connection).transaction(connection)
    with unit:
        for sql, values in calls:
            check(run(connection, sql, *values))


async def arun_all(
    connection: object, calls: Sequence[Call], check: Callable[[list[Row]], Awaitable[None]]
) -> None:
    """Do what ``run_all`` does, on an asynchronous connection."""
    unit: AbstractAsyncContextManager[object] = contextlib.nullcontext()
    if len(calls) > 1:
        unit = async_driver(connection).atransaction(connection)
    async with unit:
        for sql, values in calls:
            await check(await arun(connection, sql, *values))
