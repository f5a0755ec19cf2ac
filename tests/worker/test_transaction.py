"""job.transaction(): the task's writes and the job's completion, both or neither."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import psycopg
import pytest

from pgqueue import App, Backoff, ConfigError, LeaseLost, RunningJob, current_job
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

ROUTES = ["direct", "pgbouncer"]

INSERT = "insert into effect (job, attempt) values ({}, {})"
ASYNC = INSERT.format("$1", "$2")
SYNC = INSERT.format("%s", "%s")
AT_ONCE = Backoff(base=0.0)


@pytest.fixture
async def effects(eyes: Eyes) -> Any:
    await eyes.sql("create table public.effect (job bigint, attempt int)")

    async def count(job_id: int | None = None) -> int:
        return await eyes.value(
            "select count(*) from effect where $1::bigint is null or job = $1", job_id
        )

    return count


@pytest.fixture
def flavour(app: App, request: pytest.FixtureRequest) -> Any:
    """Make a task, async or in a thread, around a body that is told of the moments."""

    def make(**hooks: Any) -> Any:
        def call(name: str, *args: Any) -> Any:
            return hooks[name](*args) if name in hooks else None

        if request.param == "async":

            @app.task(max_attempts=3, retry=AT_ONCE)
            async def settle() -> None:
                job = current_job()
                async with job.transaction() as tx:
                    await tx.execute(ASYNC, job.id, job.attempt)
                    await asyncio.to_thread(call, "inside", job)
                call("after", job)

            return settle

        @app.task(max_attempts=3, retry=AT_ONCE)
        def settle_in_a_thread() -> None:
            job = current_job()
            with job.transaction() as tx:
                tx.execute(SYNC, (job.id, job.attempt))
                call("inside", job)
            call("after", job)

        return settle_in_a_thread

    return make


BOTH = pytest.mark.parametrize("flavour", ["async", "sync"], indirect=True)


@BOTH
async def test_both_are_committed(eyes: Eyes, app: App, effects: Any, flavour: Any) -> None:
    seen: list[bool] = []
    task = flavour(after=lambda job: seen.append(job.is_completed))
    job_id = (await task.aenqueue()).id
    async with working(app) as worker:
        await eyes.reaches(job_id, "completed")
        await eventually(nth(seen, 1))
        await eventually(lambda: worker.statistics().completed == 1)
    assert seen == [True]
    assert await effects(job_id) == 1


@BOTH
async def test_an_exception_rolls_both_back(
    eyes: Eyes, app: App, effects: Any, flavour: Any
) -> None:
    def fail(job: RunningJob) -> None:
        if job.attempt < 3:
            raise ValueError("inside")

    job_id = (await flavour(inside=fail).aenqueue()).id
    async with working(app):
        row = await eyes.reaches(job_id, "completed")
    assert row["attempt"] == 3
    assert await effects() == 1
    assert [e["message"] for e in await eyes.errors(job_id)] == ["inside", "inside"]


@BOTH
async def test_an_exception_afterwards_changes_nothing(
    eyes: Eyes, app: App, effects: Any, flavour: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(job: RunningJob) -> None:
        raise ValueError("afterwards")

    job_id = (await flavour(after=fail).aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "completed")
        await eventually(lambda: "raised after its transaction" in caplog.text)
    assert await effects(job_id) == 1
    assert (await eyes.states()) == {"completed": 1}


@pytest.mark.fault("F30")
@BOTH
async def test_a_stale_receipt_rolls_everything_back(
    eyes: Eyes, app: App, dsn: str, effects: Any, flavour: Any
) -> None:
    """The job is given to another attempt meanwhile, as a rescue does."""
    # A worker that lives: what nobody holds is rescued as an orphan's.
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, lease_seconds,"
        " pid, host, version, queues, concurrency) values (1, now(), now(),"
        " pg_postmaster_start_time(), 3600, 1, 'another', '0', '{}', 1)"
    )
    errors: list[BaseException] = []

    def stolen(job: RunningJob) -> None:
        if job.attempt == 1 and not job.is_cancelled:
            with psycopg.connect(dsn) as other:
                other.execute(
                    "update pgqueue.job set worker_id = 1, claim_token = 2 where id = %s", (job.id,)
                )

    task = flavour(inside=stolen)
    function = task.function

    if task.is_async:

        async def spy() -> None:
            try:
                await function()
            except BaseException as exc:
                errors.append(exc)
                raise
    else:

        def spy() -> None:  # type: ignore[misc]
            try:
                function()
            except BaseException as exc:
                errors.append(exc)
                raise

    task.call = spy
    job_id = (await task.aenqueue()).id
    async with working(app):
        await eventually(nth(errors, 1))
        await eventually(lambda: app.pool is not None)
        row = await eyes.live(job_id)
        assert row["claim_token"] == 2
    assert isinstance(errors[0], LeaseLost)
    assert await effects() == 0


async def test_twice_is_refused_and_once_holds(eyes: Eyes, app: App, effects: Any) -> None:
    said: list[str] = []
    gate = threading.Event()

    @app.task(max_attempts=1)
    async def twice() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute(ASYNC, job.id, 1)
        try:
            async with job.transaction() as tx:
                await tx.execute(ASYNC, job.id, 2)
        except ConfigError as exc:
            said.append(str(exc))
        gate.set()

    job_id = (await twice.aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "completed")
        await eventually(gate.is_set)
    assert "completed already" in said[0]
    assert await effects(job_id) == 1


async def test_the_wrong_flavour_says_the_right_one(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def wrong() -> None:
        job = current_job()
        with job.transaction():
            pass

    @app.task(max_attempts=1)
    def wrong_too() -> None:
        job = current_job()
        asyncio.run(job.transaction().__aenter__())

    ids = [e.id for e in await app.aenqueue_many([wrong.job(), wrong_too.job()])]
    async with working(app):
        await eyes.settled(dead=2)
    assert "async with" in (await eyes.errors(ids[0]))[0]["message"]
    assert "write: with" in (await eyes.errors(ids[1]))[0]["message"]


async def test_a_swallowed_sql_error_commits_nothing(app: App, eyes: Eyes, effects: Any) -> None:
    @app.task(max_attempts=2, retry=AT_ONCE)
    async def swallow() -> None:
        job = current_job()
        import asyncpg

        async with job.transaction() as tx:
            await tx.execute(ASYNC, job.id, job.attempt)
            with contextlib.suppress(asyncpg.PostgresError):
                await tx.execute("select 1/0")

    job_id = (await swallow.aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "dead")
    assert await effects() == 0
    assert "idle in transaction" not in str(await eyes.sql("select state from pg_stat_activity"))


async def test_committing_inside_the_block_is_an_error(app: App, eyes: Eyes, effects: Any) -> None:
    @app.task(max_attempts=1)
    async def commit() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("commit")

    job_id = (await commit.aenqueue()).id
    async with working(app):
        row = await eyes.reaches(job_id, "dead")
    assert "ended inside" in str(row["errors"])


@pytest.mark.law(14)
@pytest.mark.parametrize("why", ["cancel", "timeout"])
async def test_a_commit_under_way_is_not_cancelled(
    app: App, eyes: Eyes, dsn: str, effects: Any, why: str
) -> None:
    """A deferred trigger holds the commit up until the job has been told to end."""
    await eyes.sql(
        "create function public.hold() returns trigger language plpgsql as"
        " $$ begin perform pg_advisory_xact_lock(42); return null; end $$"
    )
    await eyes.sql(
        "create constraint trigger hold after insert on public.effect"
        " deferrable initially deferred for each row execute function public.hold()"
    )
    other = psycopg.connect(dsn)
    other.execute("select pg_advisory_lock(42)")
    told: list[str] = []

    @app.task(max_attempts=3, retry=AT_ONCE, timeout=0.6 if why == "timeout" else None)
    async def settle() -> None:
        job = current_job()
        try:
            async with job.transaction() as tx:
                await tx.execute(ASYNC, job.id, job.attempt)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    waits = "select count(*) from pg_locks where not granted and locktype = 'advisory'"
    job_id = (await settle.aenqueue()).id
    async with working(app) as worker:
        await eventually(lambda: eyes.value(waits))
        if why == "cancel":
            # The completion holds the row, so that the request waits for the commit.
            asking = asyncio.ensure_future(app.acancel(job_id))
            worker.machines.runner.cancel([job_id], "cancelled")
        await eventually(
            lambda: all(slot.why for slot in worker.machines.runner.slots if slot.record)
        )
        other.close()
        await eyes.reaches(job_id, "completed")
        await eventually(nth(told, 1))
        if why == "cancel":
            assert (await asking)[0].state == "completed"
    assert await effects() == 1
    assert dict(await eyes.states()) == {"completed": 1}


async def test_enqueues_inside_more_transactions_than_connections(app: App, eyes: Eyes) -> None:
    begun: list[int] = []

    @app.task(queue="later")
    async def later() -> None: ...

    @app.task(max_attempts=1)
    async def settle() -> None:
        job = current_job()
        async with job.transaction():
            begun.append(job.id)
            await eventually(lambda: len(begun) >= app.pool.size)
            await later.aenqueue()

    await app.aenqueue_many([settle.job() for _ in range(app.pool.size)])
    async with working(app):
        await eyes.settled(completed=app.pool.size * 2)


@pytest.mark.parametrize("flavour", ["async", "thread"])
async def test_what_a_job_sets_for_its_session_ends_with_it(
    app: App, eyes: Eyes, route: str, flavour: str
) -> None:
    if route == "pgbouncer":
        pytest.skip("behind a pooler sessions are shared: nobody can reset them")
    seen: list[Any] = []

    @app.task
    async def tenant(name: str) -> None:
        job = current_job()
        async with job.transaction() as tx:
            seen.append(await tx.fetchval("select current_setting('app.tenant', true)"))
            await tx.execute(f"set app.tenant = '{name}'; create temp table mine (x int)")

    @app.task
    def tenant_in_a_thread(name: str) -> None:
        job = current_job()
        with job.transaction() as tx:
            row = tx.execute("select current_setting('app.tenant', true)").fetchone()
            seen.append(None if row is None else row[0])
            tx.execute(f"set app.tenant = '{name}'".encode())
            tx.execute("create temp table mine (x int)")

    task = tenant if flavour == "async" else tenant_in_a_thread
    async with working(app, concurrency=1):
        for number, name in enumerate(("one", "two"), 1):
            await task.aenqueue(name)
            await eyes.settled(completed=number)
    assert [value or None for value in seen] == [None, None]


async def test_committing_inside_the_block_of_a_thread_is_an_error(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    def early() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.commit()

    async with working(app):
        job = await early.aenqueue()
        await eyes.settled(dead=1)
    (error,) = await eyes.errors(job.id)
    assert "ended inside its block" in error["message"]
