"""Tells by its type which driver a connection belongs to, without importing any driver."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from pgqueue.errors import ConfigError

__all__ = ["check_connection", "is_asynchronous", "recognise"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """``name``: what errors call it. ``driver``: its module in this package."""

    name: str
    driver: str
    asynchronous: bool


_CONNECTIONS = {
    "asyncpg.connection.Connection": _Kind("asyncpg Connection", "asyncpg", True),
    "asyncpg.pool.PoolConnectionProxy": _Kind("asyncpg Connection", "asyncpg", True),
    "psycopg.Connection": _Kind("psycopg Connection", "psycopg", False),
    "psycopg.AsyncConnection": _Kind("psycopg AsyncConnection", "psycopg", True),
    "psycopg2.extensions.connection": _Kind("psycopg2 connection", "psycopg2", False),
    "sqlalchemy.engine.base.Connection": _Kind("SQLAlchemy Connection", "sqlalchemy", False),
    "sqlalchemy.orm.session.Session": _Kind("SQLAlchemy Session", "sqlalchemy", False),
    "sqlalchemy.orm.scoping.scoped_session": _Kind(
        "SQLAlchemy scoped_session", "sqlalchemy", False
    ),
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _Kind(
        "SQLAlchemy AsyncConnection", "sqlalchemy", True
    ),
    "sqlalchemy.ext.asyncio.session.AsyncSession": _Kind(
        "SQLAlchemy AsyncSession", "sqlalchemy", True
    ),
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": _Kind(
        "SQLAlchemy async_scoped_session", "sqlalchemy", True
    ),
    "django.utils.connection.ConnectionProxy": _Kind("Django connection", "django", False),
    "django.db.backends.base.base.BaseDatabaseWrapper": _Kind("Django connection", "django", False),
}

_ACQUIRE = "a pool is not a transaction"
_ENGINE = "an engine is not a transaction"
_REFUSED = {
    "asyncpg.pool.Pool": f'{_ACQUIRE}; use "async with pool.acquire() as connection"',
    "asyncpg.transaction.Transaction": "pass the connection that it was begun on",
    "psycopg_pool.pool.ConnectionPool": f'{_ACQUIRE}; use "with pool.connection() as connection"',
    "psycopg_pool.pool_async.AsyncConnectionPool": (
        f'{_ACQUIRE}; use "async with pool.connection() as connection"'
    ),
    "psycopg._cursor_base.BaseCursor": "pass its connection, cursor.connection",
    "psycopg2.extensions.cursor": "pass its connection, cursor.connection",
    "sqlalchemy.engine.base.Engine": f'{_ENGINE}; use "with engine.begin() as connection"',
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": (
        f'{_ENGINE}; use "async with engine.begin() as connection"'
    ),
    "sqlalchemy.orm.session.sessionmaker": 'call it: "with Session.begin() as session"',
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": (
        'call it: "async with Session.begin() as session"'
    ),
    "django.db.utils.ConnectionHandler": 'pass one of them, connections["default"]',
    "django.db.backends.utils.CursorWrapper": "pass django.db.connection",
}

# What the last call for a class came to: the hot path of an enqueue is this one look.
_known: dict[type, tuple[ModuleType, bool]] = {}
_KNOWN_AT_MOST = 256

_ACCEPTED = (
    "a connection of asyncpg, psycopg, psycopg2, SQLAlchemy (Connection, Session and their "
    "async twins) or Django"
)


def recognise(connection: object, *, asynchronous: bool, instead: str | None = None) -> ModuleType:
    """Return the driver's module for this connection, or raise ConfigError.

    ``instead``: what the caller should write for a connection of the other flavour.
    """
    cls = connection.__class__  # a proxy shows what it wraps
    known = _known.get(cls)
    if known is not None and known[1] is asynchronous:
        return known[0]
    module = _driver(type(connection), cls, asynchronous, instead)
    if cls is type(connection) and len(_known) < _KNOWN_AT_MOST:
        _known[cls] = module, asynchronous
    return module


def check_connection(connection: object) -> None:
    """Raise ConfigError unless this is a connection of some driver, blocking or not."""
    _checked(type(connection), connection.__class__)


def is_asynchronous(connection: object) -> bool:
    """Return whether this connection is used with ``await``; ConfigError for what is none."""
    return _checked(type(connection), connection.__class__).asynchronous


def _checked(cls: type, shown: type) -> _Kind:
    kind = _kind(cls) or _kind(shown)  # a proxy shows what it wraps
    if kind is None:
        raise ConfigError(f"connection must be {_ACCEPTED}; got {_path(cls)}")
    if isinstance(kind, str):
        raise ConfigError(f"cannot use {_path(cls)}: {kind}")
    return kind


def _driver(cls: type, shown: type, asynchronous: bool, instead: str | None) -> ModuleType:
    kind = _checked(cls, shown)
    if kind.asynchronous and not asynchronous:
        instead = instead or "use aenqueue or aenqueue_many with it, not enqueue"
        raise ConfigError(f"this {kind.name} is asynchronous: {instead}")
    if asynchronous and not kind.asynchronous:
        instead = instead or "use enqueue or enqueue_many with it, not aenqueue"
        raise ConfigError(f"this {kind.name} is blocking: {instead}")
    return importlib.import_module(f"pgqueue.drivers.{kind.driver}")


def _kind(cls: type) -> _Kind | str | None:
    for base in cls.__mro__:
        path = _path(base)
        found = _CONNECTIONS.get(path) or _REFUSED.get(path)
        if found is not None:
            return found
    return None


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
