"""What a drain does beside running jobs: limits, times, transactions, what it says."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from pgqueue import App, ConfigError, RunningJob, Snooze, current_job
from pgqueue.testing import Kit, atransaction, running_job, transaction

pytestmark = pytest.mark.one_pg


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    with App(dsn) as app:
        yield app


@pytest.fixture
def kit(app: App) -> Iterator[Kit]:
    with transaction(app) as kit:
        yield kit


def test_a_task_that_goes_on_for_ever_is_named(app: App, kit: Kit) -> None:
    @app.task
    def again() -> None:
        again.enqueue()

    @app.task
    def snoozes() -> None:
        raise Snooze(0)

    @app.task
    def once() -> None: ...

    once.enqueue()
    again.enqueue()
    with pytest.raises(ConfigError, match=r'after 20 attempts .* task "again" ran 19 times'):
        kit.drain(limit=20)
    snoozes.enqueue()
    with pytest.raises(ConfigError, match='task "snoozes" ran 5 times'):
        kit.drain(tasks=snoozes, limit=5)


def test_only_these_queues_or_tasks_are_run(app: App, kit: Kit) -> None:
    @app.task(queue="mail")
    def mail() -> None: ...

    @app.task
    def other() -> None: ...

    for task in (mail, other, other):
        task.enqueue()
    assert kit.drain(queues="mail") == {"completed": 1}
    assert kit.drain(tasks=[other], limit=2) == {"completed": 2}
    assert kit.drain() == {}
    with pytest.raises(ConfigError, match="limit must be"):
        kit.drain(limit=0)


def test_jobs_under_a_former_name_are_run(app: App, kit: Kit) -> None:
    @app.task(name="mail.send", aliases=["send_mail"])
    def send(n: int) -> None: ...

    app.enqueue("send_mail", {"n": 1})
    kit.assert_enqueued(send, args={"n": 1}, count=1)
    kit.assert_enqueued("send_mail", count=1)
    assert kit.drain() == {"completed": 1}
    app.enqueue("send_mail", {"n": 2})
    assert kit.drain(tasks=send) == {"completed": 1}
    kit.refute_enqueued(send)


def test_hooks_are_run_around_a_job(dsn: str) -> None:
    seen: list[object] = []

    def around(job: RunningJob, call_next: Callable[[], Any]) -> Any:
        seen.append(job.id)
        return call_next()

    async def async_around(job: RunningJob, call_next: Callable[[], Awaitable[Any]]) -> Any:
        seen.append(job.id)
        await call_next()
        raise ValueError("a hook raises")

    with App(dsn, around=[around, async_around]) as app, transaction(app) as kit:

        @app.task
        def blocking() -> None:
            seen.append("blocking")

        @app.task(max_attempts=1)
        async def waiting() -> None:
            seen.append("waiting")

        one, two = blocking.enqueue(), waiting.enqueue()
        done = kit.drain(raise_errors=False)
        assert done == {"completed": 1, "dead": 1}
        assert seen == [one.id, "blocking", two.id, "waiting"]


def test_what_outlasts_its_timeout_has_failed(app: App, kit: Kit) -> None:
    told: list[bool] = []

    @app.task(timeout=0.05, max_attempts=1)
    def blocks() -> None:
        while not current_job().is_cancelled:
            time.sleep(0.001)
        told.append(True)

    blocks.enqueue()
    done = kit.drain(raise_errors=False)
    assert (done, told) == ({"dead": 1}, [True])
    assert "longer than its timeout of 0.05 s" in done.failures[0].failure.message


async def test_what_waits_beyond_its_timeout_is_cancelled(app: App) -> None:
    import asyncio

    @app.task(timeout=0.05, max_attempts=1)
    async def waits() -> None:
        await asyncio.Event().wait()

    async with atransaction(app) as kit:
        await waits.aenqueue()
        done = await kit.adrain(raise_errors=False)
        assert done == {"dead": 1}
        assert done.failures[0].failure.type == "TimeoutError"
    await app.aclose()


def test_the_transaction_of_a_job_is_a_savepoint(app: App, kit: Kit) -> None:
    kit.connection.execute("create table orders (id integer)")  # type: ignore[attr-defined]

    @app.task
    def settle(n: int) -> None:
        with current_job().transaction() as tx:
            tx.execute("insert into orders values (%s)", [n])

    @app.task(max_attempts=1)
    def fails(n: int) -> None:
        with current_job().transaction() as tx:
            tx.execute("insert into orders values (%s)", [n])
            raise ValueError("no")

    settle.enqueue(1)
    fails.enqueue(2)
    assert kit.drain(raise_errors=False) == {"completed": 1, "dead": 1}
    rows = kit.connection.execute("select id from orders").fetchall()  # type: ignore[attr-defined]
    assert rows == [(1,)]


async def test_the_transaction_of_an_async_job_is_one_of_asyncpg(app: App) -> None:
    @app.task
    async def settle(n: int) -> None:
        async with current_job().transaction() as tx:
            assert await tx.fetchval("select $1::int", n) == n

    async with atransaction(app) as kit:
        await settle.aenqueue(1)
        assert await kit.adrain() == {"completed": 1}
    await app.aclose()


def test_a_task_that_rolls_the_test_back_is_told_so(dsn: str, app: App) -> None:
    with psycopg.connect(dsn) as connection:

        @app.task
        def rolls_back() -> None:
            connection.rollback()

        rolls_back.using(connection=connection).enqueue()
        with pytest.raises(ConfigError, match="has ended the transaction of the test"):
            Kit(app, connection).drain()


def test_what_it_raises_says_which_job_it_was(
    app: App, kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(max_attempts=1)
    def fails() -> None:
        raise KeyError("x")

    fails.enqueue()
    began = time.monotonic()
    with pytest.raises(KeyError) as caught:
        kit.drain()
    assert "(fails), attempt 1, which is dead" in caught.value.__notes__[0]
    (seconds,) = re.findall(r"in attempt 1 of 1 after ([\d.]+) s", caplog.text)
    assert float(seconds) <= time.monotonic() - began + 0.001


async def test_the_wrong_sort_of_connection_is_refused(dsn: str, app: App) -> None:
    connection = await asyncpg.connect(dsn)
    with pytest.raises(ConfigError, match=r"is asynchronous: .* adrain\(\)"):
        Kit(app, connection).drain()
    with psycopg.connect(dsn) as blocking, pytest.raises(ConfigError, match="is blocking"):
        await Kit(app, blocking).aenqueued()
    with pytest.raises(ConfigError, match="connection must be a connection of asyncpg"):
        Kit(app, 7).enqueued()
    with pytest.raises(ConfigError, match="need an App"):
        Kit(7, connection)  # type: ignore[arg-type]  # pyright: ignore
    await connection.close()


def test_running_job_is_a_job_for_a_unit_test(app: App) -> None:
    @app.task(queue="mail", max_attempts=3)
    def task() -> tuple[Any, ...]:
        job = current_job()
        return job.task, job.queue, job.max_attempts, job.attempt, job.metadata, job.tags

    with running_job(task, attempt=2, metadata={"a": 1}, tags=["x"]) as job:
        assert task() == ("task", "mail", 3, 2, {"a": 1}, ("x",))
        with running_job():
            assert current_job().task == "test"
        assert current_job() is job
        with pytest.raises(ConfigError, match="needs a database"), job.transaction():
            pass
        with pytest.raises(ConfigError, match="needs a database"):
            job.transaction(7)
    with pytest.raises(Exception, match="outside of a job"):
        current_job()


def test_a_task_completes_its_job_on_the_connection_of_the_test(app: App, kit: Kit) -> None:
    connection = cast("psycopg.Connection[Any]", kit.connection)
    connection.execute("create table orders (id integer)")

    @app.task(max_attempts=1)
    def in_a_block(n: int) -> None:
        with current_job().transaction(connection):
            connection.execute("insert into orders values (%s)", [n])
            if n < 0:
                raise ValueError("no")

    @app.task(max_attempts=1)
    def by_hand(n: int) -> None:
        with connection.transaction():
            connection.execute("insert into orders values (%s)", [n])
            current_job().complete(connection)
            if n < 0:
                raise psycopg.Rollback

    for n in (1, -1):
        in_a_block.enqueue(n)
    for n in (2, -2):
        by_hand.enqueue(n)
    done = kit.drain(raise_errors=False)
    assert done == {"completed": 2, "dead": 2}
    assert [str(failed.error).partition(",")[0] for failed in done.failures] == [
        "no",
        f"complete() of job {done.failures[1].job_id} was called",
    ]
    assert connection.execute("select id from orders order by id").fetchall() == [(1,), (2,)]


def test_a_task_completes_its_job_in_a_session_over_the_connection(dsn: str, app: App) -> None:
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))

    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(text("create table orders (id integer)"))

        @app.task(max_attempts=1)
        def settle(n: int) -> None:
            with (
                Session(connection, join_transaction_mode="create_savepoint") as session,
                current_job().transaction(session),
            ):
                session.execute(text("insert into orders values (:n)"), {"n": n})
                if n < 0:
                    raise ValueError("no")

        @app.task(max_attempts=1)
        def elsewhere() -> None:
            with Session(engine) as session, current_job().transaction(session):
                pass

        kit = Kit(app, connection)
        with kit.joined():
            settle.enqueue(1)
            settle.enqueue(-1)
            assert kit.drain(raise_errors=False) == {"completed": 1, "dead": 1}
            rows = connection.execute(text("select id from orders")).all()
            assert [row[0] for row in rows] == [1]
            elsewhere.enqueue()
            with pytest.raises(ConfigError, match="is in the transaction of the test"):
                kit.drain()
        outer.rollback()
    engine.dispose()


async def test_an_async_task_completes_its_job_on_the_connection_of_the_test(app: App) -> None:
    async with atransaction(app) as kit:
        connection = cast("asyncpg.Connection", kit.connection)
        await connection.execute("create table orders (id integer)")

        @app.task(max_attempts=1)
        async def in_a_block(n: int) -> None:
            async with current_job().transaction(connection):
                await connection.execute("insert into orders values ($1)", n)
                if n < 0:
                    raise ValueError("no")

        @app.task(max_attempts=1)
        async def by_hand(n: int) -> None:
            async with connection.transaction():
                await connection.execute("insert into orders values ($1)", n)
                await current_job().acomplete(connection)

        for n in (1, -1):
            await in_a_block.aenqueue(n)
        await by_hand.aenqueue(2)
        assert await kit.adrain(raise_errors=False) == {"completed": 2, "dead": 1}
        rows = await connection.fetch("select id from orders order by id")
        assert [row["id"] for row in rows] == [1, 2]
    await app.aclose()
