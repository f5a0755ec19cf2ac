"""Django's connections: ``django.db.connection`` and ``connections["alias"]``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from pgqueue.drivers import begin, encoding
from pgqueue.drivers.begin import autocommits, begun
from pgqueue.drivers.encoding import check_encoding, of_libpq
from pgqueue.drivers.placeholder import percent_style
from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["run", "transaction"]


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

    connection.ensure_connection()
    # not atomic(): it goes by the alias, which may name another connection than this one
    inside = not autocommits(cast("begin.Libpq", connection.connection))
    return nullcontext() if inside else begun(execute)


def _check(connection: BaseDatabaseWrapper) -> None:
    vendor = getattr(connection, "vendor", None)
    if vendor != "postgresql":
        alias = getattr(connection, "alias", None)
        raise ConfigError(
            f"Django connection {alias!r} is to {vendor or 'no database'}, not to postgresql"
        )
