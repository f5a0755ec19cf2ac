"""Waiting for a connection of ours costs a job no attempt, however the wait ends."""

from __future__ import annotations

import asyncio
import errno
import functools
import threading
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from pgqueue import App, Backoff, Worker, current_job
from pgqueue.db import pool
from pgqueue.db.interrupts import Deferred
from pgqueue.db.waits import NotBegun
from pgqueue.errors import Unreachable
from pgqueue.worker.put_off import PutOff
from pgqueue.worker.run.attempt import Slot
from pgqueue.worker.run.deadlines import Deadlines
from pgqueue.worker.timings import Timings
from tests.harness.waiting import eventually
from tests.worker import support
from tests.worker.support import Eyes, nth

pytestmark = pytest.mark.one_turn

# What is put off comes again at once.
working = functools.partial(support.working, timings=Timings(put_off=PutOff(least=0.0, most=0.2)))
FLAVOURS = pytest.mark.parametrize("flavour", ["async", "thread"])


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[App]:
    """An app with a single connection of each kind."""
    app = App(dsn, pool_size=1, max_transactions=1)
    yield app
    await app.aclose()


class Held:
    """A task of a single attempt that holds the one connection until its gate is open."""

    def __init__(self, app: App, flavour: str) -> None:
        self.gate = threading.Event()
        self.begun: list[int] = []
        self.tried: list[int] = []
        if flavour == "async":

            @app.task(name="settle", max_attempts=1)
            async def settle() -> None:
                job = current_job()
                self.tried.append(job.id)
                async with job.transaction():
                    self.begun.append(job.id)
                    await asyncio.to_thread(self.gate.wait, 60)
        else:

            @app.task(name="settle", max_attempts=1)
            def settle() -> None:
                job = current_job()
                self.tried.append(job.id)
                with job.transaction():
                    self.begun.append(job.id)
                    self.gate.wait(60)

        self.task: Any = settle


@pytest.fixture
def held(app: App, flavour: str) -> Any:
    held = Held(app, flavour)
    yield held
    held.gate.set()


async def time_out(worker: Worker, job_ids: list[int]) -> None:
    """Strike the timeouts of these jobs, once all of them wait for a connection."""

    def waiting() -> list[Slot]:
        slots = [s for s in worker.machines.runner.slots if s.record and s.record["id"] in job_ids]
        return [s for s in slots if s.waits is not None and s.waits.under_way]

    await eventually(lambda: len(waiting()) == len(job_ids), timeout_s=60)
    for slot in waiting():
        assert slot.timer is not None
        slot.timer.cancel()
        slot.time_out()


async def two(held: Held) -> tuple[int, int]:
    """One job that holds the connection, one that waits for it."""
    first = (await held.task.aenqueue()).id
    await eventually(nth(held.begun, 1))
    second = (await held.task.aenqueue()).id
    await eventually(nth(held.tried, 2))
    return first, second


