"""Starting and stopping, in any order and at any moment."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from pgqueue import App, ConfigError, PgQueueError, Unreachable, Worker
from pgqueue.db.store import Store
from pgqueue.worker.timings import StopTimings, Timings
from tests.harness.proxy import Proxy
from tests.harness.servers import with_database
from tests.harness.stress import Subject, stress
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, Runs, no_tasks_left, nth, quick, working

WRITES_BRIEFLY = Timings(stop=StopTimings(write=0.5))


@pytest.mark.past_bug(24)
async def test_claimed_and_not_begun_goes_back_untouched(app: App, eyes: Eyes) -> None:
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            if n >= 200:
                await gate.wait()

    await app.aenqueue_many([note.job(n) for n in range(400)])
    worker = Worker(app, **quick(concurrency=2))
    await worker.start()
    await eventually(
        lambda: worker.machines.runner.running == 2 and worker.machines.runner.buffered > 0
    )
    stopping = asyncio.ensure_future(worker.stop())
    await eventually(lambda: worker.machines.runner.buffered == 0)
    gate.set()
    await stopping
    states = await eyes.states()
    assert states["running"] == 0
    assert states["completed"] == len(runs.seen)
    assert states["completed"] + states["pending"] == 400
    rows = await eyes.sql("select distinct attempt, crash_count from pgqueue.job")
    assert [tuple(row) for row in rows] == [(0, 0)]


@pytest.mark.past_bug(30)
async def test_interrupted_by_a_stop_costs_no_attempt(app: App, eyes: Eyes) -> None:
    started: list[int] = []

    @app.task(max_attempts=2)
    async def forever() -> None:
        started.append(1)
        await asyncio.sleep(60)

    job_id = (await forever.aenqueue()).id
    for n in range(5):
        async with working(app, grace=0.0):
            await eventually(nth(started, n + 1))
        row = await eyes.job(job_id)
        assert (row["state"], row["attempt"], row["errors"]) == ("pending", 0, None)


async def test_a_running_job_may_finish_within_the_grace(app: App, eyes: Eyes) -> None:
    started: list[int] = []

    @app.task
    async def nap() -> None:
        started.append(1)
        await asyncio.sleep(0.5)

    job_id = (await nap.aenqueue()).id
    async with working(app):
        await eventually(nth(started, 1))
    assert (await eyes.job(job_id))["state"] == "completed"


async def test_a_second_request_skips_the_grace(app: App, eyes: Eyes) -> None:
    started: list[int] = []

    @app.task
    async def forever() -> None:
        started.append(1)
        await asyncio.sleep(60)

    job_id = (await forever.aenqueue()).id
    worker = Worker(app, **quick(grace=60.0))
    running = asyncio.create_task(worker.run())
    await eventually(nth(started, 1))
    worker.request_stop()
    await asyncio.sleep(0.05)
    assert not running.done()
    worker.request_stop()
    await asyncio.wait_for(running, 60)
    assert (await eyes.job(job_id))["state"] == "pending"


async def test_a_task_that_cannot_be_stopped_is_left_behind(app: App, eyes: Eyes) -> None:
    started: list[int] = []
    release = threading.Event()

    @app.task
    def stuck() -> None:
        started.append(1)
        release.wait(30)

    job_id = (await stuck.aenqueue()).id
    worker = Worker(app, **quick(grace=0.0), timings=Timings(stop=StopTimings(cancel=0.2)))
    await worker.start()
    await eventually(nth(started, 1))
    async with asyncio.timeout(60):  # the task would be done after 30
        await worker.stop()
    assert (await eyes.job(job_id))["state"] == "pending"
    release.set()
    await no_tasks_left()


@pytest.mark.past_bug(24)
async def test_stopped_in_the_middle_of_a_claim(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task
    async def note() -> None:
        ran.append(1)

    worker = Worker(app, **quick())
    await worker.start()
    await eventually(lambda: worker.statistics().claims > 3)
    real = worker.machines.claimer.looks.store.claim
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def claim(*args: Any, **options: Any) -> Any:
        rows, busy = await real(*args, **options)
        if rows:
            inside.set()
            await go_on.wait()
        return rows, busy

    worker.machines.claimer.looks.store.claim = claim  # type: ignore[method-assign]
    job_id = (await note.aenqueue()).id
    await asyncio.wait_for(inside.wait(), 60)
    assert (await eyes.job(job_id))["state"] == "running"
    stopping = asyncio.ensure_future(worker.stop())
    await eventually(lambda: worker.machines.claimer.is_stopping)
    go_on.set()
    await stopping
    row = await eyes.job(job_id)
    assert (row["state"], row["attempt"], ran) == ("pending", 0, [])


@pytest.mark.one_turn
@pytest.mark.past_bug(62)
@pytest.mark.parametrize("outage", ["blackhole", "cut"])
async def test_stopping_during_an_outage_is_bounded(eyes: Eyes, proxy: Proxy, outage: str) -> None:
    app = App(proxy.dsn)
    started: list[int] = []

    @app.task
    async def nap() -> None:
        started.append(1)
        await asyncio.sleep(0.2)

    await nap.aenqueue()
    worker = Worker(app, **quick(deadline=1.0, grace=1.0), timings=WRITES_BRIEFLY)
    await worker.start()
    await eventually(nth(started, 1))
    if outage == "blackhole":
        proxy.blackhole()
    else:
        proxy.refuse()
        proxy.cut()
    async with asyncio.timeout(60):
        await worker.stop()
    proxy.cut()
    proxy.heal()
    await no_tasks_left()
    await app.aclose()
    # What could not be written is found by the next one: its row is still there.
    async with working(app):
        await eyes.settled(completed=1)


@pytest.mark.one_turn
async def test_outcomes_that_could_not_be_written_are_found_by_others(
    app: App, dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker leaves its row behind, so that nobody has to look for orphans."""
    started: list[int] = []

    @app.task
    async def note() -> None:
        started.append(1)

    second = App(dsn)
    second.task(note.function)
    worker = Worker(app, **quick(grace=0.0), timings=WRITES_BRIEFLY)
    await worker.start()
    await eventually(lambda: worker.statistics().claims > 3)

    async def refuse(*args: Any) -> Any:
        raise PgQueueError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", refuse)
        job_id = (await note.aenqueue()).id
        await eventually(nth(started, 1))
        await worker.stop()
    assert (await eyes.job(job_id))["state"] == "running"
    async with working(second):
        await eyes.reaches(job_id, "completed")


