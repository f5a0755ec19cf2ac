"""The callers whose connections are asynchronous."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import psycopg
import psycopg_pool
import sqlalchemy
from psycopg.rows import dict_row, tuple_row
from sqlalchemy.ext import asyncio as sa

from tests.drivers.caller import Caller, Opener, asynchronous, caller, entered, in_autocommit


def over_asyncpg(runner: asyncio.Runner, connection: Any) -> Caller:
    async def execute(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await connection.fetch(sql)]

    return asynchronous(
        runner,
        connection,
        execute=execute,
        transaction=connection.transaction,
        savepoint=connection.transaction,
        autocommit=True,
    )


class OddRecord(asyncpg.Record):
    def __iter__(self) -> Any:
        return iter(self.keys())


async def own_codecs(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )


def asyncpg_caller(name: str, *, prepare: Any = None, **options: Any) -> Opener:
    @caller(f"asyncpg {name}")
    def open_it(dsn: str) -> Iterator[Caller]:
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(dsn, **options))
            if prepare is not None:
                runner.run(prepare(connection))
            try:
                yield over_asyncpg(runner, connection)
            finally:
                connection.terminate()

    return open_it


asyncpg_caller("connection")
asyncpg_caller("own json and jsonb codecs", prepare=own_codecs)
asyncpg_caller("statement_cache_size=0", statement_cache_size=0)
asyncpg_caller("record_class", record_class=OddRecord)


@caller("asyncpg pool")
def asyncpg_pool(dsn: str) -> Iterator[Caller]:
    with asyncio.Runner() as runner:
        pool = asyncpg.create_pool(dsn, min_size=1, max_size=1)
        with entered(runner, pool), entered(runner, pool.acquire()) as connection:
            yield over_asyncpg(runner, connection)


@asynccontextmanager
async def by_hand(commit: Callable[[], Any], rollback: Callable[[], Any]) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await rollback()
        raise
    await commit()


def over_psycopg(runner: asyncio.Runner, connection: psycopg.AsyncConnection[Any]) -> Caller:
    async def execute(sql: str) -> list[tuple[Any, ...]]:
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            await cursor.execute(sql)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []

    return asynchronous(
        runner,
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
    @caller(f"psycopg async {name}")
    def open_it(dsn: str) -> Iterator[Caller]:
        with asyncio.Runner() as runner:
            connection = runner.run(psycopg.AsyncConnection.connect(dsn, **options))
            try:
                yield over_psycopg(runner, connection)
            finally:
                runner.run(connection.close())

    return open_it


psycopg_caller("default")
psycopg_caller("dict_row", row_factory=dict_row)
psycopg_caller("autocommit", autocommit=True)
psycopg_caller("prepare_threshold=None", prepare_threshold=None)
psycopg_caller("ClientCursor", cursor_factory=psycopg.AsyncClientCursor)
psycopg_caller("RawCursor", cursor_factory=psycopg.AsyncRawCursor)


@caller("psycopg async pool")
def psycopg_pool_connection(dsn: str) -> Iterator[Caller]:
    with asyncio.Runner() as runner:
        pool = psycopg_pool.AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False)
        with entered(runner, pool), entered(runner, pool.connection()) as connection:
            yield over_psycopg(runner, connection)


@contextmanager
def engine_on(
    runner: asyncio.Runner, dsn: str, driver: str, **options: Any
) -> Iterator[sa.AsyncEngine]:
    connect = asyncpg.connect if driver == "asyncpg" else psycopg.AsyncConnection.connect
    engine = sa.create_async_engine(
        f"postgresql+{driver}://",
        async_creator=lambda: connect(dsn),
        pool_size=1,
        max_overflow=0,
        **options,
    )
    try:
        yield engine
    finally:
        runner.run(engine.dispose())


def over_sqlalchemy(runner: asyncio.Runner, connection: Any) -> Caller:
    async def execute(sql: str) -> list[tuple[Any, ...]]:
        result = await connection.execute(sqlalchemy.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []

    return asynchronous(
        runner,
        connection,
        execute=execute,
        transaction=lambda: by_hand(connection.commit, connection.rollback),
        savepoint=connection.begin_nested,
    )


def sqlalchemy_callers(driver: str) -> None:
    @caller(f"SQLAlchemy AsyncConnection over {driver}")
    def connection(dsn: str) -> Iterator[Caller]:
        with (
            asyncio.Runner() as runner,
            engine_on(runner, dsn, driver) as engine,
            entered(runner, engine.connect()) as connection,
        ):
            yield over_sqlalchemy(runner, connection)

    @caller(f"SQLAlchemy AUTOCOMMIT over {driver} async")
    def autocommit(dsn: str) -> Iterator[Caller]:
        with (
            asyncio.Runner() as runner,
            engine_on(runner, dsn, driver, isolation_level="AUTOCOMMIT") as engine,
            entered(runner, engine.connect()) as connection,
        ):
            yield in_autocommit(over_sqlalchemy(runner, connection))

    @caller(f"SQLAlchemy AsyncSession over {driver}")
    def session(dsn: str) -> Iterator[Caller]:
        with (
            asyncio.Runner() as runner,
            engine_on(runner, dsn, driver) as engine,
            entered(runner, sa.AsyncSession(engine)) as session,
        ):
            yield over_sqlalchemy(runner, session)

    @caller(f"SQLAlchemy async_scoped_session over {driver}")
    def scoped(dsn: str) -> Iterator[Caller]:
        with asyncio.Runner() as runner, engine_on(runner, dsn, driver) as engine:
            session = sa.async_scoped_session(sa.async_sessionmaker(engine), scopefunc=lambda: 1)
            try:
                yield over_sqlalchemy(runner, session)
            finally:
                runner.run(session.remove())


sqlalchemy_callers("asyncpg")
sqlalchemy_callers("psycopg")
