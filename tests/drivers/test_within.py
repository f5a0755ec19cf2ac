"""Which connection an enqueue joins: a given one, that of ``within``, the provider's, our own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa

import pgqueue
from pgqueue.errors import ConfigError
from tests.drivers.blocking_callers import django_database
from tests.drivers.observer import Observer

JOBS = "select count(*) from pgqueue.job"


@pytest.fixture
def app(dsn: str) -> Iterator[pgqueue.App]:
    with pgqueue.App(dsn) as app:
        app.task(noop)
        yield app


def noop(n: int = 0) -> None: ...


def count(observer: Observer) -> int:
    return observer.connection.execute(JOBS).fetchone()[0]  # type: ignore[index]


def own(connection: psycopg.Connection[Any]) -> int:
    return connection.execute(JOBS).fetchone()[0]  # type: ignore[index]


def test_each_call_of_a_block_joins_its_connection(app: pgqueue.App, dsn: str) -> None:
    task = app.tasks.get("noop")
    with psycopg.connect(dsn) as connection:
        with app.within(connection) as same:
            assert same is connection
            task.enqueue(1)
            task.using(queue="x", tags=["t"]).enqueue(2)
            app.enqueue("noop", {"n": 3})
            app.enqueue_many([task.job(4), task.job(5)])
        assert own(connection) == 5
        connection.rollback()
        assert own(connection) == 0
    assert not app.pool.opened.loops


async def test_async_calls_join_an_async_session(dsn: str) -> None:
    engine = sa.create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )
    async with pgqueue.App(dsn) as app:
        task = app.task(noop)
        async with sa.AsyncSession(engine) as session, app.within(session):
            await task.aenqueue(1)
            await app.aenqueue("noop")
            await app.aenqueue_many([task.job(1), task.job(2)])
            assert (await session.execute(sqlalchemy.text(JOBS))).scalar() == 4
            await session.rollback()
            assert (await session.execute(sqlalchemy.text(JOBS))).scalar() == 0
    await engine.dispose()


def test_a_savepoint_of_a_session_takes_its_jobs_alone(
    app: pgqueue.App, dsn: str, observer: Observer
) -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with orm.Session(engine) as session, app.within(session):
        app.enqueue("noop")
        inner = session.begin_nested()
        app.enqueue("noop")
        inner.rollback()
        session.commit()
    engine.dispose()
    assert count(observer) == 1


def test_django_is_joined(app: pgqueue.App, dsn: str, observer: Observer) -> None:
    with django_database(dsn, "default") as connection, app.within(connection):
        connection.set_autocommit(False)
        app.enqueue("noop")
        assert count(observer) == 0
        connection.commit()
        assert count(observer) == 1


def test_a_given_connection_goes_before_the_block_and_that_before_the_provider(dsn: str) -> None:
    with (
        psycopg.connect(dsn) as given,
        psycopg.connect(dsn) as block,
        psycopg.connect(dsn) as provided,
        pgqueue.App(dsn, connection=lambda: provided) as app,
    ):
        task = app.task(noop)
        task.enqueue()
        with app.within(block):
            task.enqueue()
            task.enqueue()
            task.using(connection=given).enqueue()
            app.enqueue_many([task.job()] * 2, connection=given)
            with app.within(None):
                task.enqueue()  # committed at once
        found = [own(given), own(block), own(provided)]
        assert found == [4, 3, 2]
        for connection in (given, block, provided):
            connection.rollback()


def test_a_provider_that_has_none_leaves_it_to_the_pool(dsn: str, observer: Observer) -> None:
    with pgqueue.App(dsn, connection=lambda: None) as app:
        app.enqueue("noop")
        assert count(observer) == 1


async def test_a_provider_serves_async_calls(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    async with pgqueue.App(dsn, connection=lambda: connection) as app:
        await app.aenqueue("noop")
        await app.aenqueue_many([app.job("noop")] * 2)
    await transaction.rollback()
    assert await connection.fetchval(JOBS) == 0
    await connection.close()


def test_a_provider_is_asked_once_a_call(dsn: str) -> None:
    asked = []
    with pgqueue.App(dsn, connection=lambda: asked.append(1)) as app:
        app.enqueue("noop")
        app.enqueue("noop", tags=["t"])
        app.enqueue_many([app.job("noop")])
    assert len(asked) == 3


def test_blocks_nest_and_the_outer_one_comes_back(app: pgqueue.App, dsn: str) -> None:
    with psycopg.connect(dsn) as outer, psycopg.connect(dsn) as inner:
        with app.within(outer):
            with pytest.raises(ZeroDivisionError), app.within(inner):
                _ = app.enqueue("noop").id / 0
            app.enqueue("noop")
        assert app.join() is None
        assert (own(outer), own(inner)) == (1, 1)
        outer.rollback()
        inner.rollback()


def test_a_block_is_of_its_own_app_alone(app: pgqueue.App, dsn: str) -> None:
    other = pgqueue.App(dsn)
    with (
        psycopg.connect(dsn) as first,
        psycopg.connect(dsn) as second,
        app.within(first),
        other.within(second),
    ):
        assert app.join() is first
        assert other.join() is second


def test_a_block_may_be_left_in_another_context(app: pgqueue.App, dsn: str) -> None:
    with psycopg.connect(dsn) as outer, psycopg.connect(dsn) as inner, app.within(outer):
        block = app.within(inner)
        block.__enter__()
        assert app.join() is inner
        contextvars.copy_context().run(block.__exit__, None, None, None)
        assert app.join() is outer


def test_a_dependency_that_is_entered_and_left_in_threads(app: pgqueue.App, dsn: str) -> None:
    def in_thread(call: Any) -> None:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
        thread.start()
        thread.join()

    with psycopg.connect(dsn) as connection:
        block = app.within(connection)
        in_thread(block.__enter__)
        assert app.join() is None
        in_thread(block.__exit__)
        assert app.join() is None


async def test_code_that_outlives_its_block_is_told(app: pgqueue.App, dsn: str) -> None:
    left = asyncio.Event()

    async def later() -> None:
        await left.wait()
        with app.within(None):
            assert app.join() is None
        await app.aenqueue("noop")

    connection = await asyncpg.connect(dsn)
    async with app.within(connection):
        task = asyncio.create_task(later())
    left.set()
    with pytest.raises(ConfigError, match=r"began inside a block of within\(\)"):
        await task
    assert app.join() is None
    await connection.close()


async def test_a_closed_connection_is_an_error(app: pgqueue.App, dsn: str) -> None:
    connection = psycopg.connect(dsn)
    connection.close()
    with app.within(connection), pytest.raises(psycopg.OperationalError, match="closed"):
        await asyncio.to_thread(app.enqueue, "noop")
    other = await asyncpg.connect(dsn)
    await other.close()
    async with app.within(other):
        with pytest.raises(asyncpg.InterfaceError, match="closed"):
            await app.aenqueue("noop")


async def test_a_closed_session_is_an_error(dsn: str, observer: Observer) -> None:
    engine = sa.create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )
    async with pgqueue.App(dsn) as app:
        session = sa.AsyncSession(engine, close_resets_only=False)
        async with app.within(session):
            await session.close()
            with pytest.raises(sqlalchemy.exc.InvalidRequestError, match="closed"):
                await app.aenqueue("noop")
    await engine.dispose()
    assert count(observer) == 0


@pytest.mark.parametrize(
    "thing", ["postgresql://", sqlalchemy.create_engine("postgresql+psycopg://")]
)
def test_what_is_no_connection_is_refused_at_once(app: pgqueue.App, thing: object) -> None:
    with pytest.raises(ConfigError, match=r"connection must be|not a transaction"):
        app.within(thing)


def test_a_block_serves_once(app: pgqueue.App) -> None:
    block = app.within(None)
    with block, pytest.raises(ConfigError, match="entered already"):
        block.__enter__()


async def get() -> AsyncIterator[None]: ...


@pytest.mark.parametrize("thing", ["dsn", get, object()])
def test_a_provider_is_a_plain_function(thing: Any) -> None:
    with pytest.raises(ConfigError, match="connection must be a function"):
        pgqueue.App(connection=thing)
