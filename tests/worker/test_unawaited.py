"""Workers that nobody stops: their jobs are given back, and nothing false is said of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from pgqueue import App, Worker
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, quick

pytestmark = [
    pytest.mark.alone,
    # What a loop that is closed leaves of its tasks and connections.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def ended_by_asyncio_run(work: Callable[[], Worker], begun: asyncio.Event, *, cancel: bool) -> None:
    async def program() -> None:
        running = asyncio.ensure_future(work().run())
        await asyncio.wait_for(begun.wait(), 60)
        if cancel:
            running.cancel()

    asyncio.run(program())


def closed(work: Callable[[], Worker], begun: asyncio.Event, *, cancel: bool) -> None:
    async def program() -> None:
        running = loop.create_task(work().run())
        await asyncio.wait_for(begun.wait(), 60)
        if cancel:
            running.cancel()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(program())
    loop.close()


@pytest.mark.parametrize("cancel", [True, False], ids=["cancelled", "forgotten"])
@pytest.mark.parametrize("end", [ended_by_asyncio_run, closed])
async def test_a_run_that_nobody_awaits_gives_its_jobs_back(
    dsn: str,
    eyes: Eyes,
    caplog: pytest.LogCaptureFixture,
    end: Callable[..., None],
    cancel: bool,
    recwarn: pytest.WarningsRecorder,
) -> None:
    app = App(dsn)
    begun = asyncio.Event()

    @app.task
    async def forever() -> None:
        begun.set()
        await asyncio.sleep(3600)

    job_id = (await forever.aenqueue()).id
    await app.aclose()
    with caplog.at_level(logging.INFO, "pgqueue"):
        settings = quick(lease=3600.0, heartbeat=0.3, grace=600.0)
        await asyncio.to_thread(end, lambda: Worker(app, **settings), begun, cancel=cancel)

        async def given_back() -> bool:
            return not await eyes.worker_ids()

        await eventually(given_back, timeout_s=60)
        gc.collect()
    app.close()
    row = await eyes.job(job_id)
    assert (row["state"], row["attempt"], row["crash_count"]) == ("pending", 0, 0)
    assert row["errors"] is None
    assert "failed in attempt" not in caplog.text
    assert "unwritten" not in caplog.text
    assert [one for one in recwarn if "was never awaited" in str(one.message)] == []


async def test_a_program_that_ends_gives_its_jobs_back(dsn: str, eyes: Eyes) -> None:
    """Its main thread comes to its end while a worker runs in another."""
    code = """
        import asyncio, os, threading
        import pgqueue

        app = pgqueue.App()
        begun = threading.Event()

        @app.task
        async def forever():
            begun.set()
            await asyncio.sleep(3600)

        async def run():
            await pgqueue.Worker(app, lease=3600, heartbeat=0.5).run()

        forever.enqueue()
        threading.Thread(target=asyncio.run, args=(run(),), daemon=True).start()
        begun.wait(60)
    """
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PGQUEUE_DSN": dsn},
        timeout=120,
        check=True,
    )
    assert done.returncode == 0
    (row,) = await eyes.sql("select attempt, crash_count, worker_id from pgqueue.job")
    assert tuple(row) == (0, 0, None)
    assert await eyes.worker_ids() == set()