@pytest.mark.past_bug(54)
async def test_stop_before_start(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick())
    await worker.stop()
    await worker.stop()
    await worker.start()
    await note.aenqueue()
    await eyes.settled(completed=1)
    await worker.stop()
    await worker.stop()


async def test_twice_and_again(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick())
    for n in range(1, 4):
        await worker.start()
        with pytest.raises(ConfigError, match="runs already"):
            await worker.start()
        await note.aenqueue()
        await eyes.settled(completed=n)
        await asyncio.gather(worker.stop(), worker.stop(), worker.stop())
        assert await eyes.sessions() == []
        assert await eyes.worker_ids() == set()
    await no_tasks_left()


@pytest.mark.past_bug(55)
async def test_a_failing_start_then_a_good_one(eyes: Eyes, proxy: Proxy) -> None:
    app = App(proxy.dsn)

    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick(deadline=1.0))
    right, app.pool = app.pool, App(with_database(proxy.dsn, "no_such")).pool
    for _ in range(2):
        with pytest.raises(Unreachable, match='database "no_such" does not exist'):
            await worker.start()
    app.pool = right
    await worker.start()
    await note.aenqueue()
    await eyes.settled(completed=1)
    await worker.stop()
    await no_tasks_left()
    await app.aclose()


@pytest.mark.past_bug(37, 55)
async def test_registration_fails_again_and_again(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    await eyes.sql("alter table pgqueue.worker add constraint no check (false) not valid")
    worker = Worker(app, **quick())
    for _ in range(10):
        with pytest.raises(PgQueueError):
            await worker.start()

    async def none() -> bool:
        return not await eyes.sessions()

    await eventually(none)
    await eyes.sql("alter table pgqueue.worker drop constraint no")
    await worker.start()
    await note.aenqueue()
    await eyes.settled(completed=1)
    await worker.stop()
    await no_tasks_left()


@pytest.mark.past_bug(54)
@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_start_and_stop(app: App, eyes: Eyes, seed: int) -> None:
    rng = random.Random(seed)
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            await asyncio.sleep(0.01)

    async with asyncio.timeout(60):
        for n in range(12):
            worker = Worker(app, **quick(grace=rng.choice([0.0, 1.0])))
            await note.aenqueue(n)
            kind = rng.choice(["run", "start", "cancelled run", "cancelled start"])
            life = asyncio.create_task(worker.run() if "run" in kind else worker.start())
            await asyncio.sleep(rng.choice([0, 0, 0.002, 0.01, 0.03, 0.1]))
            if "cancelled" in kind:
                life.cancel()
            verbs = [worker.stop, worker.stop, worker.request_stop]
            for verb in rng.sample(verbs, rng.randint(1, 3)):
                answer = verb()
                if answer is not None:
                    task = asyncio.ensure_future(answer)
                    if rng.random() < 0.5:
                        await task
                    else:
                        await asyncio.sleep(0)
                await asyncio.sleep(rng.choice([0, 0.001, 0.02]))
            await worker.stop()
            await asyncio.wait([life])
            await worker.stop()
            if not life.cancelled() and life.exception() is not None:
                assert isinstance(life.exception(), PgQueueError)
            await no_tasks_left()
    async with working(app):
        await eyes.settled(completed=12)
    assert not runs.overlaps


@pytest.mark.past_bug(54)
async def test_ten_tasks_start_and_stop_one_worker(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick(grace=0.0))
    jobs = [(await note.aenqueue()).id for _ in range(10)]

    async def works() -> None:
        jobs.append((await note.aenqueue()).id)
        await eyes.settled(completed=len(jobs))

    def make() -> Subject:
        return Subject(start=worker.start, stop=worker.stop, works=works, refuses=(PgQueueError,))

    await stress(make, caplog, rounds=20)
    assert await eyes.worker_ids() == set()


async def test_stop_from_within_a_job(app: App, eyes: Eyes) -> None:
    workers: list[Worker] = []

    @app.task
    async def last() -> None:
        workers[0].request_stop()

    await last.aenqueue()
    workers.append(Worker(app, **quick()))
    await asyncio.wait_for(workers[0].run(), 60)
    await eyes.settled(completed=1)
    await no_tasks_left()


@pytest.mark.one_turn
async def test_long_jobs_are_not_hoarded_after_short_ones(app: App, dsn: str, eyes: Eyes) -> None:
    """One worker learns that jobs are short and claims ahead; then they turn out to be long."""
    by: dict[int, list[int]] = {0: [], 1: []}
    both = asyncio.Event()

    @app.task
    async def note(seconds: float) -> None:
        by[0].append(1)
        if seconds:
            await both.wait()
        await asyncio.sleep(seconds)

    second = App(dsn)

    @second.task(name="note")
    async def note_too(seconds: float) -> None:
        by[1].append(1)
        both.set()
        await asyncio.sleep(seconds)

    await app.aenqueue_many([note.job(0.0) for _ in range(3000)])
    await app.aenqueue_many([note.job(0.3) for _ in range(80)])
    async with working(app, concurrency=4):
        await eventually(lambda: len(by[0]) >= 3000)
        async with working(second, concurrency=4):
            await eyes.settled(completed=3080)
    assert len(by[1]) >= 20, len(by[1])  # 40 when evenly shared; none when hoarded


async def test_the_backlog_of_outcomes_is_bounded(app: App, eyes: Eyes, monkeypatch: Any) -> None:
    ran: list[int] = []

    @app.task
    async def note() -> None:
        ran.append(1)

    async with working(app, max_prefetch=100) as worker:
        worker.machines.completer.full = 100

        async def refuse(*args: Any) -> Any:
            raise PgQueueError("not today")

        with monkeypatch.context() as patch:
            patch.setattr(Store, "finish", refuse)
            await app.aenqueue_many([note.job() for _ in range(3000)])
            await eventually(lambda: worker.machines.completer.is_full)
            before = worker.statistics().claims
            await asyncio.sleep(0.6)
            assert worker.statistics().claims <= before + 1
            assert worker.statistics().unwritten < 100 + 2 * 110 + 100
        await eyes.settled(completed=3000)
    assert len(ran) == 3000
