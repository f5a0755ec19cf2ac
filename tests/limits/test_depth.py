"""A queue that holds as many ready jobs as it may: who hears of it, and when it has room again."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import asyncpg
import psycopg
import pytest

from pgqueue import App, QueueFull
from pgqueue.db.link import Link, Watch
from pgqueue.db.store import Store
from pgqueue.worker.fleet.depths import Depths
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = [pytest.mark.one_turn]

MARK = "update pgqueue.queue set full_at = now(), depth = 7 where name = 'mail'"
CLEAR = "update pgqueue.queue set full_at = null"


async def full_queue(app: App, eyes: Eyes) -> None:
    """Limit the queue, and mark it as full, as a count does."""
    await app.queue_limits.aset("mail", max_depth=5)
    await eyes.sql(MARK)


async def jobs(eyes: Eyes) -> int:
    return await eyes.value("select count(*) from pgqueue.job")


@pytest.fixture
async def mail(app: App, eyes: Eyes) -> Any:
    @app.task(queue="mail")
    async def send(n: int = 0) -> None: ...

    await full_queue(app, eyes)
    return send


async def test_every_way_of_an_enqueue_is_refused(app: App, mail: Any, eyes: Eyes) -> None:
    ways = [
        mail.aenqueue(),
        mail.using(delay=3600).aenqueue(),
        mail.using(unique_key="k").aenqueue(),
        app.aenqueue("send", queue="mail"),
        app.aenqueue_many([mail.job(n) for n in range(3)]),
        app.aenqueue_many([mail.job(), mail.using(priority=1).job()]),
        app.aenqueue_many([app.job("other"), mail.job()]),
        app.aenqueue_many([mail.using(unique_key=f"k{n}").job() for n in range(20)]),
        app.aenqueue_many([mail.job(n) for n in range(6000)]),
    ]
    for way in ways:
        with pytest.raises(QueueFull) as caught:
            await way
        error = caught.value
        assert (error.queue, error.depth, error.limit, error.flow) == ("mail", 7, 5, None)
    assert await jobs(eyes) == 0
    assert str(error) == (
        'queue "mail" is full: 7 jobs are ready, and its max_depth is 5; nothing was enqueued'
    )
    await app.aenqueue("other")
    await eyes.sql(CLEAR)
    await mail.aenqueue()
    assert await jobs(eyes) == 2


async def test_sql_fails(mail: Any, eyes: Eyes) -> None:
    with pytest.raises(asyncpg.ConfigurationLimitExceededError) as caught:
        await eyes.sql("""select * from pgqueue.enqueue('{"task": "send", "queue": "mail"}')""")
    assert 'queue "mail" is full' in str(caught.value)
    assert await jobs(eyes) == 0


async def test_a_callers_transaction_goes_on(app: App, mail: Any, dsn: str, eyes: Eyes) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for call in (
                mail.using(connection=connection, wait=60).aenqueue(),  # it does not wait there
                app.aenqueue_many([mail.job(), mail.job()], connection=connection),
                app.aenqueue_many([mail.using(tags=["a"]).job()], connection=connection),
            ):
                with pytest.raises(QueueFull):
                    await call
            await app.aenqueue("other", connection=connection)
    finally:
        await connection.close()
    assert await jobs(eyes) == 1


async def test_blocking_calls_and_connections(app: App, mail: Any, dsn: str, eyes: Eyes) -> None:
    def calls() -> None:
        for call in (mail.enqueue, lambda: app.enqueue_many([mail.job()] * 2)):
            with pytest.raises(QueueFull):
                call()
        with psycopg.connect(dsn) as connection:
            with pytest.raises(QueueFull):
                mail.using(connection=connection).enqueue()
            app.enqueue("other", connection=connection)

    await asyncio.to_thread(calls)
    assert await jobs(eyes) == 1


async def test_a_bulk_call_of_several_statements_is_all_or_none(
    app: App, mail: Any, dsn: str, eyes: Eyes
) -> None:
    """The second statement finds the queue full: the caller's transaction can keep nothing."""
    many = [app.job("other") for _ in range(5000)] + [mail.job() for _ in range(10)]
    with pytest.raises(QueueFull):
        await app.aenqueue_many(many)
    connection = await asyncpg.connect(dsn)
    try:
        with pytest.raises(QueueFull):
            await app.aenqueue_many(many, connection=connection)  # in autocommit
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(QueueFull):
            await app.aenqueue_many(many, connection=connection)
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await connection.execute("select 1")
        await transaction.rollback()
    finally:
        await connection.close()
    assert await jobs(eyes) == 0


