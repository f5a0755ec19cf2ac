"""The scripts in a revision of Alembic, on each kind of engine, and printed by ``--sql``."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.ext.asyncio import create_async_engine
from tests.migrations.steps import with_later
from tests.migrations.test_script import ROWS, VERSIONS

import pgqueue
from pgqueue import App

pytestmark = pytest.mark.one_pg

LATER_ROWS = [*ROWS, (len(ROWS) + 1, "later")]


def upgrade(op: Operations) -> None:
    with with_later():
        for migration in pgqueue.migrations():
            op.execute(migration.script())


def revise(connection: sqlalchemy.Connection) -> None:
    """What ``env.py`` does for each of two revisions that are alike."""
    context = MigrationContext.configure(connection)
    for _ in range(2):
        with context.begin_transaction(), Operations.context(context) as op:
            upgrade(op)
            op.execute("create table if not exists revised (n int)")  # in the path of the caller


def rows(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as look:
        look.execute("select from public.revised")
        App().enqueue("x", connection=look)
        return look.execute(VERSIONS).fetchall()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_revision_on_an_engine(empty_dsn: str, driver: str) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    connect: dict[str, Callable[..., Any]] = {
        "psycopg": psycopg.connect,
        "psycopg2": psycopg2.connect,
    }
    engine = sqlalchemy.create_engine(
        f"postgresql+{driver}://", creator=lambda: connect[driver](empty_dsn)
    )
    with engine.connect() as connection:
        revise(connection)
    engine.dispose()
    assert rows(empty_dsn) == LATER_ROWS


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_revision_on_an_async_engine(empty_dsn: str, driver: str) -> None:
    connect: dict[str, Callable[..., Any]] = {
        "psycopg": psycopg.AsyncConnection.connect,
        "asyncpg": asyncpg.connect,
    }

    async def work() -> None:
        engine = create_async_engine(
            f"postgresql+{driver}://", async_creator=lambda: connect[driver](empty_dsn)
        )
        async with engine.connect() as connection:
            await connection.run_sync(revise)
        await engine.dispose()

    asyncio.run(work())
    assert rows(empty_dsn) == LATER_ROWS


def test_what_alembic_prints_is_the_script(empty_dsn: str) -> None:
    printed = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # as in every env.py: else % is doubled
        opts={"as_sql": True, "output_buffer": printed},
    )
    with Operations.context(context) as op:
        upgrade(op)
    with psycopg.connect(empty_dsn) as connection:
        connection.execute(printed.getvalue().encode())
        connection.execute("create table revised (n int)")
        connection.commit()
    assert rows(empty_dsn) == LATER_ROWS
