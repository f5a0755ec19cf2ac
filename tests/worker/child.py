"""A worker process for tests that kill, stop or starve it: python -m tests.worker.child DSN JSON.

Its tasks write what they do to public.effect, each time on a connection of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

from pgqueue import App, RunningJob, Worker, current_batch, current_job
from tests.harness.processes import Program
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, quick

__all__ = ["EFFECT", "Child", "app_of", "child"]

EFFECT = """
create table public.effect (
    job bigint, attempt int, crashes int, pid int, what text,
    at timestamptz default clock_timestamp()
)
"""


def app_of(dsn: str) -> App:
    app = App(dsn)

    async def note(job: RunningJob, what: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "insert into public.effect values ($1, $2, $3, $4, $5)",
            job.id, job.attempt, job.crash_count, os.getpid(), what,
        )  # fmt: skip
        await connection.close()

    @app.task
    async def nap(seconds: float) -> None:
        """End within so many seconds by the wall clock, whatever happens to the process."""
        job = current_job()
        try:
            await note(job, "began")  # seen before it returns here: what comes then may hit it
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.shield(note(job, "cancelled"))
            raise
        await note(job, "ended")

    @app.task
    async def block(seconds: float) -> None:
        job = current_job()
        await note(job, "began")
        time.sleep(seconds)  # noqa: ASYNC251
        await note(job, "ended")

    @app.task
    async def write(path: str) -> None:
        job = current_job()
        with open(path, "a") as file:  # noqa: ASYNC230
            file.write(f"{job.id} ")
        time.sleep(0.001)  # noqa: ASYNC251  # it never lets go of the loop

    @app.task(on_crash="dead", retry=lambda attempt, error: 0)
    async def charge(fails: int = 0, seconds: float = 0) -> None:
        """What must not run twice by itself."""
        job = current_job()
        await note(job, "began")
        if job.attempt <= fails:
            raise ValueError
        await asyncio.sleep(seconds)
        await note(job, "ended")

    @app.task(batch=4, batch_wait=5.0)
    async def many(items: list[int]) -> None:
        """Write in its transaction, and wait there for the worker to be killed."""
        batch = current_batch()
        lead = batch.jobs[0]
        async with batch.transaction() as tx:
            await tx.executemany(
                "insert into public.effect values ($1, $2, $3, 0, 'done')",
                [(job.id, job.attempt, job.crash_count) for job in batch.jobs],
            )
            await note(lead, f"began {len(items)}")
            if not lead.crash_count:
                await asyncio.Event().wait()

    @app.task
    async def die() -> None:
        job = current_job()
        await note(job, "began")
        os.kill(os.getpid(), signal.SIGKILL)

    return app


class Child(Program):
    """A worker in a process of its own."""

    def __init__(self, dsn: str, settings: dict[str, Any], log_file: Path) -> None:
        command = [sys.executable, "-m", "tests.worker.child", dsn, json.dumps(settings)]
        super().__init__(command, log_file)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    async def ready(self, eyes: Eyes) -> None:
        await eventually(
            lambda: eyes.value("select count(*) from pgqueue.worker where pid = $1", self.pid),
        )


@contextlib.contextmanager
def child(dsn: str, **settings: Any) -> Iterator[Child]:
    with tempfile.TemporaryDirectory(prefix="pgqueue-child-") as home:
        one = Child(dsn, settings, Path(home, "log"))
        try:
            yield one
        finally:
            one.clear_away()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    worker = Worker(app_of(sys.argv[1]), **quick(**{"lease": 4.0} | json.loads(sys.argv[2])))
    asyncio.run(worker.run(signals=True))
