"""A worker process whose jobs fork: python -m tests.worker.forker DSN JSON LOOP.

What its jobs and their children find out, they write to public.effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import sys
import time
from typing import Any

import asyncpg
import psycopg

from pgqueue import App, RunningJob, Worker, current_job
from tests.worker.support import quick

workers: list[Worker] = []


def report(dsn: str, job: RunningJob, what: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into public.effect values (%s, %s, %s, %s, %s)",
            (job.id, job.attempt, job.crash_count, os.getpid(), what),
        )


def linger() -> None:
    time.sleep(600)


def app_of(dsn: str) -> App:
    app = App(dsn)

    @app.task
    async def note(n: int) -> None:
        job = current_job()
        report(dsn, job, f"note {n}")

    def fork(job: RunningJob, how: str) -> None:
        """Leave a child behind that lives for long."""
        if how == "multiprocessing":
            child = multiprocessing.get_context("fork").Process(target=linger, daemon=False)
            child.start()
            pid = child.pid
        else:
            pid = os.fork()
            if pid == 0:
                linger()
                os._exit(0)
        report(dsn, job, f"child {pid}")

    @app.task
    async def fork_async(how: str) -> None:
        job = current_job()
        fork(job, how)
        await asyncio.sleep(600)

    @app.task
    def fork_thread(how: str) -> None:
        job = current_job()
        fork(job, how)
        time.sleep(600)

    @app.task
    async def fork_in_transaction() -> None:
        """The child leaves the block of its parent's transaction."""
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("insert into public.effect (job, what) values ($1, 'tx')", job.id)
            pid = os.fork()
            wait(job, pid)

    def wait(job: RunningJob, pid: int) -> None:
        if pid:
            report(dsn, job, f"exit {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")

    def come_back(job: RunningJob) -> None:
        wait(job, os.fork())

    @app.task
    async def come_back_async() -> None:
        job = current_job()
        come_back(job)

    @app.task
    def come_back_thread() -> None:
        job = current_job()
        come_back(job)

    @app.task
    def ask_in_a_child() -> None:
        """What a child may do, and what it is told of the rest."""
        job = current_job()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                note.enqueue(1)
                asyncio.run(note.aenqueue(2))
                for call in (workers[0].request_stop, workers[0].statistics, begin(job)):
                    try:
                        call()
                    except Exception as exc:
                        report(dsn, job, f"{type(exc).__name__}: {exc}")
                asyncio.run(run_own(dsn))
                report(dsn, job, "asked")
            os._exit(0)
        os.waitpid(pid, 0)

    def begin(job: RunningJob) -> Any:
        def call() -> None:
            with job.transaction():
                pass

        return call

    return app


async def run_own(dsn: str) -> None:
    """A worker of the child's own."""
    app = App(dsn)

    @app.task(queue="own")
    async def nothing() -> None: ...

    job = await nothing.aenqueue()
    connection = await asyncpg.connect(dsn)
    async with Worker(app, **quick()):
        while not await connection.fetchval(  # noqa: ASYNC110
            "select count(*) from pgqueue.history where id = $1", job.id
        ):
            await asyncio.sleep(0.05)
    await connection.close()


async def main() -> None:
    workers.append(Worker(app_of(sys.argv[1]), **quick(**json.loads(sys.argv[2]))))
    await workers[0].run(signals=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    factory = None
    if sys.argv[3] == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
