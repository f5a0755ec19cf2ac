"""Tasks that run in child processes; a child imports this module, a test has them on its app."""

from __future__ import annotations

import ctypes
import logging
import os
import time
from types import SimpleNamespace
from typing import Any

import pgqueue
from pgqueue import App, current_job

__all__ = ["app", "declare"]

log = logging.getLogger("shop")


def declare(app: App) -> Any:
    """Put the tasks on an app."""

    @app.task(executor="process")
    def note(path: str) -> None:
        job = current_job()
        log.warning("job %d, attempt %d", job.id, job.attempt)
        with open(path, "a") as file:
            file.write(f"{os.getpid()} {os.getppid()} {job.id}\n")

    @app.task(executor="process")
    async def with_transaction() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("insert into effect values ($1)", job.id)

    @app.task(executor="process")
    def with_blocking_transaction() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.execute("insert into effect values (%s)", (job.id,))

    @app.task(executor="process", max_attempts=1)
    def crash(how: str) -> None:
        if how == "exit":
            os._exit(7)
        ctypes.string_at(0)

    @app.task(executor="process", max_attempts=1)
    def fork() -> None:
        log.warning("a file caf\udce9")
        if pid := os.fork():
            assert os.waitpid(pid, 0) == (pid, 256)
        else:
            log.warning("in the fork")

    @app.task(executor="process", on_crash="dead")
    def crash_once() -> None:
        os._exit(0)

    @app.task(executor="process", max_attempts=1, memory="200MB")
    def eat() -> None:
        eaten: list[bytes] = []
        while True:
            eaten.append(b"x" * 10_000_000)
            time.sleep(0.01)

    @app.task(executor="process", max_attempts=1)
    def spin(path: str) -> None:
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        while True:
            pass

    @app.task(executor="process", max_attempts=2, retry=lambda attempt, error: None)
    def refuse() -> None:
        raise KeyError("nothing of that name")

    @app.task(executor="process")
    def again() -> None:
        if current_job().attempt == 1:
            raise pgqueue.Retry(delay=3600)

    return SimpleNamespace(
        note=note, crash_once=crash_once, with_transaction=with_transaction, crash=crash, eat=eat,
        spin=spin, refuse=refuse, again=again, with_blocking_transaction=with_blocking_transaction,
        fork=fork,
    )  # fmt: skip


app = App()
declare(app)
