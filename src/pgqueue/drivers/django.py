"""Django's connections: ``django.db.connection`` and ``connections["alias"]``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from pgqueue.drivers import begin, encoding
from pgqueue.drivers.begin import already_open, begun
from pgqueue.drivers.encoding import check_encoding, of_libpq
from pgqueue.drivers.placeholder import percent_style
from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["autocommits", "query", "run", "transaction", "unit"]


def run(connection: BaseDatabaseWrapper, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Run ``sql`` with ``values`` and return its rows."""
    _check(connection)
    with connection.cursor() as cursor:
        check_encoding(values, lambda: of_libpq(cast("encoding.Libpq", connection.connection)))
        cursor.execute(percent_style(sql, len(values)), values)
        return list(cursor.fetchall())


def transaction(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Return a transaction, or nothing inside ``atomic()`` or without autocommit."""
    _check(connection)

    def execute(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    # not atomic(): it goes by the alias, which may name another connection than this one
    return begun(execute) if autocommits(connection) else nullcontext()


def autocommits(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the next statement would be a transaction of its own."""
    connection.ensure_connection()
    return begin.autocommits(cast("begin.Libpq", connection.connection))


@contextmanager
def unit(connection: BaseDatabaseWrapper) -> Generator[None, None, None]:
    """Open ``atomic()`` for the block; ConfigError inside another one, but for that of a TestCase.

    So that what Django does on commit is done.
    """
    from django.db import connections
    from django.db.transaction import Atomic

    _check(connection)
    connection.ensure_connection()
    if connections[connection.alias].connection is not connection.connection:
        raise ConfigError(
            f"this Django connection is not connections[{connection.alias!r}], by which atomic() "
            "goes; use that, or job.complete(connection) in a transaction of your own"
        )
    inside = any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
    if inside or not (connection.in_atomic_block or connection.get_autocommit()):
        raise already_open()
    with Atomic(connection.alias, savepoint=True, durable=True):
        yield


def _check(connection: BaseDatabaseWrapper) -> None:
    vendor = getattr(connection, "vendor", None)
    if vendor != "postgresql":
        alias = getattr(connection, "alias", None)
        raise ConfigError(
            f"Django connection {alias!r} is to {vendor or 'no database'}, not to postgresql"
        )
    from django.db.utils import DatabaseError

    try:
        connection.validate_thread_sharing()
    except DatabaseError:
        raise ConfigError(
            f"Django connection {connection.alias!r} belongs to another thread; pass "
            "django.db.connection, which is that of the thread that enqueues (in async code: "
            "enqueue inside sync_to_async)"
        ) from None


def query(connection: BaseDatabaseWrapper) -> Any:
    """Return what runs the statements of operations, on the connection below Django's."""
    from pgqueue.drivers import sync_driver

    _check(connection)
    connection.ensure_connection()
    below = connection.connection
    return sync_driver(below).query(below)
