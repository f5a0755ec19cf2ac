"""A job that is completed in a transaction of the handler's own, on each kind of connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa

from pgqueue import App, ConfigError, LeaseLost, RunningJob, current_job
from tests.drivers.blocking_callers import django_database
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

EFFECT = "insert into effect values (1)"
STEAL = "update pgqueue.job set claim_token = claim_token + 1"


@asynccontextmanager
async def over_asyncpg(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def over_psycopg(dsn: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection
        await connection.rollback()


@asynccontextmanager
async def over_psycopg_autocommit(dsn: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


def async_session(driver: str, made: Callable[[Any], Any]) -> Any:
    @asynccontextmanager
    async def over_sqlalchemy(dsn: str) -> AsyncIterator[Any]:
        connect: Any = {"asyncpg": asyncpg.connect, "psycopg": psycopg.AsyncConnection.connect}
        engine = sa.create_async_engine(
            f"postgresql+{driver}://", async_creator=lambda: connect[driver](dsn)
        )
        async with made(engine) as session:
            yield session
        await engine.dispose()

    return over_sqlalchemy


ASYNC: dict[str, Any] = {
    "asyncpg": over_asyncpg,
    "psycopg": over_psycopg,
    "psycopg autocommit": over_psycopg_autocommit,
    "AsyncSession over asyncpg": async_session("asyncpg", sa.AsyncSession),
    "AsyncSession over psycopg": async_session("psycopg", sa.AsyncSession),
    "AsyncConnection over asyncpg": async_session("asyncpg", sa.AsyncEngine.connect),
}


@contextmanager
def psycopg_connection(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection:
        yield connection
        connection.rollback()


@contextmanager
def psycopg2_connection(dsn: str) -> Iterator[Any]:
    connection = psycopg2.connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


def session(made: Callable[[Any], Any]) -> Any:
    @contextmanager
    def over_sqlalchemy(dsn: str) -> Iterator[Any]:
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn)
        )
        with made(engine) as session:
            yield session
        engine.dispose()

    return over_sqlalchemy


def django_connection(dsn: str) -> AbstractContextManager[Any]:
    return django_database(dsn, "default")


BLOCKING: dict[str, Any] = {
    "psycopg": psycopg_connection,
    "psycopg2": psycopg2_connection,
    "Session": session(orm.Session),
    "Connection": session(sqlalchemy.Engine.connect),
    "scoped_session": session(lambda engine: orm.scoped_session(orm.sessionmaker(engine))()),
    "Django": django_connection,
}


async def arun(connection: Any, sql: str) -> None:
    await connection.execute(
        sqlalchemy.text(sql)
        if isinstance(connection, sa.AsyncSession | sa.AsyncConnection)
        else sql
    )


def run(connection: Any, sql: str) -> None:
    if hasattr(connection, "execute"):
        is_alchemy = isinstance(connection, orm.Session | sqlalchemy.Connection)
        connection.execute(sqlalchemy.text(sql) if is_alchemy else sql)
    else:
        with connection.cursor() as cursor:
            cursor.execute(sql)


@asynccontextmanager
async def begun(connection: Any) -> AsyncIterator[None]:
    """The caller's own transaction."""
    if isinstance(connection, sa.AsyncSession | sa.AsyncConnection):
        async with connection.begin():
            yield
    else:
        async with connection.transaction():
            yield


@contextmanager
def begun_blocking(connection: Any) -> Iterator[None]:
    from django.db import transaction

    if isinstance(connection, orm.Session | sqlalchemy.Connection):
        with connection.begin():
            yield
    elif isinstance(connection, psycopg.Connection):
        with connection.transaction():
            yield
    elif hasattr(connection, "alias"):
        with transaction.atomic():
            yield
    else:
        with connection:
            yield


