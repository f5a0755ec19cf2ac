"""The connection of job.transaction() is lost in its commit: before the server had it, or after."""

from __future__ import annotations

import threading
from typing import Any

import asyncpg
import pytest

from pgqueue import App, Backoff, Worker, current_job
from pgqueue.worker.run import transaction_blocking
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, quick

COMMITS = "execute pgqueue_complete_own_job"
HOLD = """
create table public.effect (job bigint, attempt int);
create function public.hold() returns trigger language plpgsql as
$$ begin perform pg_advisory_xact_lock(42); return null; end $$;
create constraint trigger hold after insert on public.effect
    deferrable initially deferred for each row execute function public.hold();
"""


def make(app: App, flavour: str) -> Any:
    retry = Backoff(base=0.0)
    if flavour == "async":

        @app.task(retry=retry)
        async def settle() -> None:
            job = current_job()
            async with job.transaction() as tx:
                await tx.execute("insert into public.effect values ($1, $2)", job.id, job.attempt)

        return settle

    @app.task(retry=retry)
    def settle_in_a_thread() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.execute("insert into public.effect values (%s, %s)", (job.id, job.attempt))

    return settle_in_a_thread


@pytest.mark.law(14)
@pytest.mark.parametrize("flavour", ["async", "sync"])
async def test_cut_when_the_server_had_the_commit(
    dsn: str, eyes: Eyes, proxy: Proxy, flavour: str
) -> None:
    await eyes.connection.execute(HOLD)
    app = App(proxy.dsn)
    worker = Worker(app, **quick(lease=30.0, heartbeat=0.3, deadline=2.0))
    task = make(app, flavour)
    other = await asyncpg.connect(dsn)
    await other.execute("select pg_advisory_lock(42)")
    waits = "select count(*) from pg_locks where not granted and locktype = 'advisory'"
    job_id = (await task.aenqueue()).id
    await worker.start()
    try:
        await eventually(lambda: eyes.value(waits))
        proxy.cut()
        await other.close()
        row = await eyes.reaches(job_id, "completed")
        await eventually(lambda: worker.statistics().running == 0)
    finally:
        await worker.stop()
        await app.aclose()
    assert row["attempt"] == 1
    assert row["errors"] is None
    assert [tuple(r) for r in await eyes.sql("select * from effect")] == [(job_id, 1)]


@pytest.mark.law(14)
@pytest.mark.parametrize("flavour", ["async", "sync"])
async def test_cut_before_the_server_had_the_commit(
    eyes: Eyes, proxy: Proxy, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eyes.sql("create table public.effect (job bigint, attempt int)")
    app = App(proxy.dsn)
    worker = Worker(app, **quick(lease=30.0, heartbeat=0.3, deadline=2.0))
    task = make(app, flavour)
    cuts: list[int] = []
    lock = threading.Lock()

    def cut_once() -> None:
        with lock:
            if not cuts:
                cuts.append(1)
                proxy.cut()

    real_async = asyncpg.Connection.execute
    real_sync = transaction_blocking.send

    async def execute(self: Any, query: str, *args: Any, **how: Any) -> Any:
        if COMMITS in query:
            cut_once()
        return await real_async(self, query, *args, **how)

    def send(connection: Any, text: str) -> str:
        if COMMITS in text:
            cut_once()
        return real_sync(connection, text)

    job_id = (await task.aenqueue()).id
    monkeypatch.setattr(asyncpg.Connection, "execute", execute)
    monkeypatch.setattr(transaction_blocking, "send", send)
    await worker.start()
    try:
        row = await eyes.reaches(job_id, "completed")
        await eventually(lambda: worker.statistics().running == 0)
    finally:
        await worker.stop()
        await app.aclose()
    assert cuts
    assert row["attempt"] == 2
    (error,) = await eyes.errors(job_id)
    assert "rolled back" in error["message"]
    assert [tuple(r) for r in await eyes.sql("select * from effect")] == [(job_id, 2)]


@pytest.mark.law(13)
@pytest.mark.parametrize("flavour", ["async", "sync"])
async def test_a_black_hole_in_the_block(eyes: Eyes, proxy: Proxy, flavour: str) -> None:
    """The end of the block gives the silent connection up; the attempt fails, and is made again."""
    await eyes.sql("create table public.effect (job bigint, attempt int)")
    app = App(proxy.dsn)
    worker = Worker(app, **quick(lease=30.0, heartbeat=0.3, deadline=1.0))
    task = make(app, flavour)
    retry = Backoff(base=0.0)
    ran: list[int] = []
    if flavour == "async":

        @app.task(retry=retry)
        async def silent() -> None:
            job = current_job()
            async with job.transaction() as tx:
                await tx.execute("insert into public.effect values ($1, $2)", job.id, job.attempt)
                ran.append(job.attempt)
                if job.attempt == 1:
                    proxy.blackhole()
    else:

        @app.task(retry=retry)
        def silent() -> None:
            job = current_job()
            with job.transaction() as tx:
                tx.execute("insert into public.effect values (%s, %s)", (job.id, job.attempt))
                ran.append(job.attempt)
                if job.attempt == 1:
                    proxy.blackhole()

    assert task
    job_id = (await silent.aenqueue()).id
    await worker.start()
    try:
        await eventually(lambda: worker.machines.claimer.is_away and worker.statistics().retried)
        proxy.cut()
        proxy.heal()
        await eyes.reaches(job_id, "completed")
    finally:
        proxy.cut()
        proxy.heal()
        await worker.stop()
        await app.aclose()
    assert ran == [1, 2]
    assert [tuple(r) for r in await eyes.sql("select * from effect")] == [(job_id, 2)]