@pytest.mark.report("f05")
@FLAVOURS
async def test_the_wait_for_a_connection_is_as_long_as_it_takes(
    app: App, eyes: Eyes, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    """The line comes when the wait has lasted for a statement's whole time."""
    async with working(app, deadline=1.0):
        await two(held)
        await eventually(lambda: "has waited for a connection" in caplog.text, timeout_s=60)
        held.gate.set()
        await eyes.settled(completed=2)
    assert len(held.tried) == 2


@pytest.mark.report("f05")
@FLAVOURS
async def test_a_timeout_in_the_wait_costs_no_attempt(
    app: App, eyes: Eyes, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(app) as worker:
        first = (await held.task.aenqueue()).id
        await eventually(nth(held.begun, 1))
        second = (await held.task.using(timeout=3600).aenqueue()).id
        await time_out(worker, [second])
        await eventually(lambda: held.tried.count(second) >= 2)  # it is back already
        assert "in vain" in caplog.text
        held.gate.set()
        await eyes.settled(completed=2)
    assert first != second
    for job_id in (first, second):
        row = await eyes.job(job_id)
        assert (row["attempt"], row["errors"]) == (1, None)


@pytest.mark.report("f05")
@FLAVOURS
async def test_a_cancel_ends_the_wait(app: App, eyes: Eyes, held: Held) -> None:
    async with working(app):
        first, second = await two(held)
        await app.acancel(second)
        await eyes.reaches(second, "cancelled")
        held.gate.set()
        await eyes.reaches(first, "completed")
        third = (await held.task.aenqueue()).id
        await eyes.reaches(third, "completed")


@pytest.mark.report("f05")
@FLAVOURS
async def test_a_stop_ends_the_wait_and_gives_the_attempt_back(
    app: App, eyes: Eyes, held: Held
) -> None:
    async with working(app, grace=0.2) as worker:
        _, second = await two(held)
        stopping = asyncio.create_task(worker.stop())
        row = await eyes.reaches(second, "pending")
        assert row["attempt"] == 0
        held.gate.set()
        await stopping


@FLAVOURS
async def test_a_server_that_cannot_be_reached_for_the_beginning_costs_no_attempt(
    app: App, eyes: Eyes, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: nothing was done in the transaction yet."""
    tried: list[int] = []
    connect_async, connect = pool.open_connection, psycopg.connect

    async def gone_once_async(*args: Any, **options: Any) -> Any:
        if len(tried) == 1:
            raise Unreachable("gone") from ConnectionRefusedError("refused")
        return await connect_async(*args, **options)

    def gone_once(*args: Any, **options: Any) -> Any:
        if len(tried) == 1:
            raise psycopg.errors.AdminShutdown("gone")
        return connect(*args, **options)

    @app.task(max_attempts=1)
    async def on_the_loop() -> None:
        job = current_job()
        tried.append(job.id)
        await app.pool.aclose()
        async with job.transaction():
            pass

    @app.task(max_attempts=1)
    def in_a_thread() -> None:
        job = current_job()
        tried.append(job.id)
        with job.transaction():
            pass

    job_id = (await (on_the_loop if flavour == "async" else in_a_thread).aenqueue()).id
    async with working(app):
        monkeypatch.setattr(pool, "open_connection", gone_once_async)
        monkeypatch.setattr(psycopg, "connect", gone_once)
        row = await eyes.reaches(job_id, "completed")
    assert len(tried) == 2
    assert (row["attempt"], row["errors"]) == (1, None)


@FLAVOURS
async def test_a_connection_that_is_refused_for_good_is_a_failure(
    app: App, eyes: Eyes, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, or a file that is missing: put off, the job would come again for ever."""

    async def refused_async(*args: Any, **options: Any) -> Any:
        cause = FileNotFoundError(errno.ENOENT, "No such file", "/nowhere/root.crt")
        raise Unreachable("cannot connect: no root.crt") from cause

    def refused(*args: Any, **options: Any) -> Any:
        raise psycopg.OperationalError('root certificate file "root.crt" does not exist')

    @app.task(max_attempts=1)
    async def on_the_loop() -> None:
        job = current_job()
        await app.pool.aclose()
        async with job.transaction():
            pass

    @app.task(max_attempts=1)
    def in_a_thread() -> None:
        job = current_job()
        with job.transaction():
            pass

    job_id = (await (on_the_loop if flavour == "async" else in_a_thread).aenqueue()).id
    async with working(app):
        with monkeypatch.context() as patch:
            if flavour == "async":
                patch.setattr(pool, "open_connection", refused_async)
            patch.setattr(psycopg, "connect", refused)
            await eyes.reaches(job_id, "dead")
    (error,) = await eyes.errors(job_id)
    assert error["type"] == "pgqueue.errors.Unreachable"
    assert "root.crt" in error["message"]


async def test_a_thread_begins_though_its_first_connection_was_lost(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq does not say why; the server is there, so it is tried once more."""
    connect = psycopg.connect
    tries: list[int] = []

    def gone_once(*args: Any, **options: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise psycopg.OperationalError("gone")
        return connect(*args, **options)

    @app.task(max_attempts=1)
    def in_a_thread() -> None:
        job = current_job()
        with job.transaction():
            pass

    job_id = (await in_a_thread.aenqueue()).id
    async with working(app):
        monkeypatch.setattr(psycopg, "connect", gone_once)
        row = await eyes.reaches(job_id, "completed")
    assert (row["attempt"], row["errors"], len(tries)) == (1, None, 2)


@pytest.mark.parametrize("flavour", ["async", "thread"])
async def test_no_connection_for_an_enqueue_costs_no_attempt(
    app: App, eyes: Eyes, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the handler, and the job is put off; with the timeout of the job, likewise."""
    tried: list[int] = []

    @app.task(queue="elsewhere")
    async def other() -> None: ...

    @app.task(max_attempts=1)
    async def on_the_loop() -> None:
        job = current_job()
        tried.append(job.id)
        await other.aenqueue()

    @app.task(max_attempts=1)
    def in_a_thread() -> None:
        job = current_job()
        tried.append(job.id)
        other.enqueue()

    task = on_the_loop if flavour == "async" else in_a_thread
    async with working(app, queues=["default"]) as worker:
        async with app.pool.connection() as connection:
            own = app.pool.opened.blocking.borrow(60.0, Deferred())
            late = (await task.using(connection=connection, timeout=3600).aenqueue()).id
            await time_out(worker, [late])
            monkeypatch.setattr(app.pool, "wait", 0.3)
            in_time = (await task.using(connection=connection).aenqueue()).id
            ids = [in_time, late]
            await eventually(lambda: all(tried.count(job_id) >= 2 for job_id in ids), timeout_s=60)
        monkeypatch.setattr(app.pool, "wait", 30.0)
        app.pool.opened.blocking.give_back(own)
        for job_id in ids:
            row = await eyes.reaches(job_id, "completed", timeout_s=60)
            assert (row["attempt"], row["errors"]) == (1, None)


async def test_no_thread_for_the_deadline_of_an_end_costs_no_turn(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app has one turn: the next attempt needs it."""
    tried: list[int] = []

    def at_most(deadlines: Deadlines, seconds: float, connection: Any) -> Any:
        connection.close()
        raise NotBegun("no thread could be had for its deadline")

    @app.task(max_attempts=2, retry=Backoff(base=0.0))
    def work() -> None:
        job = current_job()
        with monkeypatch.context() as patch, job.transaction():
            tried.append(job.attempt)
            if job.attempt == 1:
                patch.setattr(Deadlines, "at_most", at_most)

    job_id = (await work.aenqueue()).id
    async with working(app):
        row = await eyes.reaches(job_id, "completed")
    assert tried == [1, 2]
    assert row["attempt"] == 2
    (error,) = await eyes.errors(job_id)
    assert "was rolled back: no thread could be had" in error["message"]


async def test_a_second_transaction_inside_the_first_is_refused(app: App, eyes: Eyes) -> None:
    """It would wait for the connection that its own job holds."""

    @app.task(max_attempts=1)
    async def nested() -> None:
        job = current_job()
        async with job.transaction(), job.transaction():
            pass

    job_id = (await nested.aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "dead")
    assert "open already; one at a time" in (await eyes.errors(job_id))[0]["message"]
