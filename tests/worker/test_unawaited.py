"""Workers that nobody stops: their jobs are released, and nothing false is said of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

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


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a closed loop leaves is collected here, and not amid another test."""
    yield
    gc.collect()


Leave = Callable[[Worker, asyncio.Task[None]], object]
"""What a program does last with its worker, and with the task that runs it."""

LAST: dict[str, Leave] = {
    "cancelled": lambda worker, running: running.cancel(),
    "asked to stop": lambda worker, running: worker.request_stop(),
    "forgotten": lambda worker, running: None,
}


def ended_by_asyncio_run(work: Callable[[], Worker], begun: asyncio.Event, leave: Leave) -> None:
    async def program() -> None:
        worker = work()
        running = asyncio.ensure_future(worker.run())
        await asyncio.wait_for(begun.wait(), 60)
        leave(worker, running)

    asyncio.run(program())


def closed(work: Callable[[], Worker], begun: asyncio.Event, leave: Leave) -> None:
    async def program() -> None:
        worker = work()
        running = loop.create_task(worker.run())
        await asyncio.wait_for(begun.wait(), 60)
        leave(worker, running)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(program())
    loop.close()


@pytest.mark.parametrize(
    ("end", "leave"),
    [
        (ended_by_asyncio_run, "cancelled"),
        (ended_by_asyncio_run, "asked to stop"),
        (ended_by_asyncio_run, "forgotten"),
        (closed, "cancelled"),
        (closed, "forgotten"),
    ],
)
async def test_a_run_that_nobody_awaits_releases_its_jobs(
    dsn: str,
    eyes: Eyes,
    caplog: pytest.LogCaptureFixture,
    end: Callable[..., None],
    leave: str,
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
        await asyncio.to_thread(end, lambda: Worker(app, **settings), begun, LAST[leave])

        async def released() -> bool:
            return not await eyes.worker_ids()

        await eventually(released, timeout_s=60)
        gc.collect()
    app.close()
    row = await eyes.job(job_id)
    assert (row["state"], row["attempt"], row["crash_count"]) == ("pending", 0, 0)
    assert row["errors"] is None
    assert "failed in attempt" not in caplog.text
    assert "unwritten" not in caplog.text
    assert [one for one in recwarn if "was never awaited" in str(one.message)] == []


async def test_a_program_that_ends_releases_its_jobs(dsn: str, eyes: Eyes) -> None:
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
