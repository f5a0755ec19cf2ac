"""Jobs of flows on real workers: limits hold, keys take turns, none stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from pgqueue import App, Flow, Retry
from tests.db.hands import connect
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, has_seen_enough, working

ROUTES = ["direct", "pgbouncer"]


class Running:
    """How many jobs of each key run, how many did at most, and in which order they began."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_in_all = 0
        self.begun: list[tuple[str, int]] = []

    def begin(self, key: str, n: int = 0) -> None:
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        self.most_in_all = max(self.most_in_all, self.now.total())
        self.begun.append((key, n))

    def end(self, key: str) -> None:
        self.now[key] -= 1


@pytest.fixture
def running() -> Running:
    return Running()


async def admit_one(eyes: Eyes, flow: str) -> None:
    """Admit one job by hand. The last admission of a worker that has stopped may still go on."""

    async def is_admitted() -> bool:
        query = f"select admitted from pgqueue.admit('{flow}', 10, 0, 0, '-infinity')"
        admitted: int = await eyes.value(query)
        assert admitted in (-1, 1), "another is at it, or it is admitted"
        return admitted == 1

    await eventually(is_admitted)


@pytest.mark.past_bug(71)
async def test_no_limit_is_exceeded_by_several_workers(
    app: App, eyes: Eyes, running: Running
) -> None:
    @app.task(flow=Flow("f", key="key", concurrency=5, key_concurrency=2))
    async def work(key: str, n: int) -> None:
        running.begin(key, n)
        await asyncio.sleep(0.001)
        running.end(key)

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(app))
        await app.aenqueue_many([work.job(f"k{n % 7}", n) for n in range(300)])
        await eyes.settled(completed=300)
    assert len(set(running.begun)) == len(running.begun) == 300
    assert running.most_in_all <= 5
    assert max(running.most.values()) <= 2
    assert await eyes.sql("select * from pgqueue.heal_lines()") == []


async def test_a_tenant_that_comes_new_waits_for_few_jobs(
    app: App, eyes: Eyes, running: Running
) -> None:
    gates = asyncio.Semaphore(0)

    @app.task(flow=Flow("docs", key="tenant", fair=True))
    async def index(tenant: str) -> None:
        running.begin(tenant)
        await gates.acquire()

    await app.aenqueue_many([index.job("large") for _ in range(200)])
    async with working(app, concurrency=2):
        await eventually(lambda: len(running.begun) == 2)
        await app.aenqueue_many([index.job("small") for _ in range(3)])
        for n in range(3, 40):
            gates.release()
            await eventually(lambda n=n: len(running.begun) >= n)
            if [key for key, _ in running.begun].count("small") == 3:
                break
        else:
            raise AssertionError("the large tenant was served alone")
        for _ in range(400):
            gates.release()
        await eyes.settled(completed=203)


async def test_jobs_without_flows_open_no_connection_for_them(app: App, eyes: Eyes) -> None:
    @app.task
    async def plain() -> None: ...

    async with working(app) as worker:
        await app.aenqueue_many([plain.job() for _ in range(50)])
        await eyes.settled(completed=50)
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats >= 2)
        assert worker.machines.admitter.link.connects == 0


async def test_a_rate_is_kept_by_the_clock_of_the_database(app: App, eyes: Eyes) -> None:
    @app.task(flow=Flow("slow", rate="100/s", burst=5))
    async def call() -> None: ...

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(working(app))
        await app.aenqueue_many([call.job() for _ in range(40)])
        await eyes.settled(completed=40)
    # run_at is when it was admitted.
    excess = await eyes.value(
        "select max(n) from ("
        " select count(*) - 5 - 100 * extract(epoch from two.run_at - one.run_at) as n"
        " from pgqueue.history as one"
        "      join pgqueue.history as two on two.run_at >= one.run_at"
        "      join pgqueue.history as all_of on all_of.run_at between one.run_at and two.run_at"
        " group by one.id, two.id, one.run_at, two.run_at) as windows"
    )
    assert excess <= 0.01


async def test_a_rate_goes_on_though_who_waited_for_it_is_gone(app: App, eyes: Eyes) -> None:
    """The line has no ticket then: the next one who polls finds that its turn has come."""

    @app.task(flow=Flow("slow", key="key", key_rate="5/s"))
    async def call(key: str) -> None: ...

    async with working(app):
        pass  # it declares the flow
    await app.aenqueue_many([call.job("a") for _ in range(3)])
    await admit_one(eyes, "slow")
    assert await eyes.value("select count(*) from pgqueue.ticket") == 0
    async with working(app):
        await eyes.settled(completed=3)


async def test_a_slot_of_a_lost_worker_is_taken_until_it_is_rescued(
    app: App, eyes: Eyes, dsn: str, running: Running
) -> None:
    @app.task(name="t", flow=Flow("f", concurrency=1))
    async def work() -> None:
        running.begin("f")
        running.end("f")

    async with working(app):
        pass
    ids = [(await work.aenqueue()).id for _ in range(3)]
    hands = await connect(dsn)
    try:
        await admit_one(eyes, "f")
        await hands.register("default", lease=1.0)
        assert [row["id"] for row in await hands.claim()] == [ids[0]]
    finally:
        await hands.close()
    async with working(app) as worker:
        has_seen_enough(worker)
        await eyes.settled(completed=3)
    assert running.most_in_all == 1
    assert len(running.begun) == 3


async def test_what_somebodys_own_sql_left_without_a_ticket_is_healed(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(flow=Flow("f", concurrency=1))
    async def work() -> None: ...

    job = await work.aenqueue()
    await eyes.sql("delete from pgqueue.ticket")
    await eyes.sql("update pgqueue.duty set due_at = now() where name = 'lines'")
    async with working(app):
        await eyes.reaches(job.id, "completed")
    assert 'flow "f": nothing would have admitted the jobs of 1 of its keys' in caplog.text


async def test_a_flow_that_is_refused_keeps_no_other_waiting(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def work() -> None: ...

    await eyes.sql(
        "insert into pgqueue.flow (name, changed) values ('bad', '{\"concurrency\": \"x\"}')"
    )
    await app.aenqueue_many([work.job().using(flow=flow) for flow in ("bad", "good", "new")])
    async with working(app):
        await eyes.settled(completed=2, blocked=1)
        await eventually(lambda: 'no job of flow "bad" can be admitted now' in caplog.text)


async def test_a_break_stops_the_whole_flow(app: App, eyes: Eyes, running: Running) -> None:
    @app.task(flow=Flow("api", concurrency=2))
    async def call(n: int) -> None:
        running.begin("api", n)
        running.end("api")
        if n == 0:
            raise Retry(delay=3600, pause="flow")

    await call.aenqueue(0)
    async with working(app, concurrency=1):
        await eyes.settled(scheduled=1)
        await call.aenqueue(1)
        await eventually(lambda: _held(eyes))
        await eyes.settled(scheduled=1, blocked=1)
    assert running.begun == [("api", 0)]


async def _held(eyes: Eyes) -> bool:
    held = "select held_until > now() from pgqueue.flow where name = 'api'"
    return await eyes.value(held) is True
