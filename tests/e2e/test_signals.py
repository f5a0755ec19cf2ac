"""TERM and INT, to one process and to a supervisor: what is running ends, or is released."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from signal import SIGINT, SIGTERM

import pytest

import pgqueue
from pgqueue import App, Unreachable, Worker
from tests.e2e.service import Queue, Service
from tests.harness.servers import with_database
from tests.harness.waiting import eventually, wait_until

both = pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])
either = pytest.mark.parametrize("number", [SIGTERM, SIGINT], ids=["TERM", "INT"])


@both
@either
def test_a_signal_ends_an_idle_worker_at_once(
    queue: Queue, processes: str, number: signal.Signals
) -> None:
    with Service(queue, "--processes", processes) as service:
        service.until_started()
        service.send(number)
        assert service.wait() == 0
        assert queue.workers() == []
        assert service.left() == []


@both
@either
def test_running_jobs_finish_within_the_grace(
    queue: Queue, processes: str, number: signal.Signals
) -> None:
    jobs = [queue.enqueue("gated"), queue.enqueue("gated_thread"), queue.enqueue("gated")]
    with Service(queue, "--processes", processes, "--grace", "20") as service:
        service.until_started()
        queue.until_begun(*jobs)
        service.send(number)
        wait_until(
            lambda: queue.rows("select bool_and(stopping) from pgqueue.worker") == [(True,)],
            what="the workers say that they stop",
        )
        late = queue.enqueue("quick")
        queue.open()
        assert service.wait() == 0
    assert {queue.job(job)["state"] for job in jobs} == {"completed"}
    assert [queue.job(job)["attempt"] for job in jobs] == [1, 1, 1]
    assert sorted(job for job, _ in queue.trace("end")) == sorted(jobs)
    assert queue.job(late)["state"] == "pending"
    assert queue.workers() == []


@both
def test_30_60_jobs_longer_than_the_grace_are_released(queue: Queue, processes: str) -> None:
    jobs = [queue.enqueue("gated") for _ in range(4)]
    before = queue.positions()
    with Service(queue, "--processes", processes, "--grace", "0.3") as service:
        queue.until_begun(*jobs)
        service.send(SIGTERM)
        assert service.wait() == 0
    assert queue.positions() == before  # attempt and place in the queue as they were
    assert queue.states() == {"pending": 4}
    queue.open()
    with Service(queue, "--processes", "1") as elsewhere:
        queue.until_state("completed", *jobs)
        elsewhere.send(SIGTERM)
        assert elsewhere.wait() == 0
    assert [queue.job(job)["attempt"] for job in jobs] == [1] * 4


@both
def test_a_second_signal_forces(queue: Queue, processes: str) -> None:
    jobs = [queue.enqueue("gated") for _ in range(3)]
    before = queue.positions()
    with Service(queue, "--processes", processes, "--grace", "600") as service:
        queue.until_begun(*jobs)
        service.send(SIGTERM)
        service.until_logged("stopping when running jobs are done")
        service.send(SIGTERM)
        assert service.wait() == 0
    assert queue.positions() == before
    assert queue.states() == {"pending": 3}
    assert queue.workers() == []


@pytest.mark.together
@both
def test_a_job_that_ignores_its_cancellation_is_released(queue: Queue, processes: str) -> None:
    job = queue.enqueue("stubborn")
    with Service(queue, "--processes", processes, "--grace", "0.1") as service:
        queue.until_begun(job)
        service.send(SIGTERM)
        assert service.wait() == 0
    assert queue.trace("ignored")
    assert queue.job(job) | {"state": "pending", "attempt": 0} == queue.job(job)


@both
def test_24_claimed_and_not_begun_is_released_at_once(queue: Queue, processes: str) -> None:
    first = queue.enqueue_many("instant", 3000)
    gated: list[int] = []
    for _ in range(int(processes)):
        gated.append(queue.enqueue("gated"))
        queue.enqueue_many("instant", 1000)
    waiting = queue.enqueue_many("instant", 2000)
    before = queue.positions()
    with Service(queue, "--processes", processes, "--concurrency", "1", "--grace", "60") as service:
        queue.until_begun(*gated)
        held = queue.rows("select count(*) from pgqueue.job where worker_id is not null")
        service.send(SIGTERM)
        wait_until(lambda: queue.states()["running"] == len(gated), what="only begun jobs are held")
        now = queue.positions()
        assert {job: now[job] for job in waiting if job in now} == {
            job: before[job] for job in waiting if job in now
        }
        queue.open()
        assert service.wait() == 0
    assert held[0][0] > len(gated), "nothing was claimed ahead: this has tested nothing"
    assert {queue.job(job)["state"] for job in (*first[::500], *gated)} == {"completed"}
    assert set(now.values()) <= {*before.values()} | {(before[job][0], 1) for job in gated}
    assert queue.rows("select count(*) from pgqueue.jobs where attempt > 1") == [(0,)]


@both
def test_signals_to_the_whole_group_do_not_force(queue: Queue, processes: str) -> None:
    """As service managers do: each process gets the signal, the children a second time from us."""
    job = queue.enqueue("gated")
    with Service(queue, "--processes", processes, "--grace", "60") as service:
        service.until_started()
        queue.until_begun(job)
        for child in service.children():
            child.send_signal(SIGTERM)
        service.send(SIGTERM)
        service.until_logged("stopping when running jobs are done")
        wait_until(
            lambda: queue.rows("select bool_and(stopping) from pgqueue.worker") == [(True,)],
            what="the workers say that they stop",
        )
        queue.open()
        assert service.wait() == 0
    assert queue.job(job)["state"] == "completed"
    assert queue.job(job)["attempt"] == 1


@pytest.mark.parametrize("task", ["fork_and_end", "fork_and_end_in_a_thread"])
@both
def test_a_forked_process_that_is_ended_does_not_stop_the_worker(
    queue: Queue, processes: str, task: str
) -> None:
    job = queue.enqueue(task)
    with Service(queue, "--processes", processes) as service:
        before = service.until_started()
        queue.until_state("completed", job)
        after = [queue.enqueue("quick") for _ in range(20)]
        queue.until_state("completed", *after)
        assert queue.workers() == before
        service.send(SIGTERM)
        assert service.wait() == 0


@both
def test_a_thread_left_behind_does_not_keep_the_process(queue: Queue, processes: str) -> None:
    job = queue.enqueue("linger")
    with Service(queue, "--processes", processes) as service:
        queue.until_state("completed", job)
        service.send(SIGTERM)
        assert service.wait() == 0


# -- a worker inside a program


def app_of(dsn: str) -> App:
    app = App(dsn, pool_size=2)

    @app.task
    async def nothing() -> None: ...

    return app


def quick_worker(dsn: str) -> Worker:
    return Worker(app_of(dsn), concurrency=4, grace=1.0, heartbeat=0.3)


async def test_54_start_and_stop_in_any_order(queue: Queue) -> None:
    dice = random.Random(54)
    worker = quick_worker(queue.dsn)
    for _ in range(50):
        moves = [worker.request_stop] * dice.randrange(1, 4)
        running = asyncio.ensure_future(worker.run())
        for move in moves:
            # From before the first step of run() to well after the start.
            await asyncio.sleep(dice.choice([0, 0, 0.001, 0.01, 0.02, 0.05, 0.1]))
            move()
            if dice.random() < 0.3:
                await worker.stop()
            if dice.random() < 0.2:
                running.cancel()
        async with asyncio.timeout(60):
            await asyncio.wait([running])
        assert running.cancelled() or running.exception() is None
        await worker.stop()
    assert await asyncio.to_thread(queue.workers) == []
    await worker.start()
    assert len(await asyncio.to_thread(queue.workers)) == 1
    await asyncio.gather(worker.stop(), worker.stop())
    assert await asyncio.to_thread(queue.workers) == []


async def test_54_stop_from_another_thread_and_after_the_loop_closed(queue: Queue) -> None:
    worker = quick_worker(queue.dsn)
    running = asyncio.ensure_future(worker.run())
    await eventually(lambda: worker.is_running, what="the worker runs")
    await asyncio.to_thread(worker.request_stop)
    async with asyncio.timeout(60):
        await running

    def alone() -> Worker:
        async def once() -> None:
            async with quick:
                pass

        quick = quick_worker(queue.dsn)
        asyncio.run(once())
        quick.request_stop()
        return quick

    await asyncio.to_thread(alone)


async def test_55_a_start_that_failed_does_not_spoil_the_next(queue: Queue) -> None:
    app = app_of(with_database(queue.dsn, "no_such"))
    worker = Worker(app, grace=1.0)
    for _ in range(3):
        with pytest.raises(Unreachable):
            await worker.run()
    app.pool = pgqueue.Client(queue.dsn).pool
    async with worker:
        assert len(await asyncio.to_thread(queue.workers)) == 1
    await worker.start()
    await worker.stop()
    assert await asyncio.to_thread(queue.workers) == []


async def test_55_a_second_start_is_refused_and_harms_nothing(queue: Queue) -> None:
    worker = quick_worker(queue.dsn)
    async with worker:
        with pytest.raises(pgqueue.ConfigError, match="runs already"):
            await worker.start()
        with pytest.raises(pgqueue.ConfigError, match="runs already"):
            await worker.run()
        assert len(await asyncio.to_thread(queue.workers)) == 1


async def test_56_the_handlers_that_were_there_are_put_back(queue: Queue) -> None:
    def mine(number: int, frame: object) -> None: ...

    before = {number: signal.signal(number, mine) for number in (SIGTERM, SIGINT)}
    try:
        worker = quick_worker(queue.dsn)
        running = asyncio.ensure_future(worker.run(signals=True))
        await eventually(lambda: worker.is_running, what="the worker runs")
        assert signal.getsignal(SIGTERM) is not mine
        os.kill(os.getpid(), SIGTERM)
        async with asyncio.timeout(60):
            await running
        assert [signal.getsignal(number) for number in before] == [mine, mine]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
