"""F36: what cannot be stored is refused in the caller, by name, before any SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa

from pgqueue import App
from tests.corpus.arguments import BAD, Tasks
from tests.corpus.refusals import refuse_all, refused

pytestmark = pytest.mark.one_pg

SAMPLE = BAD[::5]
NOTE = "create table public.note (n int)"


def test_the_corpus_is_large() -> None:
    assert len(BAD) == len({bad.name for bad in BAD})
    assert len(BAD) > 800
    assert len(SAMPLE) > 160


@pytest.mark.past_bug(95)
@pytest.mark.fault("F36")
def test_every_bad_value_is_refused_with_its_path() -> None:
    """Without a database at all: the app's dsn leads nowhere."""
    tasks = Tasks(App("postgresql://nobody@127.0.0.1:1/none"))
    wrong = [said for bad in BAD if (said := refused(bad, lambda b: b.make(tasks)))]
    assert not wrong, "\n".join(wrong)


# -- in the caller's own transaction


@pytest.mark.fault("F36")
async def test_in_a_transaction_of_asyncpg(dsn: str) -> None:
    """Every value, all in one transaction: nothing is sent, and the transaction goes on."""
    connection = await asyncpg.connect(dsn)
    sent: list[str] = []
    await connection.execute(NOTE)
    async with connection.transaction():
        await connection.execute("insert into public.note values (1)")
        connection.add_query_logger(lambda record: sent.append(record.query))
        wrong = await refuse_all(BAD, connection)
        assert not wrong, "\n".join(wrong)
        assert not sent
        assert (await good(connection)) == [False]
    rows = await connection.fetch("select n from public.note")
    assert [row["n"] for row in rows] == [1]
    assert await connection.fetchval("select count(*) from pgqueue.job") == 1
    await connection.close()


async def good(connection: object) -> list[bool]:
    app = App("postgresql://nobody@127.0.0.1:1/none")
    return [one.duplicate for one in await app.aenqueue_many([app.job("t")], connection=connection)]


class Watched:
    """What the server last heard of a session, seen from another one."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute(NOTE)

    def last(self, pid: int) -> tuple[str, str]:
        row = self.connection.execute(
            "select query, state from pg_stat_activity where pid = %s", (pid,)
        ).fetchone()
        assert row is not None
        return row

    def counts(self) -> tuple[int, int]:
        row = self.connection.execute(
            "select (select count(*) from public.note), (select count(*) from pgqueue.job)"
        ).fetchone()
        assert row is not None
        return row


@pytest.fixture
def watched(dsn: str) -> Iterator[Watched]:
    watched = Watched(dsn)
    yield watched
    watched.connection.close()


MARK = "select pg_backend_pid() as mark"


@pytest.mark.fault("F36")
async def test_in_a_transaction_of_psycopg(dsn: str, watched: Watched) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute("insert into public.note values (1)")
        pid = (await (await connection.execute(MARK)).fetchone() or [0])[0]
        wrong = await refuse_all(SAMPLE, connection)
        assert not wrong, "\n".join(wrong)
        assert watched.last(pid) == (MARK, "idle in transaction")
        assert await good(connection) == [False]
    assert watched.counts() == (1, 1)


@pytest.mark.fault("F36")
async def test_in_a_transaction_of_sqlalchemy(dsn: str, watched: Watched) -> None:
    engine = sa.create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )
    async with sa.AsyncSession(engine) as session:
        await session.execute(sqlalchemy.text("insert into public.note values (1)"))
        pid = (await session.execute(sqlalchemy.text(MARK))).scalar_one()
        wrong = await refuse_all(SAMPLE, session)
        assert not wrong, "\n".join(wrong)
        assert watched.last(pid) == (MARK, "idle in transaction")
        assert await good(session) == [False]
        await session.commit()
    await engine.dispose()
    assert watched.counts() == (1, 1)


@contextmanager
def over_psycopg(dsn: str) -> Iterator[tuple[Any, Callable[[str], Any]]]:
    with psycopg.connect(dsn) as connection:
        yield connection, lambda text: connection.execute(text.encode())


@contextmanager
def over_sqlalchemy(dsn: str) -> Iterator[tuple[Any, Callable[[str], Any]]]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with orm.Session(engine) as session:
        yield session, lambda text: session.execute(sqlalchemy.text(text))
        session.commit()
    engine.dispose()


@pytest.mark.fault("F36")
@pytest.mark.parametrize("opened", [over_psycopg, over_sqlalchemy])
def test_in_a_blocking_transaction(dsn: str, watched: Watched, opened: Any) -> None:
    with opened(dsn) as (connection, execute):

        def give(kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if kind == "app":
                return target.enqueue(*args, connection=connection, **kwargs)
            if hasattr(target, "using"):
                return target.using(connection=connection).enqueue(*args, **kwargs)
            target._connection = connection
            return target.enqueue(*args, **kwargs)

        app = App("postgresql://nobody@127.0.0.1:1/none")
        tasks = Tasks(app, give)
        execute("insert into public.note values (1)")
        pid = execute(MARK).fetchone()[0]
        wrong = [said for bad in SAMPLE if (said := refused(bad, lambda b: b.make(tasks)))]
        assert not wrong, "\n".join(wrong)
        assert watched.last(pid) == (MARK, "idle in transaction")
        assert not app.enqueue("t", connection=connection).duplicate
    assert watched.counts() == (1, 1)


@pytest.mark.fault("F36")
async def test_one_bad_job_refuses_the_batch(dsn: str) -> None:
    """In bulk as well: the job is named by nobody else than its own call."""
    async with App(dsn) as app:

        @app.task
        async def take(n: int) -> None: ...

        with pytest.raises(TypeError, match=r"\$\.n: expected int"):
            await app.aenqueue_many(take.job(n) for n in (1, 2, "three", 4))  # type: ignore[arg-type]
        for wrong in (None, 7, [take.job(1), None], ["x"], "ab"):
            with pytest.raises(ValueError, match="job value"):
                await app.aenqueue_many(wrong)  # type: ignore[arg-type]
        assert not await app.alist_jobs()
        await asyncio.sleep(0)
