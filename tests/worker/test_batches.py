"""Tasks that take many jobs at once, on the server."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pgqueue import App, Client, current_batch, current_job
from pgqueue.errors import ConfigError, NotInJob
from tests.harness.waiting import PATIENCE, eventually
from tests.worker.support import Eyes, quick, working

WAIT = 0.2


async def test_one_transaction_completes_those_that_did_not_fail(app: App, eyes: Eyes) -> None:
    sizes: list[int] = []

    @app.task(batch=50, batch_wait=WAIT, max_attempts=1)
    async def write(items: list[int]) -> None:
        batch = current_batch()
        sizes.append(len(batch))
        async with batch.transaction() as tx:
            for index, item in enumerate(items):
                if item == 7:
                    batch.fail(index, ValueError("seven"))
            good = [item for item in items if item != 7]
            await tx.execute("insert into effect select pg_catalog.unnest($1::int[])", good)
        with pytest.raises(ConfigError, match="completed already"):
            batch.fail(items.index(good[0]), ValueError())

    await eyes.sql("create table effect (n int primary key)")
    await app.aenqueue_many([write.job(n) for n in range(100)])
    done = await app.run_until_idle(**quick(concurrency=5))
    assert max(sizes) == 50, "each job of a batch has a slot, whatever concurrency says"
    assert (done["completed"], done["dead"]) == (99, 1)
    assert "seven" in str(done.failures[0].error)
    (error,) = await eyes.errors(await eyes.value("select id from pgqueue.dead"))
    assert error["traceback"] == "ValueError: seven\n", "it was raised nowhere"
    assert await eyes.value("select count(*) from effect") == 99


@pytest.mark.parametrize("flavour", ["async", "thread"])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_lost_receipt_rolls_all_back_and_costs_the_others_no_attempt(
    app: App, eyes: Eyes, flavour: str, number: int
) -> None:
    """The last job's receipt is checked with the commit, those of the others before it."""
    attempts: list[list[tuple[int, int]]] = []
    held, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    others = sorted({0, 1, 2} - {number})

    def begins(items: list[int]) -> None:
        jobs = current_batch().jobs
        attempts.append([(job.attempt, item) for job, item in zip(jobs, items, strict=True)])
        loop.call_soon_threadsafe(held.set)

    async def write(items: list[int]) -> None:
        async with current_batch().transaction() as tx:
            await tx.execute("insert into effect select pg_catalog.unnest($1::int[])", items)
            begins(items)
            await eventually(go_on.is_set)

    def write_in_a_thread(items: list[int]) -> None:
        with current_batch().transaction() as tx:
            tx.execute("insert into effect select pg_catalog.unnest(%s::int[])", (items,))
            begins(items)
            go_on.wait(PATIENCE)

    task: Any = app.task(batch=3, batch_wait=WAIT)(
        write if flavour == "async" else write_in_a_thread
    )
    await eyes.sql("create table effect (n int)")
    jobs = await app.aenqueue_many([task.job(n) for n in range(3)])
    async with working(app):
        await held.wait()
        await app.acancel(jobs[number].id)
        await eyes.settled(running=2, cancelled=1)
        go_on.set()
        await eyes.settled(completed=2, cancelled=1)
    assert attempts[0] == [(1, 0), (1, 1), (1, 2)]
    again = [one for more in attempts[1:] for one in more]
    assert sorted(item for _, item in again) == others
    assert await eyes.value("select array_agg(n order by n) from effect") == others
    assert [await eyes.errors(job.id) for job in jobs] == [[], [], []]


async def test_a_handler_without_async_has_a_thread_and_psycopg(app: App, eyes: Eyes) -> None:
    refused: list[str] = []
    threads: set[threading.Thread] = set()

    @app.task(batch=4, batch_wait=WAIT)
    def write(items: list[int]) -> None:
        threads.add(threading.current_thread())
        with current_batch().transaction() as tx:
            tx.execute("select 1")
        try:
            current_job()
        except NotInJob as error:
            refused.append(str(error))

    await app.aenqueue_many([write.job(n) for n in range(4)])
    assert await app.run_until_idle(**quick()) == {"completed": 4}
    assert threading.main_thread() not in threads
    assert all("current_batch()" in text for text in refused)
    await eyes.settled(completed=4)


async def test_an_error_fails_each_job_and_what_does_not_fit_fails_none(
    app: App, eyes: Eyes
) -> None:
    @app.task(batch=10, batch_wait=WAIT, max_attempts=1)
    async def write(items: list[int]) -> None:
        raise LookupError(f"{len(items)} of them")

    async with Client(app.pool.dsn) as by_name:
        await by_name.aenqueue_many(
            [write.job(1), by_name.job("write", {"item": "x"}), write.job(3)]
        )
    done = await app.run_until_idle(**quick())
    assert done["dead"] == 2
    assert await eyes.value("select count(*) from pgqueue.dead") == 2


@pytest.mark.parametrize("flavour", ["async", "thread"])
async def test_a_transaction_that_its_handler_ended_completes_no_job(
    app: App, eyes: Eyes, flavour: str
) -> None:
    async def write(items: list[int]) -> None:
        async with current_batch().transaction() as tx:
            await tx.execute("commit")

    def write_in_a_thread(items: list[int]) -> None:
        with current_batch().transaction() as tx:
            tx.commit()

    task: Any = app.task(batch=3, batch_wait=WAIT, max_attempts=1)(
        write if flavour == "async" else write_in_a_thread
    )
    await app.aenqueue_many([task.job(n) for n in range(3)])
    done = await app.run_until_idle(**quick())
    assert dict(done) == {"dead": 3}
    assert all("ended inside its block" in str(failure.error) for failure in done.failures)
