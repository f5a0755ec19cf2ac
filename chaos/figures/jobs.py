"""The app that the measured workers serve: ``pgqueue worker chaos.figures.jobs:app``."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pgqueue
from chaos.figures.trace import HOME, note
from pgqueue import RunningJob, current_job
from tests.corpus.poison import CASES

__all__ = ["app"]

_LOOK_SECONDS = 0.05
_GULP = 8 * 2**20

app = pgqueue.App(pgbouncer="PGQUEUE_FIGURES_POOLED" in os.environ)


def _note(what: str, job: RunningJob) -> None:
    note(what, job.id, job.token, job.attempt)


@app.task
async def touch() -> None:
    job = current_job()
    _note("begin", job)


@app.task
async def hold(gate: str) -> None:
    """Run until that gate is open."""
    job = current_job()
    _note("begin", job)
    path = Path(os.environ[HOME]) / gate
    while not path.exists():
        await asyncio.sleep(_LOOK_SECONDS)
    _note("end", job)


@app.task
async def linger(seconds: float) -> None:
    job = current_job()
    _note("begin", job)
    await asyncio.sleep(seconds)
    _note("end", job)


@app.task
async def block(seconds: float) -> None:
    """What nobody should do."""
    job = current_job()
    _note("begin", job)
    time.sleep(seconds)
    _note("end", job)


@app.task
async def relay() -> None:
    """Use both of the app's pools: enqueue, and complete in a transaction."""
    job = current_job()
    _note("begin", job)
    await app.aenqueue("touch")
    async with job.transaction() as tx:
        await tx.execute("select 1")
        _note("end", job)


@app.task
async def devour() -> None:
    """Take memory until the kernel objects."""
    job = current_job()
    _note("begin", job)
    held: list[bytes] = []
    while True:
        held.append(b"x" * _GULP)
        await asyncio.sleep(0.005)


@app.task(max_attempts=1)
async def fine() -> None: ...


@app.task(max_attempts=1)
async def broken(why: str) -> None:
    raise RuntimeError(why)


def _act(job: RunningJob, n: int) -> Any:
    _note("act", job)
    try:
        return CASES[n].act()
    finally:
        _note("acted", job)


@app.task(max_attempts=1)
async def poison(n: int) -> Any:
    """End badly, on the loop."""
    job = current_job()
    await asyncio.sleep(0)
    return _act(job, n)


@app.task(max_attempts=1)
def poison_thread(n: int) -> Any:
    """End badly, in a thread."""
    job = current_job()
    return _act(job, n)


@app.task(max_attempts=1)
async def neighbour() -> None:
    """Beside one that ends badly."""
    job = current_job()
    _note("act", job)
    await asyncio.sleep(0.001)
    _note("acted", job)
