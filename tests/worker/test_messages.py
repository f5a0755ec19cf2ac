"""What job.transaction() sends: as few messages as can be, and nothing of one job in the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from pgqueue import App, current_job
from pgqueue.drivers import psycopg_message
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

JOBS = 5
DEFERRED = """
create function public.refuse() returns trigger language plpgsql as
$$ begin raise exception 'refused at the commit'; end $$;
create constraint trigger refuse after insert on public.effect
    deferrable initially deferred for each row execute function public.refuse();
"""


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[App]:
    """An app whose jobs share one connection of each kind."""
    app = App(dsn, max_transactions=1)
    yield app
    await app.aclose()


async def test_a_connection_is_handed_on_with_the_next_transaction_begun(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job can still choose its isolation level, and has savepoints."""
    await eyes.sql("create table public.effect (job bigint, pid int, began timestamptz)")
    sent: list[str] = []
    execute = asyncpg.Connection.execute

    async def listened(connection: Any, query: str, *args: Any, **how: Any) -> str:
        sent.append(query)
        return await execute(connection, query, *args, **how)

    @app.task
    async def settle() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("set transaction isolation level serializable")
            async with tx.transaction():
                await tx.execute(
                    "insert into public.effect values ($1, pg_backend_pid(), now())", job.id
                )

    monkeypatch.setattr(asyncpg.Connection, "execute", listened)
    await app.aenqueue_many([settle.job() for _ in range(JOBS)])
    async with working(app):
        await eyes.settled(completed=JOBS)
    assert await eyes.value("select count(distinct job) from effect") == JOBS
    assert await eyes.value("select count(distinct pid) from effect") == 1
    assert await eyes.value("select count(distinct began) from effect") == JOBS
    ends = [query for query in sent if "execute pgqueue_complete_own_job" in query]
    assert len(ends) == JOBS
    assert sum("prepare pgqueue_complete_own_job" in query for query in ends) == 1
    alone = sum(query == "begin" for query in sent)
    assert alone + sum(query.endswith(";begin") for query in ends) == JOBS
    assert alone < JOBS


async def test_a_job_in_a_thread_sends_two_messages(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    real = psycopg_message.send

    def listened(connection: Any, text: str) -> str:
        sent.append(text)
        return real(connection, text)

    monkeypatch.setattr("pgqueue.worker.run.transaction_blocking.send", listened)

    @app.task
    def settle() -> None:
        with current_job().transaction():
            pass

    await app.aenqueue_many([settle.job() for _ in range(JOBS)])
    async with working(app):
        await eyes.settled(completed=JOBS)
    assert len(sent) == 2 * JOBS


async def test_what_a_thread_has_prepared_is_not_there_for_the_next(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    def prepare() -> None:
        with current_job().transaction() as tx:
            tx.execute("prepare mine as select 1")
            tx.execute("select %s::int", (1,), prepare=True)

    await app.aenqueue_many([prepare.job() for _ in range(JOBS)])
    async with working(app):
        await eyes.settled(completed=JOBS)


async def test_who_deallocates_ours_costs_no_other_job_anything(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def settle(deallocates: bool) -> None:
        async with current_job().transaction() as tx:
            if deallocates:
                await tx.execute("deallocate all")

    async with working(app, concurrency=1):
        await settle.aenqueue(False)
        await eyes.settled(completed=1)
        await settle.aenqueue(True)
        await eyes.settled(completed=1, dead=1)
        await settle.aenqueue(False)
        await eyes.settled(completed=2, dead=1)


@pytest.fixture(params=["async", "thread"])
async def writes(app: App, eyes: Eyes, request: pytest.FixtureRequest) -> Any:
    """A task that writes a row in its transaction, on the loop or in a thread."""
    await eyes.sql("create table public.effect (job bigint)")
    insert = "insert into public.effect values (1)"

    @app.task(max_attempts=1)
    async def settle() -> None:
        async with current_job().transaction() as tx:
            await tx.execute(insert)

    @app.task(max_attempts=1)
    def settle_in_a_thread() -> None:
        with current_job().transaction() as tx:
            tx.execute(insert)

    return settle if request.param == "async" else settle_in_a_thread


@pytest.mark.law(14)
async def test_a_commit_that_is_refused_says_why(app: App, eyes: Eyes, writes: Any) -> None:
    await eyes.connection.execute(DEFERRED)
    job_id = (await writes.aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "dead")
    (error,) = await eyes.errors(job_id)
    assert "refused at the commit" in error["message"]
    assert await eyes.value("select count(*) from effect") == 0


@pytest.mark.law(14)
async def test_what_fails_behind_the_commit_leaves_the_job_completed(
    app: App, eyes: Eyes, writes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.run.own_commit.RESET", "select 1 / 0")
    job_id = (await writes.aenqueue()).id
    async with working(app):
        row = await eyes.reaches(job_id, "completed")
    assert row["errors"] is None
    assert await eyes.value("select count(*) from effect") == 1
