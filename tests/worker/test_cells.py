"""A worker for each of several servers, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import pgqueue
from pgqueue import App, ConfigError, Workers, WorkerSettings
from pgqueue.cell import shares
from pgqueue.worker.events import HeartbeatFailed
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually
from tests.worker import in_children
from tests.worker.support import Eyes, eyes_on, no_tasks_left, quick

NOBODY = "postgresql://127.0.0.1:1/nobody"


@asynccontextmanager
async def working_at(app: App, *dsns: str, **settings: Any) -> AsyncGenerator[Workers]:
    async with Workers(app, cells=dsns, **quick(**settings)) as workers:
        yield workers
    await no_tasks_left()


@pytest.fixture
async def there(other_dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(other_dsn) as eyes:
        yield eyes


class Noted:
    """An app with a task that notes a name, and how often each was noted."""

    def __init__(self, dsn: str = NOBODY) -> None:
        self.app = App(dsn)
        self.ran: Counter[str] = Counter()

        @self.app.task
        async def note(name: str) -> None:
            self.ran[name] += 1

    async def at(self, client: App, name: str) -> None:
        """Enqueue there, and wait until it has run."""
        await client.aenqueue("note", {"name": name})
        await eventually(lambda: self.ran[name])


async def all_run(workers: Workers) -> None:
    await eventually(lambda: all(one.is_running for one in workers.by_cell.values()))


def test_slots_are_shared_out_and_none_gets_none() -> None:
    three = shares(WorkerSettings(concurrency=100, threads=2, children=4), 3)
    assert [one.concurrency for one in three] == [34, 33, 33]
    assert [one.threads for one in three] == [1, 1, 1]
    assert [one.children for one in three] == [2, 1, 1]
    assert shares(WorkerSettings(concurrency=7), 1)[0].concurrency == 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cells": "postgresql://one"}, "must be a list"),
        ({"cells": ["postgresql://one", "postgresql://two"], "max_jobs": 5}, "max_jobs"),
        ({"cells": ["postgresql://one"], "concurency": 5}, "concurrency"),
    ],
)
def test_wrong_settings_are_refused_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Workers(App(), **wrong)


async def test_each_job_and_what_it_enqueues_stays_at_its_server(
    dsn: str, other_dsn: str, eyes: Eyes, there: Eyes
) -> None:
    app = App(NOBODY)  # outside of a job
    ran: Counter[str] = Counter()

    @app.task
    async def first(name: str) -> None:
        await second.aenqueue(name)
        async with pgqueue.current_job().transaction() as tx:
            await tx.execute("select 1")
            await second.using(connection=tx).aenqueue(name)

    @app.task
    def second(name: str) -> None:
        ran[name] += 1
        if ran[name] < 3:
            app.enqueue_many([second.job(name)])
        assert [job.task for job in app.list_jobs(task="first")] == ["first"]
        assert len(app.schedules.list()) == (name == "here")

    app.schedule("nightly", first, args={"name": "x"}, cron="30 2 1 1 *")
    async with App(dsn) as one, App(other_dsn) as two:
        await one.aenqueue("first", {"name": "here"})
        await two.aenqueue("first", {"name": "there"})
        async with working_at(app, dsn, other_dsn, NOBODY):
            for at, name in ((eyes, "here"), (there, "there")):
                await eventually(lambda name=name: ran[name] >= 3)
                await eventually(lambda at=at: _over(at))
    for at, name in ((eyes, "here"), (there, "there")):
        done = await at.sql("select args ->> 'name' as name, state from pgqueue.jobs")
        assert {(row["name"], row["state"]) for row in done} == {(name, "completed")}


async def _over(at: Eyes) -> bool:
    return not await at.value("select count(*) from pgqueue.job")


@pytest.mark.alone
async def test_a_child_process_works_at_the_server_of_its_worker(
    dsn: str, other_dsn: str, eyes: Eyes, there: Eyes
) -> None:
    async with working_at(in_children.app, dsn, other_dsn, children=2) as workers:
        await all_run(workers)
        for at, client in ((eyes, App(dsn)), (there, App(other_dsn))):
            async with client:
                await at.sql("create table effect (job bigint)")
                await client.aenqueue("with_transaction")
                await at.settled(completed=1)
                assert await at.value("select count(*) from effect") == 1


@pytest.mark.parametrize("how", ["down", "frozen"])
async def test_a_server_that_is_away_delays_its_own_jobs_alone(
    how: str, proxy: Proxy, other_dsn: str
) -> None:
    noted = Noted()
    async with (
        App(proxy.dsn) as one,
        App(other_dsn) as two,
        working_at(noted.app, proxy.dsn, other_dsn, deadline=1.0) as workers,
    ):
        await all_run(workers)
        await noted.at(one, "before")
        if how == "down":
            proxy.refuse()
            proxy.cut()
        else:
            proxy.blackhole()
        for n in range(20):
            await noted.at(two, f"meanwhile {n}")
        proxy.heal()
        await noted.at(one, "after")
    assert set(noted.ran.values()) == {1}


async def test_a_stop_lets_the_jobs_of_all_servers_end(
    proxy: Proxy, other_dsn: str, eyes: Eyes, there: Eyes
) -> None:
    app = App(NOBODY)
    begun, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task
    async def gated() -> None:
        begun.release()
        await gate.wait()

    async with App(proxy.dsn) as one, App(other_dsn) as two:
        workers = Workers(app, cells=[proxy.dsn, other_dsn], **quick(concurrency=2))
        running = asyncio.create_task(workers.run())
        for client in (one, two):
            await client.aenqueue("gated")
            await begun.acquire()
        for client in (one, two):
            await client.aenqueue("gated")  # beyond the one slot that each has
        workers.request_stop()
        await eventually(lambda: _all_stopping(eyes, there))
        gate.set()
        await running
        assert not workers.is_running
        for at in (eyes, there):
            assert await at.states() == {"completed": 1, "pending": 1}
            assert await at.worker_ids() == set()
    await no_tasks_left()


async def _all_stopping(*eyes: Eyes) -> bool:
    return all([await at.value("select stopping from pgqueue.worker") for at in eyes])


async def test_a_worker_that_gave_up_begins_again_and_others_go_on(
    dsn: str, other_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    noted = Noted()
    async with (
        App(dsn) as one,
        App(other_dsn) as two,
        working_at(noted.app, dsn, other_dsn) as workers,
    ):
        await all_run(workers)
        fails, stays = workers.by_cell.values()
        failure = HeartbeatFailed(pgqueue.DatabaseError("the server took no heartbeat"))
        fails.machines.send(failure)
        await eventually(lambda: "begins again" in caplog.text)
        assert stays.is_running
        await noted.at(one, "here")
        await noted.at(two, "there")


async def test_a_schema_that_one_server_lacks_ends_all(dsn: str, empty_dsn: str) -> None:
    workers = Workers(Noted().app, cells=[dsn, empty_dsn], **quick())
    with pytest.raises(pgqueue.SchemaError, match="pgqueue migrate"):
        await workers.run()
    assert not workers.is_running
    with contextlib.suppress(pgqueue.SchemaError):
        await workers.start()  # once more is as good as the first time
    await workers.stop()
    await no_tasks_left()
