"""What jobs log says which job that was; what a stop says names the jobs that it waits for."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pgqueue import App
from pgqueue.worker.timings import StopTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

ROUTES = ["direct"]
shop = logging.getLogger("shop")


class Kept(logging.Handler):
    """A handler of the app's own; it keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, text: str) -> dict[str, Any]:
        (found,) = [vars(one) for one in self.records if one.getMessage() == text]
        return found


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    shop.addHandler(handler)
    shop.setLevel(logging.INFO)
    yield handler
    shop.removeHandler(handler)
    shop.setLevel(logging.NOTSET)


async def test_every_record_of_a_job_says_which_job_logged_it(
    app: App, eyes: Eyes, kept: Kept
) -> None:
    @app.task
    async def sell() -> None:
        shop.info("in a coroutine")
        await asyncio.create_task(below())

    async def below() -> None:
        shop.info("in a task of its own")

    @app.task(queue="slow")
    def scan() -> None:
        shop.info("in a thread", extra={"task": "mine", "job": 7})

    first, second = [one.id for one in await app.aenqueue_many([sell.job(), scan.job()])]
    async with working(app):
        shop.info("outside")
        await eyes.settled(completed=2)
    worker = f"{os.uname().nodename}:{os.getpid()}"
    wanted = {"job_id": first, "task": "sell", "attempt": 1, "queue": "default", "worker": worker}
    assert kept.of("in a coroutine").items() >= wanted.items()
    assert kept.of("in a task of its own").items() >= wanted.items()
    assert kept.of("in a thread").items() >= (
        wanted | {"job_id": second, "task": "mine", "queue": "slow", "job": 7}
    ).items()  # fmt: skip
    assert "job_id" not in kept.of("outside")


async def test_a_handler_that_is_added_later_gets_them_with_the_next_summary(
    app: App, eyes: Eyes
) -> None:
    handler = Kept()

    @app.task
    async def sell() -> None:
        shop.warning("sold")

    async with working(app, summary_interval=0.05):
        shop.addHandler(handler)
        try:
            await eventually(lambda: bool(handler.filters), timeout_s=60)
            job = (await sell.aenqueue()).id
            await eyes.settled(completed=1)
        finally:
            shop.removeHandler(handler)
    assert handler.of("sold")["job_id"] == job


async def test_a_stop_counts_down_and_names_the_jobs_that_do_not_end_threads_too(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    gate, begun = threading.Event(), threading.Barrier(2)

    @app.task
    async def wait() -> None:
        await asyncio.Event().wait()

    @app.task
    def hold() -> None:
        begun.wait(60)
        assert gate.wait(60)

    def said() -> list[str]:
        return [r.getMessage() for r in caplog.records if "stopping (pid" in r.getMessage()]

    ids = [one.id for one in await app.aenqueue_many([wait.job(), hold.job()])]
    timings = Timings(stop=StopTimings(countdown=0.05))
    with caplog.at_level(logging.INFO, "pgqueue"):
        async with working(app, grace=600.0, timings=timings) as worker:
            await asyncio.to_thread(begun.wait, 60)
            await eventually(lambda: worker.statistics().running == 2, timeout_s=60)
            stop = asyncio.create_task(worker.stop())
            await eventually(lambda: len(said()) > 2, timeout_s=60, what="it counts down")
            worker.request_stop()
            worker.request_stop()
            await stop
    gate.set()
    first, second, *_, told, last = said()
    assert "2 jobs still run, with 600 s to end" in first
    assert "2 jobs still run, with " in second
    assert "a second request to stop came: 2 jobs are told to end, within 1 s: " in told
    assert f"job {ids[0]} (wait, " in told
    assert "1 job did not end when told to, to be run again: " in last
    assert f"job {ids[1]} (hold, " in last
    assert last.endswith("in a thread)")
