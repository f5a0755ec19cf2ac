"""What is accepted, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import asyncpg
import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa

from pgqueue import drivers
from pgqueue.errors import ConfigError
from tests.drivers import async_callers
from tests.drivers.blocking_callers import django_database
from tests.drivers.caller import CALLERS, Caller, arows_of_all, rows_of_all

assert async_callers  # it registers its callers

NAMES = [
    "asyncpg connection",
    "asyncpg pool",
    "psycopg default",
    "psycopg async default",
    "SQLAlchemy Connection over psycopg",
    "SQLAlchemy Session over psycopg",
    "SQLAlchemy scoped_session over psycopg",
    "SQLAlchemy AsyncConnection over asyncpg",
    "SQLAlchemy AsyncSession over asyncpg",
    "SQLAlchemy async_scoped_session over asyncpg",
    "Django connection",
]
SQL = "select $1"


@pytest.fixture(params=NAMES)
def caller(dsn: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with CALLERS[request.param](dsn) as caller:
        yield caller


def refusal(connection: object) -> str:
    with pytest.raises(ConfigError) as caught:
        drivers.run(connection, SQL, "")
    with pytest.raises(ConfigError) as again:
        asyncio.run(arows_of_all(connection, SQL, ["", ""]))
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def test_wrong_flavour_names_the_right_method(caller: Caller) -> None:
    said = []
    with suppress(ConfigError):
        drivers.run(caller.connection, "select $1::text", "")
        said = ["blocking", "use enqueue or enqueue_many with it, not aenqueue"]
    said = said or ["asynchronous", "use aenqueue or aenqueue_many with it, not enqueue"]
    wrong: Any = drivers.run
    if said[0] == "blocking":

        def wrong(*args: Any) -> Any:
            return asyncio.run(drivers.arun(*args))

    with pytest.raises(ConfigError, match=f"is {said[0]}: {said[1]}"):
        wrong(caller.connection, SQL, "")


async def test_pools_are_refused() -> None:
    pools: dict[str, Any] = {
        "async with pool.acquire() as connection": asyncpg.create_pool("postgresql://"),
        "with pool.connection() as connection": psycopg_pool.ConnectionPool(open=False),
        "async with pool.connection() as connection": psycopg_pool.AsyncNullConnectionPool(
            open=False
        ),
    }
    for remedy, pool in pools.items():
        with pytest.raises(ConfigError, match="a pool is not a transaction") as caught:
            await drivers.arun(pool, SQL, "")
        assert f'use "{remedy}"' in str(caught.value)


def test_engines_and_session_factories_are_refused() -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg://")
    assert "with engine.begin() as connection" in refusal(engine)
    assert "async with engine.begin() as connection" in refusal(
        sa.create_async_engine("postgresql+asyncpg://")
    )
    assert "with Session.begin() as session" in refusal(orm.sessionmaker(engine))
    assert "async with Session.begin() as session" in refusal(sa.async_sessionmaker())


def test_cursors_are_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        assert refusal(cursor).endswith("pass its connection, cursor.connection")
    with django_database(dsn, "default") as connection, connection.cursor() as cursor:
        assert refusal(cursor).endswith("pass django.db.connection")


def test_other_databases_are_refused(dsn: str) -> None:
    with (
        sqlalchemy.create_engine("sqlite://").connect() as connection,
        pytest.raises(ConfigError, match="is to sqlite, not to postgresql"),
    ):
        drivers.run(connection, SQL, "")
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    with (
        django_database(dsn, "default", **sqlite) as connection,
        pytest.raises(ConfigError, match="'default' is to sqlite, not to postgresql"),
    ):
        rows_of_all(connection, SQL, ["", ""])


@pytest.mark.parametrize(("thing", "name"), [("postgresql://", "str"), (None, "NoneType")])
def test_anything_else_is_refused_with_its_type(thing: object, name: str) -> None:
    said = refusal(thing)
    assert said.startswith("connection must be a connection of asyncpg, psycopg")
    assert said.endswith(f"got {name}")


class Proxy:
    """A stand-in that shows the class of what it wraps, as tracers put around connections."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._wrapped)


class Own(psycopg.Connection[Any]):
    pass


def test_subclasses_and_proxies_are_recognised(dsn: str) -> None:
    with closing(Own.connect(dsn)) as connection:
        assert drivers.run(connection, SQL, "x") == [("x",)]
        assert drivers.run(Proxy(connection), SQL, "x") == [("x",)]


def test_no_driver_is_imported() -> None:
    code = (
        "import sys, pgqueue, pgqueue.drivers as drivers\n"
        "try: drivers.run(object(), 'select $1', '')\n"
        "except ValueError: pass\n"
        "names = {'asyncpg', 'psycopg', 'psycopg2', 'psycopg_pool', 'sqlalchemy', 'django'}\n"
        "sys.exit(', '.join(sorted(names & set(sys.modules))) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0
