"""Connections in unusual states: pipelines, adapters and loaders of the caller's, many calls."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import StrDumper

from pgqueue import App, ConfigError, drivers
from tests.drivers.blocking_callers import django_database, engine_on
from tests.drivers.caller import arows_of_all, rows_of_all
from tests.drivers.observer import BAD, ONE, SQL, Observer
from tests.harness.waiting import eventually
from tests.worker.support import working


class Shouting(StrDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(obj.upper())


def test_adapters_of_the_callers_have_no_say(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.adapters.register_dumper(str, Shouting)
        connection.adapters.register_loader("int8", FloatLoader)
        (row,) = drivers.run(connection, SQL, ONE)
        assert type(row[0]) is int
        task = connection.execute("select task from pgqueue.job").fetchone()
        assert task == ("t",)


@pytest.mark.parametrize(("threshold", "prepared"), [(None, 0), (0, 1)])
def test_what_is_prepared_in_a_psycopg_session_is_the_connections_to_say(
    dsn: str, threshold: int | None, prepared: int
) -> None:
    with psycopg.connect(dsn, prepare_threshold=threshold) as connection:
        for _ in range(7):
            drivers.run(connection, SQL, ONE)
        cursor = psycopg.ClientCursor(connection)
        assert len(cursor.execute("select from pg_prepared_statements").fetchall()) == prepared


@pytest.mark.parametrize("autocommit", [False, True])
def test_pipeline(dsn: str, observer: Observer, autocommit: bool) -> None:
    with closing(psycopg.connect(dsn, autocommit=autocommit)) as connection:
        with connection.pipeline():
            connection.execute("select 1")
            drivers.run(connection, SQL, ONE)
            answers = rows_of_all(connection, SQL, [ONE, ONE])
            assert len(answers) == 2
            assert len(observer.jobs()) == (3 if autocommit else 0)
            with connection.transaction():
                rows_of_all(connection, SQL, [ONE, ONE])
                raise psycopg.Rollback
        connection.rollback()
        with pytest.raises(psycopg.errors.NotNullViolation), connection.pipeline():
            rows_of_all(connection, SQL, [ONE, BAD])
    assert len(observer.jobs()) == (3 if autocommit else 0)


@pytest.mark.parametrize("autocommit", [False, True])
async def test_pipeline_async(dsn: str, observer: Observer, autocommit: bool) -> None:
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=autocommit) as connection,
        connection.pipeline(),
    ):
        await connection.execute("select 1")
        await drivers.arun(connection, SQL, ONE)
        answers = await arows_of_all(connection, SQL, [ONE, ONE])
        assert len(answers) == 2
        assert len(observer.jobs()) == (3 if autocommit else 0)
    assert len(observer.jobs()) == 3


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_sqlalchemy_connection_with_yield_per(dsn: str, observer: Observer, level: str) -> None:
    with engine_on(dsn, isolation_level=level) as engine, engine.connect() as connection:
        connection = connection.execution_options(yield_per=1)
        rows_of_all(connection, SQL, [ONE, ONE])
        assert len(observer.jobs()) == (2 if level == "AUTOCOMMIT" else 0)


def test_django_wrapper_that_is_a_copy(dsn: str, observer: Observer) -> None:
    with django_database(dsn, "default") as connection:
        copy = connection.copy()
        try:
            with pytest.raises(Exception, match="not-null"):
                rows_of_all(copy, SQL, [ONE, BAD])
            assert observer.jobs() == []
            assert connection.connection is None
        finally:
            copy.close()


@pytest.mark.past_bug(128)
def test_a_django_wrapper_of_another_thread_is_refused(dsn: str) -> None:
    task = App(dsn).task(name="t")(lambda: None)
    with django_database(dsn, "default") as connection, ThreadPoolExecutor(1) as thread:
        enqueue = task.using(connection=connection).enqueue
        with pytest.raises(ConfigError, match="'default' belongs to another thread; pass django"):
            thread.submit(enqueue).result()
        assert enqueue().id


def test_django_calls_share_one_session(dsn: str, observer: Observer) -> None:
    with django_database(dsn, "default") as connection:
        connection.ensure_connection()
        before = observer.sessions()
        for _ in range(2_000):
            drivers.run(connection, SQL, ONE)
        assert observer.sessions() <= before
        assert len(observer.jobs()) == 2_000


@pytest.mark.past_bug(128)
def test_database_drops_after_use(pg: Any, migrated: str) -> None:
    name = pg.create(migrated)
    try:
        with django_database(pg.dsn_for(name), "default") as connection:
            rows_of_all(connection, SQL, [ONE, ONE])
        with pg.connect() as server:
            server.execute(sqlalchemy.text(f'drop database "{name}"').text)
    finally:
        pg.drop(name)


@pytest.mark.past_bug(128)
def test_sessions_are_bounded_and_gone_after_a_worker(pg: Any, migrated: str) -> None:
    """Ten thousand jobs from threads and from a loop; afterwards nothing holds the database."""
    name = pg.create(migrated)
    most = 0

    async def run() -> None:
        nonlocal most
        app = App(pg.dsn_for(name), pool_size=3)
        done: set[int] = set()

        @app.task
        async def note(n: int) -> None:
            done.add(n)

        def from_thread(start: int) -> None:
            for n in range(start, start + 1_000):
                note.enqueue(n)

        async def from_loop(start: int) -> None:
            for n in range(start, start + 1_000):
                await note.aenqueue(n)

        async with working(app, concurrency=50):
            threads = [asyncio.to_thread(from_thread, n * 1_000) for n in range(5)]
            loops = [from_loop(n * 1_000) for n in range(5, 10)]
            both = asyncio.gather(*threads, *loops)
            while not both.done():
                most = max(most, len(pg.sessions(name, "pgqueue%")))
                await asyncio.wait([both], timeout=0.1)
            await both
            await eventually(lambda: len(done) == 10_000, timeout_s=60)
        await app.aclose()

    try:
        asyncio.run(run())
        # Three for threads, three for the loop, four for the worker.
        assert 4 <= most <= 10
        with pg.connect() as server:
            server.execute(sqlalchemy.text(f'drop database "{name}"').text)
    finally:
        pg.drop(name)


async def test_cancelled_call_leaves_no_half(dsn: str, observer: Observer) -> None:
    """A call of several that is cancelled inside our own transaction rolls back."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        blocker = await psycopg.AsyncConnection.connect(dsn)
        await blocker.execute("lock table pgqueue.queue")
        task = asyncio.create_task(arows_of_all(connection, SQL, [ONE, ONE]))
        pid = connection.info.backend_pid
        await eventually(lambda: observer.waits(pid), what="the call waits for the lock")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await blocker.close()
        assert observer.state(pid) == "idle"
    assert observer.jobs() == []


def test_numbers_are_as_the_driver_gives_them(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        rows = drivers.run(connection, "select cast(cast($1 as text) as numeric)", "1.5")
        assert rows == [(Decimal("1.5"),)]
