"""The callers whose connections block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import django
import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row, tuple_row
from sqlalchemy import orm

from tests.drivers.caller import (
    SAVEPOINT,
    Caller,
    Opener,
    blocking,
    by_hand,
    by_sql,
    caller,
    in_autocommit,
)


def over_psycopg(connection: psycopg.Connection[Any]) -> Caller:
    def execute(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    return blocking(
        connection,
        execute=execute,
        transaction=(
            connection.transaction
            if connection.autocommit
            else lambda: by_hand(connection.commit, connection.rollback)
        ),
        savepoint=connection.transaction,
        autocommit=connection.autocommit,
    )


def psycopg_caller(name: str, **options: Any) -> Opener:
    @caller(f"psycopg {name}")
    def open_it(dsn: str) -> Iterator[Caller]:
        connection = psycopg.connect(dsn, **options)
        try:
            yield over_psycopg(connection)
        finally:
            connection.close()

    return open_it


class BinaryCursor(psycopg.Cursor[Any]):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.format = psycopg.pq.Format.BINARY


psycopg_caller("default")
psycopg_caller("dict_row", row_factory=dict_row)
psycopg_caller("autocommit", autocommit=True)
psycopg_caller("prepare_threshold=None", prepare_threshold=None)
psycopg_caller("prepare_threshold=0", prepare_threshold=0)
psycopg_caller("ClientCursor", cursor_factory=psycopg.ClientCursor)
psycopg_caller("RawCursor", cursor_factory=psycopg.RawCursor, row_factory=dict_row)
psycopg_caller("binary cursor", cursor_factory=BinaryCursor, autocommit=True)
psycopg_caller("client_encoding=SQL_ASCII", client_encoding="SQL_ASCII")


@caller("psycopg pool")
def psycopg_pool_connection(dsn: str) -> Iterator[Caller]:
    with (
        psycopg_pool.ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool,
        pool.connection() as connection,
    ):
        yield over_psycopg(connection)


@caller("psycopg2")
def psycopg2_connection(dsn: str) -> Iterator[Caller]:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(dsn)

    def execute(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    try:
        yield blocking(
            connection,
            execute=execute,
            transaction=lambda: by_hand(connection.commit, connection.rollback),
            savepoint=lambda: by_sql(execute, *SAVEPOINT),
        )
    finally:
        connection.close()


@contextmanager
def engine_on(dsn: str, **options: Any) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn),
        pool_size=1,
        max_overflow=0,
        **options,
    )
    try:
        yield engine
    finally:
        engine.dispose()


def over_sqlalchemy(connection: Any) -> Caller:
    def execute(sql: str) -> list[tuple[Any, ...]]:
        result = connection.execute(sqlalchemy.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []

    return blocking(
        connection,
        execute=execute,
        transaction=lambda: by_hand(connection.commit, connection.rollback),
        savepoint=connection.begin_nested,
    )


@caller("SQLAlchemy Connection over psycopg")
def sqlalchemy_connection(dsn: str) -> Iterator[Caller]:
    with engine_on(dsn) as engine, engine.connect() as connection:
        yield over_sqlalchemy(connection)


@caller("SQLAlchemy AUTOCOMMIT over psycopg")
def sqlalchemy_autocommit(dsn: str) -> Iterator[Caller]:
    with (
        engine_on(dsn, isolation_level="AUTOCOMMIT") as engine,
        engine.connect() as connection,
    ):
        yield in_autocommit(over_sqlalchemy(connection))


class Surprising(orm.Session):
    """A subclass with an ``execute`` of its own, as SQLModel's."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the caller's execute was asked")


@caller("SQLAlchemy Session over psycopg")
def sqlalchemy_session(dsn: str) -> Iterator[Caller]:
    with engine_on(dsn) as engine, orm.Session(engine) as session:
        yield over_sqlalchemy(session)


@caller("SQLAlchemy Session with execute of its own")
def sqlalchemy_surprising(dsn: str) -> Iterator[Caller]:
    with engine_on(dsn) as engine, Surprising(engine) as session:
        theirs = over_sqlalchemy(session)

        def execute(sql: str) -> list[tuple[Any, ...]]:
            result = session.connection().execute(sqlalchemy.text(sql))
            return [tuple(row) for row in result] if result.returns_rows else []

        theirs.execute = execute
        yield theirs


@caller("SQLAlchemy scoped_session over psycopg")
def sqlalchemy_scoped_session(dsn: str) -> Iterator[Caller]:
    with engine_on(dsn) as engine:
        session = orm.scoped_session(orm.sessionmaker(engine))
        try:
            yield over_sqlalchemy(session)
        finally:
            session.remove()


def django_settings(dsn: str) -> dict[str, Any]:
    parts = conninfo_to_dict(dsn)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts.get("user") or "",
        "PASSWORD": parts.get("password") or "",
        "HOST": parts.get("host") or "",
        "PORT": str(parts.get("port") or ""),
    }


@contextmanager
def django_database(dsn: str, alias: str, **changed: Any) -> Iterator[Any]:
    """``django.db.connections`` with the database of this dsn under an alias."""
    if not settings.configured:
        settings.configure(DATABASES={}, USE_TZ=True)
        django.setup()
    from django.db import connections

    theirs = connections.settings.get(alias)
    new = {"default": {}, alias: {**django_settings(dsn), **changed}}
    connections.settings[alias] = connections.configure_settings(new)[alias]  # type: ignore[no-untyped-call]
    with suppress(AttributeError):
        del connections[alias]  # whoever looked at it meanwhile made it from other settings
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
        if theirs is not None:
            connections.settings[alias] = theirs


def over_django(connection: Any) -> Caller:
    from django.db import transaction

    def execute(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    return blocking(
        connection,
        execute=execute,
        transaction=lambda: transaction.atomic(using=connection.alias),
        savepoint=lambda: transaction.atomic(using=connection.alias),
        autocommit=True,
    )


@caller("Django connection")
def django_connection(dsn: str) -> Iterator[Caller]:
    with django_database(dsn, "default"):
        from django.db import connection

        yield over_django(connection)


@caller("Django connections[alias]")
def django_other(dsn: str) -> Iterator[Caller]:
    with django_database(dsn, "other") as connection:
        yield over_django(connection)


@caller("Django with server-side binding")
def django_server_side(dsn: str) -> Iterator[Caller]:
    options = {"server_side_binding": True}
    with django_database(dsn, "other", OPTIONS=options) as connection:
        yield over_django(connection)
