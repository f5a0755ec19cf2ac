"""Jobs that the database says a living worker holds, and that it does not know of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pgqueue import App, DatabaseError, Worker
from pgqueue.db.store import Store
from pgqueue.worker.put_off import PutOff
from pgqueue.worker.timings import ReconcileTimings, StopTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, Runs, nth, quick, working

pytestmark = pytest.mark.one_turn

# Looks that took long are as frequent as others; the next would come a lease later.
OFTEN: dict[str, Any] = {
    "heartbeat": 0.1,
    "poll_interval": 30.0,
    "timings": Timings(reconcile=ReconcileTimings(cheap_share=20)),
}
UNKNOWN = "this worker holds"


def answers_die(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, times: int, least: int = 1
) -> list[int]:
    """Let claims be carried out, and their answers raise; return how many jobs each had."""
    claim = Store.claim
    sizes: list[int] = []

    async def dies(self: Store, *args: Any, **options: Any) -> Any:
        rows, busy = await claim(self, *args, **options)
        if len(rows) >= least and len(sizes) < times:
            sizes.append(len(rows))
            raise error
        return rows, busy

    monkeypatch.setattr(Store, "claim", dies)
    return sizes


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("odd"), KeyError("odd")], ids=repr)
async def test_a_claim_whose_answer_died_is_released(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            pass

    sizes = answers_die(monkeypatch, error, times=1)
    await app.aenqueue_many([note.job(n) for n in range(5)])
    async with working(app, **OFTEN):
        await eyes.settled(completed=5, timeout_s=30)
    assert sizes == [5]
    assert sorted(runs.seen) == list(range(5))
    assert {row["attempt"] for row in await eyes.sql("select attempt from pgqueue.history")} == {1}


async def test_a_job_without_room_in_memory_waits_and_holds_up_no_other(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = PutOff(least_without_room=0.1, most_without_room=0.2)
    often = replace(OFTEN["timings"], put_off=soon)
    claim = Store.claim
    alone: list[int] = []

    async def dies(self: Store, *args: Any, **options: Any) -> Any:
        rows, busy = await claim(self, *args, **options)
        if any(row["args"] == '{"n": 0}' for row in rows) and len(alone) < 3:
            alone.extend([1] if len(rows) == 1 else [])
            raise MemoryError
        return rows, busy

    monkeypatch.setattr(Store, "claim", dies)
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            pass

    await app.aenqueue_many([note.job(n) for n in range(5)])
    async with working(app, **{**OFTEN, "timings": often}):
        await eyes.settled(completed=5, timeout_s=30)
    assert runs.seen.index(0) > 0
    assert runs.twice() == []
    assert len(alone) == 3


@pytest.mark.parametrize("token", ["99", "null"])
async def test_a_token_changed_by_hand_costs_the_outcome_and_no_more(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    """The outcome has no receipt to show; the job runs again, and not beside the first run."""
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def waits(n: int) -> None:
        with runs.of(n):
            await gate.wait()

    async with working(app, **OFTEN) as worker:
        job_id = (await waits.aenqueue(1)).id
        await eventually(nth(runs.seen, 1))
        await eyes.sql(f"update pgqueue.job set claim_token = {token} where id = $1", job_id)
        looks = worker.machines.heartbeat_thread.maintenance.reconciler.looks
        await eventually(
            lambda: worker.machines.heartbeat_thread.maintenance.reconciler.looks > looks + 3
        )
        assert runs.seen == [1], "it runs here: it is not released"
        gate.set()
        await eyes.reaches(job_id, "completed", timeout_s=30)
    assert runs.seen == [1, 1]
    assert runs.overlaps == []
    assert UNKNOWN in caplog.text


async def test_a_job_that_was_laid_to_a_workers_account_is_released(app: App, eyes: Eyes) -> None:
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            if n == 0:
                await gate.wait()

    async with working(app, **OFTEN) as worker:
        await note.aenqueue(0)
        await eventually(nth(runs.seen, 1))
        async with app.pool.connection() as connection, connection.transaction():
            laid = (await note.using(connection=connection).aenqueue(1)).id
            await connection.execute(
                "update pgqueue.job set worker_id = $1, claim_token = 5, attempt = 1 where id = $2",
                worker.machines.heartbeat_thread.worker_id, laid,
            )  # fmt: skip
        await eyes.reaches(laid, "completed", timeout_s=30)
        assert runs.seen == [0, 1]
        gate.set()
    assert (await eyes.job(laid))["attempt"] == 1


class AtOnce(ReconcileTimings):
    def pause(self, took: float, *, every: float, lease: float) -> float:
        return 0.0


async def test_no_job_is_released_that_is_held(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs begin, end and are written while one look follows the other."""
    at_once = Timings(reconcile=AtOnce())
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            await asyncio.sleep(n % 7 * 0.002)

    async with working(
        app, concurrency=50, heartbeat=0.05, max_prefetch=100, timings=at_once
    ) as worker:
        reconciler = worker.machines.heartbeat_thread.maintenance.reconciler
        for batch in range(20):
            jobs = [note.job(n) for n in range(batch * 200, (batch + 1) * 200)]
            await app.aenqueue_many(jobs)
        await eyes.settled(completed=4000, timeout_s=60)
        assert reconciler.looks > 20
    assert runs.twice() == []
    assert UNKNOWN not in caplog.text


async def test_an_idle_worker_does_not_look(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    async with working(app, **OFTEN) as worker:
        reconciler, holdings = (
            worker.machines.heartbeat_thread.maintenance.reconciler,
            worker.machines.holdings,
        )
        await note.aenqueue()
        await eyes.settled(completed=1)
        await eventually(lambda: holdings.at_rest)
        looks, heartbeats = reconciler.looks, worker.machines.heartbeat_thread.heartbeats
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 5)
        assert reconciler.looks == looks


async def test_a_worker_that_can_write_nothing_gives_itself_up(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeats are answered, so nobody else would ever take its jobs over."""
    runs = Runs()
    broken = True

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            pass

    finish = Store.finish

    async def no_file(self: Store, ids: Any, *args: Any) -> Any:
        if ids and broken:
            raise FileNotFoundError("finish_jobs.sql")
        return await finish(self, ids, *args)

    monkeypatch.setattr(Store, "finish", no_file)
    monkeypatch.setattr("pgqueue.db.retry_delay.RetryDelay.delay", lambda self: 0.1)
    often = replace(OFTEN["timings"], stop=StopTimings(write=0.5))
    await note.aenqueue(1)
    worker = Worker(app, **quick(**{**OFTEN, "timings": often}, lease=4.0))
    with pytest.raises(
        DatabaseError, match=r"could write none of its 1 outcomes for .* finish_jobs"
    ):
        await worker.run()
    assert len(await eyes.worker_ids()) == 1, "it has not signed off: it is to be rescued"
    broken = False
    async with working(app):
        await eyes.settled(completed=1, timeout_s=60)
    assert runs.seen == [1, 1]