async def test_a_call_waits_for_room(mail: Any, app: App, eyes: Eyes) -> None:
    waiting = [
        asyncio.create_task(mail.using(wait=60).aenqueue()),
        asyncio.create_task(app.aenqueue("send", queue="mail", wait=60)),
        asyncio.create_task(app.aenqueue_many([mail.job()] * 2, wait=60)),
    ]
    done = threading.Event()

    def blocking() -> None:
        mail.using(wait=60).enqueue()
        done.set()

    thread = threading.Thread(target=blocking)
    thread.start()
    await eventually(lambda: app.pool is not None)
    await asyncio.sleep(0)
    assert not done.is_set()
    await eyes.sql(CLEAR)
    await asyncio.gather(*waiting)
    await eventually(done.is_set)
    thread.join()
    assert await jobs(eyes) == 5


async def test_it_waits_no_longer_than_it_is_told(mail: Any) -> None:
    with pytest.raises(QueueFull):
        await mail.using(wait=0.05).aenqueue()


async def test_jobs_of_schedules_are_let_in(app: App, mail: Any, eyes: Eyes) -> None:
    await app.schedules.aset("s", task="send", every=3600, queue="mail")
    assert await app.schedules.arun("s") is not None
    assert await jobs(eyes) == 1
    await app.queue_limits.aset("mail", max_depth=1)  # it stays full, also while it is counted
    await eyes.sql(MARK)
    await eyes.sql("update pgqueue.queue set paused_at = now() where name = 'mail'")
    await eyes.sql("update pgqueue.schedule set next_at = now()")
    async with working(app):
        await eventually(lambda: two_jobs(eyes))


async def two_jobs(eyes: Eyes) -> bool:
    return await jobs(eyes) == 2


async def counted(app: App, store: Store) -> bool:
    """Count now, whatever was counted before."""
    await app.pool.arun(
        lambda c: c.execute("update pgqueue.duty set due_at = now() where name = 'depth'")
    )
    await Depths(store).step(called=False)
    (info,) = await app.queue_limits.alist()
    return info.full_at is not None


@pytest.fixture
async def store(dsn: str) -> Any:
    link = Link(dsn, role="duties", watch=Watch(), deadline=20.0, pooled=False)
    store = Store(link, "pgqueue")
    await store.due_duties()
    yield store
    await link.close()


async def test_a_count_says_which_queue_is_full(app: App, eyes: Eyes, store: Store) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    await app.queue_limits.aset("mail", max_depth=5)
    await app.aenqueue_many([send.job()] * 3)
    await send.using(delay=3600).aenqueue()  # it is not ready
    await app.aenqueue_many([app.job("other")] * 10)
    assert not await counted(app, store)
    await app.aenqueue_many([send.using(priority=1).job()] * 2)
    assert await counted(app, store)
    with pytest.raises(QueueFull):
        await send.aenqueue()
    # What runs does not wait.
    await eyes.sql(
        "update pgqueue.job set worker_id = 1, claim_token = 1, claimed_at = now()"
        " where id = (select min(id) from pgqueue.job where queue = 'mail')"
    )
    assert not await counted(app, store)
    await send.aenqueue()
    assert await counted(app, store)
    await app.queue_limits.aset("mail", max_depth=6)
    await send.aenqueue()  # at once: what may be there has changed
    assert await counted(app, store)
    await app.queue_limits.aoff("mail")
    await send.aenqueue()
    assert not await counted(app, store)


async def test_it_is_counted_once_for_all(app: App, store: Store) -> None:
    await app.queue_limits.aset("mail", max_depth=5)
    await eventually(lambda: True)
    first = await store.count_depths([], [], 3600.0)
    second = await store.count_depths([], [], 3600.0)
    assert [row["queue"] for row in first] == ["mail", None]
    assert [(row["queue"], row["wanted"]) for row in second] == [(None, True)]


async def test_where_no_queue_has_a_depth_it_is_due_each_hour_until_one_gets_it(
    app: App, eyes: Eyes, store: Store
) -> None:
    left = (
        "select extract(epoch from due_at - now())::float8 from pgqueue.duty where name = 'depth'"
    )
    for _ in range(2):
        (row,) = await store.count_depths([], [], 1.0)
        assert row["wanted"] is False
        assert 3000 < await eyes.value(left) <= 3600
    await app.queue_limits.aset("mail", max_depth=5)
    rows = await store.count_depths([], [], 1.0)
    assert [row["queue"] for row in rows] == ["mail", None]
    assert await eyes.value(left) <= 1


async def test_a_worker_counts_and_lets_producers_go_on(app: App, eyes: Eyes) -> None:
    going = asyncio.Event()

    @app.task(queue="mail")
    async def hold() -> None:
        await going.wait()

    app.queue("mail", max_depth=3)
    async with working(app, concurrency=1, max_prefetch=1):
        await app.aenqueue_many([hold.job()] * 10)

        async def is_full() -> bool:
            return await eyes.value(
                "select full_at is not null from pgqueue.queue where name = 'mail'"
            )

        await eventually(is_full)
        with pytest.raises(QueueFull):
            await hold.aenqueue()
        going.set()
        job = await hold.using(wait=60).aenqueue()
        await eyes.reaches(job.id, "completed")