@pytest.fixture
async def effects(eyes: Eyes) -> Callable[[], Any]:
    await eyes.sql("create table effect (n int)")

    async def count() -> int:
        return await eyes.value("select count(*) from effect")

    return count


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody says that a job was lost which its handler has completed."""
    caplog.set_level(logging.WARNING)
    yield
    assert "any more" not in "\n".join(
        r.getMessage() for r in caplog.records if "LeaseLost" not in r.getMessage()
    )


Step = Callable[..., Any]


async def run_one(app: App, eyes: Eyes, step: Step, state: str, kind: str, dsn: str) -> Any:
    """Run a job whose handler takes this step, to that state; return its row."""

    @app.task(max_attempts=1)
    async def in_a_task() -> None:
        job = current_job()
        async with ASYNC[kind.removeprefix("async ")](dsn) as connection:
            await step(job, connection)

    @app.task(max_attempts=1)
    def in_a_thread() -> None:
        job = current_job()
        with BLOCKING[kind](dsn) as connection:
            step(job, connection)

    task: Any = in_a_task if kind.startswith("async ") else in_a_thread
    made = await task.aenqueue()
    async with working(app):
        return await eyes.reaches(made.id, state)


KINDS = [*(f"async {name}" for name in ASYNC), *BLOCKING]
each_kind = pytest.mark.parametrize("kind", KINDS)


def flavour(kind: str, asynchronous: Step, blocking: Step) -> Step:
    return asynchronous if kind.startswith("async ") else blocking


@each_kind
@pytest.mark.law(2)
async def test_effects_and_completion_are_committed_together(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    async def step(job: RunningJob, connection: Any) -> None:
        async with job.transaction(connection) as same:
            assert same is connection
            await arun(connection, EFFECT)
        assert job.is_completed

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with job.transaction(connection) as same:
            assert same is connection
            run(connection, EFFECT)
        assert job.is_completed

    row = await run_one(app, eyes, flavour(kind, step, step_blocking), "completed", kind, dsn)
    assert (row["attempt"], row["errors"], await effects()) == (1, None, 1)


@each_kind
async def test_an_error_rolls_both_back(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    async def step(job: RunningJob, connection: Any) -> None:
        async with job.transaction(connection):
            await arun(connection, EFFECT)
            raise ZeroDivisionError

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with job.transaction(connection):
            run(connection, EFFECT)
            raise ZeroDivisionError

    await run_one(app, eyes, flavour(kind, step, step_blocking), "dead", kind, dsn)
    assert await effects() == 0


@each_kind
@pytest.mark.law(2, 9)
async def test_an_attempt_that_lost_its_lease_rolls_back(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    said: list[BaseException] = []

    async def step(job: RunningJob, connection: Any) -> None:
        await eyes.sql(STEAL)
        try:
            async with job.transaction(connection):
                await arun(connection, EFFECT)
        except LeaseLost as exc:
            said.append(exc)
        async with begun(connection):
            await eyes.sql("update pgqueue.job set claim_token = claim_token - 1")
            await job.acomplete(connection)

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(STEAL)
            try:
                with job.transaction(connection):
                    run(connection, EFFECT)
            except LeaseLost as exc:
                said.append(exc)
            other.execute("update pgqueue.job set claim_token = claim_token - 1")
        with begun_blocking(connection):
            job.complete(connection)

    await run_one(app, eyes, flavour(kind, step, step_blocking), "completed", kind, dsn)
    assert len(said) == 1
    assert await effects() == 0


@each_kind
async def test_complete_in_a_transaction_that_the_handler_commits(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    async def step(job: RunningJob, connection: Any) -> None:
        async with begun(connection):
            await arun(connection, EFFECT)
            await job.acomplete(connection)

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with begun_blocking(connection):
            run(connection, EFFECT)
            job.complete(connection)

    row = await run_one(app, eyes, flavour(kind, step, step_blocking), "completed", kind, dsn)
    assert (row["attempt"], row["errors"], await effects()) == (1, None, 1)


@each_kind
async def test_complete_without_a_commit_is_a_failed_attempt(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    async def step(job: RunningJob, connection: Any) -> None:
        try:
            async with begun(connection):
                await arun(connection, EFFECT)
                await job.acomplete(connection)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    def step_blocking(job: RunningJob, connection: Any) -> None:
        try:
            with begun_blocking(connection):
                run(connection, EFFECT)
                job.complete(connection)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    row = await run_one(app, eyes, flavour(kind, step, step_blocking), "dead", kind, dsn)
    assert "was not committed by the time" in row["errors"]
    assert await effects() == 0


@each_kind
@pytest.mark.law(14)
async def test_an_error_after_the_commit_changes_nothing(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    """As where the answer to the handler's commit is lost: the database is asked."""

    async def step(job: RunningJob, connection: Any) -> None:
        async with begun(connection):
            await arun(connection, EFFECT)
            await job.acomplete(connection)
        raise ConnectionResetError("cut after the commit")

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with begun_blocking(connection):
            run(connection, EFFECT)
            job.complete(connection)
        raise ConnectionResetError("cut after the commit")

    row = await run_one(app, eyes, flavour(kind, step, step_blocking), "completed", kind, dsn)
    assert (row["attempt"], row["errors"], await effects()) == (1, None, 1)


