"""A worker that ends by itself once nothing is to do in its queues."""

from __future__ import annotations

import asyncio

import asyncpg

from pgqueue import App, Backoff, Worker
from pgqueue.db.statements import statement
from pgqueue.errors import Unreachable
from pgqueue.worker.idle import wait_idle
from pgqueue.worker.timings import IdleTimings
from tests.harness.waiting import PATIENCE, eventually
from tests.worker.support import Eyes, no_tasks_left, quick, working

NO_WAIT = IdleTimings(first=0.0, most=0.001)
LATER = Backoff(base=3600.0)


async def run_until_idle(app: App, **settings: object) -> None:
    async with asyncio.timeout(PATIENCE):
        await Worker(app, **quick(**settings)).run(until_idle=True)
    await no_tasks_left()


async def test_it_works_off_what_its_jobs_enqueue_and_ends(app: App, eyes: Eyes) -> None:
    @app.task
    async def countdown(n: int) -> None:
        if n:
            await countdown.aenqueue(n - 1)

    await app.aenqueue_many([countdown.job(20), countdown.job(5), countdown.job(0)])
    await run_until_idle(app)
    assert await eyes.states() == {"completed": 28}


async def test_its_jobs_join_no_transaction_of_who_started_it(
    app: App, eyes: Eyes, dsn: str
) -> None:
    @app.task
    async def child() -> None: ...

    @app.task
    async def parent() -> None:
        await child.aenqueue()

    @app.task
    def blocking_parent() -> None:
        child.enqueue()

    await app.aenqueue_many([parent.job(), blocking_parent.job()])
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    async with app.within(connection):
        await run_until_idle(app)
        await child.aenqueue()  # the block is open still
    await transaction.rollback()
    await connection.close()
    assert await eyes.states() == {"completed": 4}


async def test_with_nothing_to_do_it_ends_at_once_and_can_be_run_again(
    app: App, eyes: Eyes
) -> None:
    @app.task
    def nothing() -> None: ...

    await run_until_idle(app)
    await nothing.aenqueue()
    await run_until_idle(app)
    assert await eyes.states() == {"completed": 1}
    assert not await eyes.worker_ids()


async def test_what_is_due_later_paused_or_unknown_stays(app: App, eyes: Eyes) -> None:
    @app.task(retry=LATER)
    def fails() -> None:
        raise ValueError("no")

    @app.task
    def fine() -> None: ...

    failing = await fails.aenqueue()
    later = await fine.using(delay=3600).aenqueue()
    paused = await fine.using(queue="paused").aenqueue()
    unknown = await app.aenqueue("nobody.knows", {})
    await app.apause("paused")
    done = await fine.aenqueue()
    await run_until_idle(app, queues=["default", "paused"])
    states = {job: (await eyes.job(job.id))["state"] for job in (failing, later, paused, unknown)}
    assert list(states.values()) == ["scheduled", "scheduled", "pending", "pending"]
    assert (await eyes.job(done.id))["state"] == "completed"


async def test_a_job_that_became_due_while_nobody_worked_is_run(app: App, eyes: Eyes) -> None:
    @app.task
    def fine() -> None: ...

    job = await fine.using(delay=3600).aenqueue()
    await eyes.sql("update pgqueue.job set run_at = now() - interval '1 s' where id = $1", job.id)
    await run_until_idle(app)
    assert (await eyes.job(job.id))["state"] == "completed"


async def test_it_waits_for_what_runs_in_another_worker(app: App, eyes: Eyes) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task
    async def last() -> None: ...

    @app.task
    async def first() -> None:
        begun.set()
        await go_on.wait()
        await last.aenqueue()

    async with working(app):
        await first.aenqueue()
        await begun.wait()
        other = Worker(app, **quick())
        ends = asyncio.create_task(other.run(until_idle=True))
        await eventually(lambda: other.is_running)
        assert not await eyes.value(statement("is_idle", "pgqueue"), ["default"], ["last"])
        assert not ends.done()
        go_on.set()
        await asyncio.wait_for(ends, PATIENCE)
        assert await eyes.states() == {"completed": 2}


async def test_lost_sessions_do_not_end_it_early(app: App, eyes: Eyes) -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    @app.task
    async def held() -> None:
        begun.set()
        await go_on.wait()

    await held.aenqueue()
    ends = asyncio.create_task(run_until_idle(app))
    await begun.wait()
    await eyes.terminate()
    go_on.set()
    await ends
    assert await eyes.states() == {"completed": 1}


async def test_it_asks_again_while_it_is_not_idle_or_nobody_answers() -> None:
    answers: list[bool | Exception] = [False, Unreachable("away"), Unreachable("away"), True]
    asked: list[str] = []

    async def wait_quiet() -> None:
        asked.append("quiet")

    async def is_idle() -> bool:
        asked.append("idle")
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await wait_idle(wait_quiet=wait_quiet, is_idle=is_idle, timings=NO_WAIT)
    assert asked == ["quiet", "idle"] * 4
