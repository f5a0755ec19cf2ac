"""A transaction of our own on a connection that is in autocommit, in plain SQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

from pgqueue.errors import ConfigError

__all__ = ["Libpq", "abegun", "already_open", "autocommits", "begun", "check_idle"]

_IDLE = 0  # libpq's PQTRANS_IDLE


class _Info(Protocol):
    @property
    def transaction_status(self) -> int: ...


class Libpq(Protocol):
    """A connection of psycopg or psycopg2."""

    @property
    def autocommit(self) -> bool: ...
    @property
    def info(self) -> _Info: ...


def autocommits(connection: Libpq) -> bool:
    """Return whether the next statement would be a transaction of its own."""
    return bool(connection.autocommit) and int(connection.info.transaction_status) == _IDLE


def already_open() -> ConfigError:
    """Return the error of who begins a transaction inside another one."""
    return ConfigError(
        "this connection has a transaction open already, and job.transaction() begins one of its "
        "own; inside yours, call job.complete(connection) before its commit"
    )


def check_idle(connection: Libpq) -> None:
    """Raise ConfigError if a transaction is open."""
    if int(connection.info.transaction_status) != _IDLE:
        raise already_open()


@contextmanager
def begun(execute: Callable[[str], object]) -> Generator[None, None, None]:
    """Begin; commit on the way out, or roll back and let the error through."""
    execute("begin")
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the error that is on its way says more
            execute("rollback")
        raise
    execute("commit")


@asynccontextmanager
async def abegun(execute: Callable[[str], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """Do what ``begun`` does, on an asynchronous connection."""
    await execute("begin")
    try:
        yield
    except BaseException:
        with suppress(Exception):
            await execute("rollback")
        raise
    await execute("commit")
