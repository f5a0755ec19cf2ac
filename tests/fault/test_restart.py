"""The server restarts under running jobs; a cluster of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest

from pgqueue import App, Backoff, current_batch
from pgqueue.db.migrate import migrate
from tests.harness import servers
from tests.harness.servers import Server, own_server
from tests.harness.waiting import eventually
from tests.worker.support import Runs, eyes_on, nth, working


@pytest.fixture(scope="module")
def cluster_of_its_own() -> Iterator[Server]:
    majors = [major for major in servers.chosen() if major is not None]
    if not majors:
        servers.missing("a server of somebody else's cannot be restarted")
    with own_server(max(majors), settings={"synchronous_commit": "on"}) as server:
        yield server


@pytest.fixture
def own(cluster_of_its_own: Server) -> Iterator[Server]:
    yield cluster_of_its_own
    cluster = cluster_of_its_own.cluster
    assert cluster is not None
    with contextlib.suppress(Exception):
        cluster.start()  # a test that failed in the outage


@pytest.mark.fault("F6", "F7")
@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_no_massacre_after_a_restart(own: Server, how: str) -> None:
    """Two workers with running jobs: both come back, and neither takes the other for dead."""
    assert own.cluster is not None
    dsn = own.dsn_for(own.create())
    await migrate(dsn, "pgqueue")
    first, second = App(dsn), App(dsn)
    runs = Runs()
    gate = asyncio.Event()

    async def wait(n: int) -> None:
        with runs.of(n):
            await gate.wait()

    task = first.task(wait)
    second.task(wait)
    quickly = {"lease": 3.0, "heartbeat": 0.3, "concurrency": 5}
    async with working(first, **quickly) as one, working(second, **quickly) as two:
        await first.aenqueue_many([task.job(n) for n in range(10)])
        await eventually(nth(runs.seen, 10))
        ids = {one.machines.heartbeat_thread.worker_id, two.machines.heartbeat_thread.worker_id}
        with own.connect() as connection:
            connection.execute("checkpoint")  # claims commit asynchronously
        await asyncio.to_thread(own.cluster.stop, how)
        links = [worker.machines.heartbeat_thread.links.heartbeat for worker in (one, two)]
        await eventually(lambda: not any(link.connected for link in links))
        gate.set()
        await asyncio.to_thread(own.cluster.start)
        async with eyes_on(dsn) as eyes:
            await eyes.settled(completed=10)
            task_id = (await task.aenqueue(10)).id
            await eyes.reaches(task_id, "completed")
        assert {
            one.machines.heartbeat_thread.worker_id,
            two.machines.heartbeat_thread.worker_id,
        } == ids
    assert not runs.twice()
    await first.aclose()
    await second.aclose()


@pytest.mark.fault("F6")
async def test_a_batch_whose_transaction_ends_with_the_server_runs_again(own: Server) -> None:
    assert own.cluster is not None
    dsn = own.dsn_for(own.create())
    await migrate(dsn, "pgqueue")
    app = App(dsn)
    held, go_on = asyncio.Event(), asyncio.Event()

    @app.task(batch=3, batch_wait=2.0, retry=Backoff(base=0.0))
    async def write(items: list[int]) -> None:
        async with current_batch().transaction() as tx:
            await tx.execute("insert into effect select pg_catalog.unnest($1::int[])", items)
            held.set()
            await go_on.wait()

    async with eyes_on(dsn) as eyes:
        await eyes.sql("create table effect (n int)")
    async with working(app, lease=3.0, heartbeat=0.3):
        jobs = await app.aenqueue_many([write.job(n) for n in range(3)])
        await held.wait()
        with own.connect() as connection:
            connection.execute("checkpoint")  # claims commit asynchronously
        await asyncio.to_thread(own.cluster.stop, "fast")
        await asyncio.to_thread(own.cluster.start)
        go_on.set()
        async with eyes_on(dsn) as eyes:
            await eyes.settled(completed=3)
            assert await eyes.value("select array_agg(n order by n) from effect") == [0, 1, 2]
            for job in jobs:
                (error,) = await eyes.errors(job.id)
                assert "was rolled back: its session ended" in error["message"]
    await app.aclose()


FORGET = """
with gone as (delete from pgqueue.history where id = any ($1) returning *)
insert into pgqueue.job (id, position, queue, task, args, attempt, worker_id, claim_token,
                         claimed_at, cancel_requested)
select id, id, queue, task, args, attempt, worker_id, claim_token, claimed_at, id = $2 from gone
"""


@pytest.mark.fault("F17")
async def test_what_the_server_forgot_the_end_of_runs_again(own: Server) -> None:
    """As a standby that had the claim and not the completion: the worker lives, and knows nothing.

    What it runs meanwhile, and what has ended and is not written, stays its own.
    """
    assert own.cluster is not None
    dsn = own.dsn_for(own.create())
    await migrate(dsn, "pgqueue")
    app = App(dsn)
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def work(n: int) -> None:
        with runs.of(n):
            if n < 0:
                await gate.wait()

    quickly = {"lease": 30.0, "heartbeat": 0.3, "deadline": 0.5, "concurrency": 5}
    async with working(app, **quickly) as worker:
        async with eyes_on(dsn) as eyes:
            ids = [one.id for one in await app.aenqueue_many([work.job(n) for n in range(3)])]
            await eyes.settled(completed=3)
            own_job = (await work.aenqueue(-1)).id
            await eventually(nth(runs.seen, 4))
            await eyes.sql(FORGET, ids, ids[2])
        with own.connect() as connection:
            connection.execute("checkpoint")  # claims commit asynchronously
        await asyncio.to_thread(own.cluster.stop, "fast")
        await asyncio.to_thread(own.cluster.start)
        async with eyes_on(dsn) as eyes:
            for job_id, state in zip(ids, ("completed", "completed", "cancelled"), strict=True):
                await eyes.reaches(job_id, state)
            row = await eyes.live(own_job)
            assert (row["worker_id"], row["attempt"]) == (
                worker.machines.heartbeat_thread.worker_id,
                1,
            )
            gate.set()
            await eyes.reaches(own_job, "completed")
    assert Counter(runs.seen) == {0: 2, 1: 2, 2: 1, -1: 1}
    await app.aclose()


@pytest.mark.fault("F7")
async def test_a_worker_that_died_in_the_outage_is_found_afterwards(own: Server) -> None:
    assert own.cluster is not None
    dsn = own.dsn_for(own.create())
    await migrate(dsn, "pgqueue")
    from tests.worker.child import EFFECT, app_of, child

    app = app_of(dsn)
    async with eyes_on(dsn) as eyes:
        await eyes.sql(EFFECT)
        with child(dsn, lease=3.0, heartbeat=0.5) as victim:
            await victim.ready(eyes)
            job_id = (await app.tasks.get("nap").aenqueue(60.0)).id
            await eventually(lambda: eyes.value("select count(*) from effect"))
            await asyncio.to_thread(own.cluster.stop, "immediate")
            victim.kill()
    await asyncio.to_thread(own.cluster.start)
    done: list[int] = []

    async def nap(seconds: float) -> None:
        done.append(1)

    app.tasks.get("nap").call = nap
    await app.aclose()
    async with eyes_on(dsn) as eyes, working(app, lease=3.0, heartbeat=0.5):
        await eyes.reaches(job_id, "completed")
    assert done == [1]
