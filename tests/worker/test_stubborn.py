"""Jobs that are told to end and go on: named in the log, counted as stuck, and not waited for."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading

import pytest

from pgqueue import App
from pgqueue.worker.timings import StopTimings, Timings
from tests.harness.waiting import eventually
from tests.worker import support
from tests.worker.support import Eyes, nth

working = functools.partial(support.working, timings=Timings(stop=StopTimings(cancel=0.2)))


async def test_a_coroutine_that_ignores_its_timeout_is_named_and_counts_as_stuck(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    began: list[int] = []
    release = asyncio.Event()

    @app.task(timeout=0.1, max_attempts=1)
    async def deaf() -> None:
        began.append(1)
        while not release.is_set():
            try:
                await release.wait()  # here
            except asyncio.CancelledError:
                began.append(2)

    @app.task
    async def note() -> None: ...

    job_id = (await deaf.aenqueue()).id
    with caplog.at_level(logging.INFO, "pgqueue.worker"):
        async with working(app, concurrency=2, summary_interval=0.1) as worker:
            await eventually(lambda: worker.statistics().stuck == 1, timeout_s=60)
            await eyes.reaches(job_id, "dead")
            (error,) = await eyes.errors(job_id)
            assert error["message"] == "it ran for longer than its timeout of 0.1 s"
            # The other slot goes on, and what the job comes to later changes nothing.
            await note.aenqueue()
            await eyes.settled(completed=1, dead=1)
            await eventually(lambda: "1 running (1 stuck)" in caplog.text, timeout_s=60)
            release.set()
            await eventually(lambda: worker.statistics().running == 0, timeout_s=60)
            assert worker.statistics().stuck == 0
    said = next(r.getMessage() for r in caplog.records if "goes on" in r.getMessage())
    assert f"job {job_id} (deaf) was told to end" in said
    assert "(timeout)" in said
    file = __file__
    with open(file) as source:  # noqa: ASYNC230
        line = 1 + next(n for n, text in enumerate(source) if text.endswith("# here\n"))
    assert f'it is in deaf, "{file}", line {line}' in said
    assert (await eyes.job(job_id))["state"] == "dead"


async def test_a_coroutine_that_ignores_a_cancel_request_keeps_only_its_slot(
    app: App, eyes: Eyes
) -> None:
    began: list[int] = []
    release = asyncio.Event()

    @app.task
    async def deaf() -> None:
        began.append(1)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                began.append(2)

    job_id = (await deaf.aenqueue()).id
    async with working(app) as worker:
        await eventually(nth(began, 1))
        await app.acancel(job_id)
        await eyes.reaches(job_id, "cancelled")
        assert worker.statistics().stuck == 1
        release.set()


async def test_a_thread_that_goes_on_counts_as_stuck(app: App, eyes: Eyes) -> None:
    release = threading.Event()

    @app.task(timeout=0.1, max_attempts=1)
    def hangs() -> None:
        release.wait(600)

    job_id = (await hangs.aenqueue()).id
    async with working(app) as worker:
        await eyes.reaches(job_id, "dead")
        await eventually(lambda: worker.statistics().stuck == 1, timeout_s=60)
        release.set()
        await eventually(lambda: worker.statistics().stuck == 0, timeout_s=60)


async def test_a_job_that_ends_in_time_is_not_stuck(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(timeout=0.1, max_attempts=1)
    async def ends() -> None:
        await asyncio.sleep(600)

    job_id = (await ends.aenqueue()).id
    async with working(app):
        await eyes.reaches(job_id, "dead")
    assert "goes on" not in caplog.text
