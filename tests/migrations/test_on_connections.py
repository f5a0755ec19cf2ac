"""Migrations on a connection of the caller's, of each kind: in its transaction, never committed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
import tests.drivers.async_callers
import tests.drivers.blocking_callers  # noqa: F401
from sqlalchemy.ext import asyncio as sa
from tests.drivers.caller import CALLERS, Caller
from tests.harness.servers import Server
from tests.migrations.catalogue import catalogue
from tests.migrations.steps import with_later

import pgqueue
from pgqueue import App, SchemaStatus
from pgqueue.db.migrate import migrate

pytestmark = pytest.mark.one_pg

FIRST = [migration.id for migration in pgqueue.migrations()]
SETTINGS = ("search_path", "client_min_messages", "statement_timeout", "lock_timeout")
# Partitions have a date as their name.
DATED = re.compile(r"history_\d{8}")


class Undo(Exception):
    pass


@contextmanager
def undone(caller: Caller) -> Iterator[None]:
    """A transaction of the caller's that it rolls back."""
    with suppress(Undo), caller.transaction():
        yield
        raise Undo


def described(dsn: str) -> list[str]:
    async def look() -> list[str]:
        connection = await asyncpg.connect(dsn)
        try:
            return await catalogue(connection, "pgqueue")
        finally:
            await connection.close()

    return [line for line in asyncio.run(look()) if not DATED.search(line)]


@pytest.fixture(scope="module")
def wanted(pg: Server) -> Iterator[tuple[list[str], list[str]]]:
    """What ``pgqueue migrate`` makes, and what an upgrade of that does."""
    name = pg.create()
    dsn = pg.dsn_for(name)
    asyncio.run(migrate(dsn))
    first = described(dsn)
    with with_later():
        asyncio.run(migrate(dsn))
    yield first, described(dsn)
    pg.drop(name)


def migrated(caller: Caller, app: App) -> list[str]:
    on: dict[str, Any] = {"connection": caller.connection}
    return caller.runner.run(app.amigrate(**on)) if caller.runner else app.migrate(**on)


def status(caller: Caller, app: App) -> SchemaStatus:
    on: dict[str, Any] = {"connection": caller.connection}
    if caller.runner:
        return caller.runner.run(app.aschema_status(**on))
    return app.schema_status(**on)


def shown(caller: Caller) -> list[Any]:
    rows = [caller.execute(f"select current_setting('{name}') as v") for name in SETTINGS]
    return [getattr(row[0], "values", lambda r=row: list(r[0]))() for row in rows]


@pytest.mark.parametrize("kind", sorted(set(CALLERS) - {"psql", "trigger"}))
@pytest.mark.law(9)
def test_an_install_and_an_upgrade_belong_to_the_callers_transaction(
    empty_dsn: str, wanted: tuple[list[str], list[str]], kind: str
) -> None:
    app = App()
    with CALLERS[kind](empty_dsn) as caller:
        with undone(caller):
            before = shown(caller)
            assert migrated(caller, app) == FIRST
            assert status(caller, app).applied == tuple(FIRST)
            assert shown(caller) == before
            assert described(empty_dsn) == []  # nobody else sees it yet
        with caller.transaction():
            assert status(caller, app).missing == tuple(FIRST)
            assert migrated(caller, app) == FIRST
        assert described(empty_dsn) == wanted[0]
        with with_later() as later:
            with undone(caller):
                assert migrated(caller, app) == [later.id]
            assert described(empty_dsn) == wanted[0]
            with caller.transaction():
                assert status(caller, app).missing == (later.id,)
                assert migrated(caller, app) == [later.id]
                assert migrated(caller, app) == []
                assert status(caller, app).missing == ()
            assert described(empty_dsn) == wanted[1]


@pytest.mark.parametrize("kind", ["psycopg autocommit", "psycopg async autocommit",
                                  "asyncpg connection", "Django connection"])  # fmt: skip
def test_without_a_transaction_it_has_its_own(
    empty_dsn: str, wanted: tuple[list[str], list[str]], kind: str
) -> None:
    with CALLERS[kind](empty_dsn) as caller:
        assert migrated(caller, App()) == FIRST
        assert described(empty_dsn) == wanted[0]


@pytest.mark.parametrize("kind", sorted(set(CALLERS) - {"psql", "trigger"}))
def test_the_script_of_a_migration_runs_on_it_as_it_is(
    empty_dsn: str, wanted: tuple[list[str], list[str]], kind: str
) -> None:
    """``execute`` is the driver's own: prepared by asyncpg, as a ``text()`` of SQLAlchemy."""
    with CALLERS[kind](empty_dsn) as caller, with_later():
        for _ in range(2):
            with caller.transaction():
                for migration in pgqueue.migrations():
                    caller.execute(migration.script())
        assert described(empty_dsn) == wanted[1]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_on_the_connection_of_an_async_engine_in_run_sync(
    empty_dsn: str, driver: str
) -> None:
    """As in the ``env.py`` that Alembic writes for an async engine."""
    connect: Any = {"asyncpg": asyncpg.connect, "psycopg": psycopg.AsyncConnection.connect}[driver]
    engine = sa.create_async_engine(
        f"postgresql+{driver}://", async_creator=lambda: connect(empty_dsn)
    )

    def work(connection: sqlalchemy.Connection) -> None:
        app = App()
        assert app.migrate(connection=connection) == FIRST
        app.enqueue("x", {"n": 1}, connection=connection)
        assert [job.args for job in app.list_jobs(connection=connection)] == [{"n": 1}]
        assert app.schema_status(connection=connection).ok

    async with engine.connect() as connection:
        await connection.run_sync(work)
        await connection.rollback()
        exists = await connection.execute(
            sqlalchemy.text("select to_regnamespace('pgqueue') is not null")
        )
        assert exists.scalar() is False
        await connection.run_sync(work)
        await connection.commit()
        count = await connection.execute(sqlalchemy.text("select count(*) from pgqueue.job"))
        assert count.scalar() == 1
    await engine.dispose()
