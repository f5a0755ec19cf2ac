"""Through a pgbouncer in transaction mode with two server connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pgqueue import App, Backoff, Discard, Snooze, current_job
from tests.harness.pgbouncer import bouncer
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, Runs, nth, working

POLL = {"listen": False, "poll_interval": 0.2}


@pytest.fixture
def narrow(dsn: str) -> Iterator[str]:
    with bouncer(dsn, pool_size=2) as through:
        yield through


@pytest.fixture
async def pooled(narrow: str) -> AsyncIterator[App]:
    app = App(narrow, pgbouncer=True)
    yield app
    await app.aclose()


@pytest.fixture(autouse=True)
async def nothing_left(eyes: Eyes) -> AsyncIterator[None]:
    yield

    async def clean() -> bool:
        return not await eyes.sql(
            "select from pg_stat_activity where datname = current_database()"
            " and state like 'idle in transaction%'"
        )

    await eventually(clean)


@pytest.mark.past_bug(47)
@pytest.mark.fault("F34")
async def test_every_outcome(pooled: App, eyes: Eyes) -> None:
    rounds: dict[str, int] = {}

    @pooled.task(max_attempts=2, retry=Backoff(base=0.0))
    async def end(how: str) -> None:
        rounds[how] = rounds.get(how, 0) + 1
        match how:
            case "dead":
                raise ValueError(how)
            case "retried" if rounds[how] == 1:
                raise ValueError(how)
            case "snoozed" if rounds[how] == 1:
                raise Snooze(0.1)
            case "discarded":
                raise Discard(how)
            case "cancelled" | "timeout":
                await asyncio.sleep(60)

    @pooled.task
    def in_a_thread() -> None: ...

    jobs = [end.job(how) for how in ("done", "dead", "retried", "snoozed", "discarded")]
    jobs += [end.using(timeout=0.1, max_attempts=1).job("timeout"), in_a_thread.job()]
    jobs += [end.using(delay=0.5).job("later"), end.using(unique_key="k").job("unique")]
    stop = (await end.aenqueue("cancelled")).id
    async with working(pooled, **POLL):
        await pooled.aenqueue_many(jobs)
        await eventually(lambda: rounds.get("cancelled"))
        await pooled.acancel(stop)
        await eyes.settled(completed=6, dead=3, cancelled=1)
    assert rounds["retried"] == rounds["snoozed"] == rounds["dead"] == 2


@pytest.mark.past_bug(47)
@pytest.mark.fault("F34")
async def test_many_jobs_on_two_workers(pooled: App, narrow: str, eyes: Eyes) -> None:
    runs = Runs()

    async def note(n: int) -> None:
        with runs.of(n):
            await asyncio.sleep(0)

    task = pooled.task(note)
    second = App(narrow, pgbouncer=True)
    second.task(note)
    await pooled.aenqueue_many([task.job(n) for n in range(2000)])
    async with working(pooled, **POLL), working(second, **POLL):
        await eyes.settled(completed=2000)
    assert not runs.twice()
    servers = await eyes.value(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    assert servers <= 2


@pytest.mark.past_bug(47)
@pytest.mark.fault("F34")
async def test_transactions(pooled: App, eyes: Eyes) -> None:
    await eyes.sql("create table public.effect (job bigint)")

    @pooled.task
    async def settle() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("insert into public.effect values ($1)", job.id)

    @pooled.task
    def settle_in_a_thread() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.execute("insert into public.effect values (%s)", (job.id,))

    jobs = [task.job() for task in (settle, settle_in_a_thread) for _ in range(20)]
    await pooled.aenqueue_many(jobs)
    async with working(pooled, **POLL):
        await eyes.settled(completed=40)
    assert await eyes.value("select count(distinct job) from public.effect") == 40


@pytest.mark.fault("F34")
async def test_the_lease_is_kept_and_a_lost_one_is_found(
    pooled: App, narrow: str, eyes: Eyes
) -> None:
    runs: list[int] = []
    ended = asyncio.Event()

    @pooled.task
    async def long() -> None:
        job = current_job()
        runs.append(job.attempt)
        await ended.wait()

    second = App(narrow, pgbouncer=True)
    second.task(long.function)
    job_id = (await long.aenqueue()).id
    short = POLL | {"lease": 4.0, "heartbeat": 0.2}
    async with working(pooled, **short) as worker:
        await eventually(nth(runs, 1))
        async with working(second, **short):
            heartbeats = worker.machines.heartbeat_thread.heartbeats
            await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 25)
            ended.set()
            row = await eyes.reaches(job_id, "completed")
            assert (row["attempt"], runs) == (1, [1])
            lost = (await long.aenqueue()).id
            await eyes.sql(
                "update pgqueue.job set worker_id = 9, claim_token = 9, attempt = 1 where id = $1",
                lost,
            )
            await eyes.sql(
                "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid,"
                " concurrency, lease_seconds, host, version, queues) values (9, now() - interval"
                " '1 h', now(), pg_postmaster_start_time(), 1, 1, 1, 'h', '0', '{default}')"
            )
            await eyes.reaches(lost, "completed")


@pytest.mark.past_bug(51)
async def test_cancelled_in_mid_transaction(pooled: App, eyes: Eyes) -> None:
    @pooled.task(timeout=0.05, max_attempts=1)
    async def slow() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("select pg_sleep(30)")

    await pooled.aenqueue_many([slow.job() for _ in range(10)])
    async with working(pooled, **POLL):
        await eyes.settled(dead=10)
        # Every connection of the pool is of use again.
        await eventually(lambda: free(eyes))


async def free(eyes: Any) -> bool:
    return not await eyes.sql(
        "select from pg_stat_activity where datname = current_database()"
        " and query like 'select pg_sleep%' and state = 'active'"
    )
