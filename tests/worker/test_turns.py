"""One claim of a queue at a time: a matter of speed, which nothing may hang on."""

from __future__ import annotations

import asyncpg
import pytest

from pgqueue import App
from pgqueue.db.statements import statement
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

ROUTES = ["direct", "pgbouncer"]
ENTER = "insert into pgqueue.turn (queue) values ('default'), ('another')"
HOLD = "select from pgqueue.turn where queue = 'default' for no key update"


async def claim(connection: asyncpg.Connection, *, bypass: bool = False) -> list[asyncpg.Record]:
    sql = statement("claim_jobs", "pgqueue")
    args = (["default"], [9], [0] * 10, ["noop"], 9, 1, 2, bypass, 2**31 - 1)
    return await connection.fetch(sql, *args)


async def test_a_second_claim_is_told_that_the_queue_is_busy(app: App, dsn: str) -> None:
    @app.task
    async def noop() -> None: ...

    await app.aenqueue_many([noop.job() for _ in range(12)])
    first, second = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        await first.execute(ENTER)
        transaction = first.transaction()
        await transaction.start()
        assert len(await claim(first)) == 9
        busy = await claim(second)
        assert [(row["id"], row["queue"]) for row in busy] == [(None, "default")]
        rows = await claim(second, bypass=True)
        assert [row["id"] is None for row in rows] == [False] * 3 + [True]
        await transaction.rollback()
        assert len(await claim(second)) == 9
    finally:
        await first.close()
        await second.close()


async def test_the_holder_of_a_queue_can_be_named(app: App, dsn: str) -> None:
    holder, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    find = statement("find_claim_holder", "pgqueue")
    try:
        await other.execute(ENTER)
        assert await other.fetch(find, "default") == []
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute(HOLD)
        [first] = await other.fetch(find, "default")
        assert await other.fetch(find, "default") == [first]
        assert await other.fetch(find, "another") == []
        await transaction.rollback()
        async with holder.transaction():
            await holder.execute(HOLD)
            assert await other.fetch(find, "default") != [first]
    finally:
        await holder.close()
        await other.close()


async def test_jobs_run_beside_a_claim_that_hangs(
    app: App, eyes: Eyes, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A backend that is frozen within its claim keeps the lock for as long as it likes."""

    @app.task
    async def noop() -> None: ...

    holder = await asyncpg.connect(dsn)
    try:
        await holder.execute(ENTER)
        async with holder.transaction():
            await holder.execute(HOLD)
            async with working(app):
                await app.aenqueue_many([noop.job() for _ in range(5)])
                await eyes.settled(completed=5)
    finally:
        await holder.close()
    assert "has not ended for some seconds" in caplog.text


async def test_a_queue_without_a_row_of_its_own_is_claimed_from(
    app: App, eyes: Eyes, dsn: str
) -> None:
    @app.task
    async def noop() -> None: ...

    async with working(app):
        await eyes.sql("delete from pgqueue.turn")
        await app.aenqueue_many([noop.job() for _ in range(5)])
        await eyes.settled(completed=5)


async def test_a_claim_holds_up_no_flag_no_pause_and_no_enqueue(app: App, dsn: str) -> None:
    @app.task
    async def noop() -> None: ...

    await app.aenqueue(noop.name)
    holder, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        await holder.execute(ENTER + "; insert into pgqueue.queue (name) values ('default')")
        await other.execute("set lock_timeout = '1ms'")
        async with holder.transaction():
            assert len(await claim(holder)) == 1
            raised = await other.fetch(statement("raise_flags", "pgqueue"), ["default"])
            assert [row["name"] for row in raised] == ["default"]
            await other.fetch(statement("pause_queue", "pgqueue"), "default")
            await noop.using(connection=other).aenqueue()
    finally:
        await holder.close()
        await other.close()


async def test_a_worker_takes_the_more_from_its_second_claim_on(app: App, eyes: Eyes) -> None:
    """One of many workers that share a queue gets few turns: it must not learn over twenty."""

    @app.task
    async def noop() -> None: ...

    await app.aenqueue_many([noop.job() for _ in range(500)])
    async with working(app, concurrency=100):
        await eyes.settled(completed=500)
    claims = await eyes.sql(
        "select count(*) as jobs from pgqueue.history group by claim_token order by min(claimed_at)"
    )
    assert claims[0]["jobs"] == 100
    assert claims[1]["jobs"] > 100