@each_kind
async def test_what_cannot_be_together_is_refused(
    app: App, eyes: Eyes, dsn: str, effects: Any, kind: str
) -> None:
    async def step(job: RunningJob, connection: Any) -> None:
        async with begun(connection):
            await arun(connection, EFFECT)
            with pytest.raises(ConfigError, match="has a transaction open already"):
                await job.transaction(connection).__aenter__()
        with pytest.raises(ConfigError, match=r"is asynchronous: write: async with"):
            job.transaction(connection).__enter__()
        with pytest.raises(ConfigError, match=r"is asynchronous: write: await job.acomplete"):
            job.complete(connection)

    def step_blocking(job: RunningJob, connection: Any) -> None:
        with begun_blocking(connection):
            run(connection, EFFECT)
            with pytest.raises(ConfigError, match="has a transaction open already"):
                job.transaction(connection).__enter__()
        with pytest.raises(ConfigError, match=r"is blocking: write: with job.transaction"):
            asyncio.run(job.transaction(connection).__aenter__())
        with pytest.raises(ConfigError, match=r"is blocking: write: job.complete"):
            asyncio.run(job.acomplete(connection))

    row = await run_one(app, eyes, flavour(kind, step, step_blocking), "completed", kind, dsn)
    assert (row["attempt"], await effects()) == (1, 1)


class Losing(asyncpg.Connection):  # type: ignore[type-arg]
    """A connection that is cut around the commit."""

    after = True

    def transaction(self, **options: Any) -> Any:
        transaction = super().transaction(**options)
        leave = transaction.__aexit__

        class Cut:
            async def __aenter__(_) -> None:
                await transaction.__aenter__()

            async def __aexit__(_, kind: Any, *rest: Any) -> None:
                if kind is None and not self.after:
                    self.terminate()
                    raise ConnectionResetError("cut")
                await leave(kind, *rest)
                if kind is None:
                    self.terminate()
                    raise ConnectionResetError("cut")

        return Cut()


@pytest.mark.law(14)
@pytest.mark.parametrize("after", [True, False])
async def test_a_commit_whose_answer_is_lost_is_looked_up(
    app: App, eyes: Eyes, dsn: str, effects: Any, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Losing, "after", after)

    @app.task(max_attempts=1)
    async def lose() -> None:
        job = current_job()
        connection = await asyncpg.connect(dsn, connection_class=Losing)
        async with job.transaction(connection):
            await connection.execute(EFFECT)

    made = await lose.aenqueue()
    async with working(app):
        row = await eyes.reaches(made.id, "completed" if after else "dead")
    assert await effects() == after
    assert (row["errors"] is None) is after


async def test_autocommit_is_refused(app: App, eyes: Eyes, dsn: str) -> None:
    said: list[str] = []

    @app.task
    async def alone() -> None:
        job = current_job()
        engine = sa.create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(dsn),
            isolation_level="AUTOCOMMIT",
        )
        async with over_asyncpg(dsn) as connection:
            with pytest.raises(ConfigError, match="no transaction is open") as caught:
                await job.acomplete(connection)
            said.append(str(caught.value))
        async with engine.connect() as connection:
            with pytest.raises(ConfigError, match="in AUTOCOMMIT") as caught:
                await job.transaction(connection).__aenter__()
            said.append(str(caught.value))
        await engine.dispose()

    made = await alone.aenqueue()
    async with working(app):
        await eyes.reaches(made.id, "completed")
    assert len(said) == 2


async def test_a_transaction_that_stays_open_does_not_count(app: App, eyes: Eyes, dsn: str) -> None:
    left: list[Any] = []

    @app.task(max_attempts=2, retry=lambda attempt, error: 0)
    async def forget() -> None:
        job = current_job()
        if job.attempt == 1:
            connection = await asyncpg.connect(dsn)
            left.append(connection)
            await connection.execute("begin")
            await job.acomplete(connection)
            asyncio.get_running_loop().call_later(3, connection.terminate)

    made = await forget.aenqueue()
    async with working(app):
        row = await eyes.reaches(made.id, "completed")
    assert row["attempt"] == 2
    assert "was not committed" in row["errors"]
