"""Runs one statement with one text parameter on a connection that the caller owns.

The statement is canonical: ``$1`` stands for the parameter, after every name in it. Each driver's
file spells it as that driver wants it, and answers plain tuples whatever the connection's row
factories, cursor factories and codecs are. Nothing here commits, rolls back, closes or retries in
a transaction of the caller's, and importing it loads no driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, cast

from pgqueue.drivers.faults import schema_faults
from pgqueue.drivers.recognise import recognise

__all__ = ["Row", "arun", "arun_all", "run", "run_all"]

Row = tuple[Any, ...]


class SyncDriver(Protocol):
    """What a driver's file has for blocking connections.

    ``transaction`` is a transaction of our own if the connection is in autocommit with none open,
    else does nothing.
    """

    def run(self, connection: Any, sql: str, text: str) -> list[Row]: ...
    def transaction(self, connection: Any) -> AbstractContextManager[object]: ...


class AsyncDriver(Protocol):
    """The same for asynchronous connections."""

    async def arun(self, connection: Any, sql: str, text: str) -> list[Row]: ...
    def atransaction(self, connection: Any) -> AbstractAsyncContextManager[object]: ...


def run(connection: object, sql: str, text: str) -> list[Row]:
    """Run ``sql`` on a blocking connection and return its rows.

    Raises ConfigError for a connection that cannot be used, SchemaError if the schema is missing
    or too old, and otherwise whatever the driver raises.
    """
    driver = cast("SyncDriver", recognise(connection, asynchronous=False))
    with schema_faults(sql):
        return driver.run(connection, sql, text)


async def arun(connection: object, sql: str, text: str) -> list[Row]:
    """Do what ``run`` does, on an asynchronous connection."""
    driver = cast("AsyncDriver", recognise(connection, asynchronous=True))
    with schema_faults(sql):
        return await driver.arun(connection, sql, text)


def run_all(connection: object, sql: str, texts: Sequence[str]) -> list[list[Row]]:
    """Run ``sql`` once for each text, all or nothing; return the rows of each.

    Inside the caller's transaction if there is one, or if the driver opens one by itself; in
    autocommit inside a transaction of our own.
    """
    if len(texts) < 2:
        return [run(connection, sql, text) for text in texts]
    driver = cast("SyncDriver", recognise(connection, asynchronous=False))
    with schema_faults(sql), driver.transaction(connection):
        return [driver.run(connection, sql, text) for text in texts]


async def arun_all(connection: object, sql: str, texts: Sequence[str]) -> list[list[Row]]:
    """Do what ``run_all`` does, on an asynchronous connection."""
    if len(texts) < 2:
        return [await arun(connection, sql, text) for text in texts]
    driver = cast("AsyncDriver", recognise(connection, asynchronous=True))
    with schema_faults(sql):
        async with driver.atransaction(connection):
            return [await driver.arun(connection, sql, text) for text in texts]
