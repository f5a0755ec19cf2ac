"""Ordered flows on real workers; how a worker hears of jobs in line, where it never polls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pgqueue import App, Backoff, Flow, Worker, current_job
from tests.harness.waiting import PATIENCE
from tests.worker.support import Eyes, quick, working

AT_ONCE = Backoff(base=0.0)
NEVER = 3600.0


async def test_jobs_of_a_key_end_in_the_order_of_their_enqueues(app: App, eyes: Eyes) -> None:
    """Each third one fails at first; nothing of its key overtakes it."""
    ended: dict[str, list[int]] = defaultdict(list)

    @app.task(flow=Flow("ledger", key="account", ordered=True), retry=AT_ONCE, max_attempts=3)
    async def book(account: str, n: int) -> None:
        await asyncio.sleep(0)
        if n % 3 == 0 and current_job().attempt == 1:
            raise ValueError("not yet")
        ended[account].append(n)

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(working(app))
        jobs = [book.job(account, n) for n in range(20) for account in "abc"]
        await app.aenqueue_many(jobs[:30])
        await app.aenqueue_many([job.using(priority=n % 10) for n, job in enumerate(jobs[30:])])
        await eyes.settled(completed=60)
    assert ended == {account: list(range(20)) for account in "abc"}


@pytest.mark.parametrize("on_dead", ["halt", "skip"])
async def test_a_dead_job_stops_its_key_or_does_not(
    app: App, eyes: Eyes, on_dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[tuple[str, int]] = []

    @app.task(
        flow=Flow("ledger", key="account", ordered=True, on_dead=on_dead),  # type: ignore[arg-type]  # pyright: ignore
        max_attempts=1,
    )
    async def book(account: str, n: int) -> None:
        if (account, n) == ("a", 1) and not ended.count(("a", 1)):
            ended.append(("a", 1))
            raise ValueError("no")
        ended.append((account, n))

    jobs = await app.aenqueue_many([book.job(account, n) for n in range(3) for account in "ab"])
    async with working(app):
        if on_dead == "skip":
            await eyes.settled(completed=5, dead=1)
            return
        await eyes.settled(completed=4, dead=1, blocked=1)
        assert 'flow "ledger": key "a" stands still' in caplog.text
        dead = jobs[2].id
        await app.aretry(dead)
        await eyes.settled(completed=4, blocked=2)
        await app.flows.aresume("ledger", key="a")
        await eyes.settled(completed=6)
    assert [n for account, n in ended if account == "a"] == [0, 1, 1, 2]


@pytest.mark.parametrize("flavour", ["async", "thread", "callers"])
async def test_a_handlers_own_commit_frees_its_slot(app: App, eyes: Eyes, flavour: str) -> None:
    def in_thread() -> None:
        with current_job().transaction():
            pass

    async def alone() -> None:
        async with current_job().transaction():
            pass

    async def callers() -> None:
        async with app.pool.connection() as connection, connection.transaction():
            await current_job().acomplete(connection)

    handlers: dict[str, Any] = {"thread": in_thread, "async": alone, "callers": callers}
    work = app.task(flow=Flow("f", concurrency=1))(handlers[flavour])
    async with working(app, poll_interval=NEVER):
        await app.aenqueue_many([work.job() for _ in range(5)])
        await eyes.settled(completed=5)


async def test_a_worker_that_ends_when_idle_runs_what_is_in_line(app: App, eyes: Eyes) -> None:
    @app.task(flow=Flow("ledger", key="account", ordered=True))
    async def book(account: str, n: int) -> None:
        if n:
            await book.aenqueue(account, n - 1)

    await app.aenqueue_many([book.job(account, 5) for account in "abc"])
    async with asyncio.timeout(PATIENCE):
        await Worker(app, **quick()).run(until_idle=True)
    assert await eyes.states() == {"completed": 18}


async def test_a_worker_at_rest_hears_of_a_job_in_line(app: App, eyes: Eyes) -> None:
    @app.task(flow=Flow("f", concurrency=1))
    async def work() -> None: ...

    async with working(app, poll_interval=NEVER, heartbeat=1.0) as worker:
        ids = [await work.aenqueue() for _ in range(3)]
        for one in ids:
            await eyes.reaches(one.id, "completed")
        await work.using(delay=0.05).aenqueue()
        await eyes.settled(completed=4)
        assert worker.machines.admitter.admitted == 4
