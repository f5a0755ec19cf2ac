"""Operations on a connection of the caller's: in its transaction, and with no session of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext import asyncio as sa

from pgqueue import App, ConfigError, JobState, SchemaError
from tests.worker.support import Eyes
from tests.worker.test_callers_transaction import ASYNC, BLOCKING, begun, begun_blocking

pytestmark = pytest.mark.one_turn

SETTINGS = ("search_path", "statement_timeout", "enable_seqscan", "plan_cache_mode", "jit")


async def shown(connection: Any) -> list[Any]:
    found = []
    for name in SETTINGS:
        sql = f"select current_setting('{name}')"
        if isinstance(connection, sa.AsyncSession | sa.AsyncConnection):
            found.append((await connection.execute(sqlalchemy.text(sql))).scalar())
        elif isinstance(connection, psycopg.AsyncConnection):
            found.append((await (await connection.execute(sql)).fetchone())[0])  # type: ignore
        else:
            found.append(await connection.fetchval(sql))
    return found


@pytest.mark.parametrize("kind", ASYNC)
@pytest.mark.law(9)
async def test_they_belong_to_the_callers_transaction(
    app: App, eyes: Eyes, dsn: str, kind: str
) -> None:
    async with ASYNC[kind](dsn) as connection:
        async with begun(connection):
            before = await shown(connection)
            made = [
                await app.aenqueue("x", {"n": n}, tags=["t"], connection=connection)
                for n in range(3)
            ]
            ids = [one.id for one in made]
            on: dict[str, Any] = {"connection": connection}
            assert [job.args for job in await app.alist_jobs(**on)] == [{"n": n} for n in (2, 1, 0)]
            job = await app.aget_job(ids[0], **on)
            assert job is not None
            assert (job.tags, job.state) == (("t",), JobState.PENDING)
            assert [r.state for r in await app.acancel(ids[:2], **on)] == ["cancelled"] * 2
            assert [r.changed for r in await app.aretry([ids[0], 0], **on)] == [False, True]
            assert await app.amatch_jobs(task="x", **on) == [ids[0], ids[2]]
            assert await app.apause("default", **on)
            status = await app.astatus(**on)
            assert int(status.jobs["pending"]) == 2
            assert [q.paused_at is None for q in await app.aqueues(**on)] == [False]
            assert await app.aworkers(**on) == []
            assert (await app.aredrive(ids, **on)).jobs[0].changed is False
            assert (await app.apurge_dead(task="x", **on)).more is False
            assert await app.acount_dead(**on) == await app.alist_dead(**on) == []
            assert (await app.aschema_status(**on)).ok
            assert await app.amigrate(**on) == []
            assert await shown(connection) == before
        assert (await app.acancel(ids[2], connection=connection))[0].changed
        if getattr(connection, "commit", None):
            await connection.commit()
    assert await eyes.sessions("pgqueue %") == []
    assert dict(await eyes.states()) == {"pending": 1, "cancelled": 2}


@pytest.mark.parametrize("kind", BLOCKING)
async def test_they_work_on_connections_that_block(
    app: App, eyes: Eyes, dsn: str, kind: str
) -> None:
    def work() -> None:
        with BLOCKING[kind](dsn) as connection:
            on: dict[str, Any] = {"connection": connection}
            with begun_blocking(connection):
                ids = [app.enqueue("x", {"n": n}, **on).id for n in range(2)]
                assert [job.args for job in app.list_jobs(**on)] == [{"n": 1}, {"n": 0}]
                job = app.get_job(ids[0], **on)
                assert job is not None
                assert job.enqueued_at.utcoffset() is not None
                assert app.cancel(ids[0], **on)[0].changed
                assert app.retry(ids, **on)[0].changed
                assert app.pause("default", **on)
                assert int(app.status(**on).jobs["pending"]) == 2
                assert app.migrate(**on) == []
                assert app.schema_status(**on).ok
            try:
                with begun_blocking(connection):
                    app.cancel(ids, **on)
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass

    await asyncio.to_thread(work)
    assert await eyes.sessions("pgqueue %") == []
    assert dict(await eyes.states()) == {"pending": 2}


async def test_the_flavour_must_fit(app: App, dsn: str) -> None:
    connection = psycopg.connect(dsn)
    with pytest.raises(ConfigError, match="is blocking: use the method without the a"):
        await app.astatus(connection=connection)
    connection.close()
    async with await psycopg.AsyncConnection.connect(dsn) as other:
        with pytest.raises(ConfigError, match="is asynchronous: await the method with an a"):
            app.status(connection=other)


def test_errors_are_ours_and_the_transaction_lives_on(app: App, dsn: str) -> None:
    elsewhere = App(dsn, schema="elsewhere")
    with psycopg.connect(dsn) as connection:
        connection.execute("create table kept (n int)")
        with pytest.raises(SchemaError, match="pgqueue migrate"):
            elsewhere.list_jobs(connection=connection)
        connection.execute("insert into kept values (1)")


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_schema_is_made_in_the_callers_transaction(app: App, dsn: str, kind: str) -> None:
    other = App(dsn, schema="other")
    with BLOCKING[kind](dsn) as connection:
        try:
            with begun_blocking(connection):
                assert len(other.migrate(connection=connection)) >= 1
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        with begun_blocking(connection):
            assert not other.schema_status(connection=connection).ok
            assert len(other.migrate(connection=connection)) >= 1
            assert other.migrate(connection=connection) == []
            other.enqueue("x", connection=connection)
        with begun_blocking(connection):
            assert other.schema_status(connection=connection).ok
            assert len(other.list_jobs(connection=connection)) == 1
