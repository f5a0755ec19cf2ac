"""The app of the demo, as a program of yours could have one: PGQUEUE_DSN says where."""

from __future__ import annotations

import asyncio
import os

from pgqueue.app import App
from pgqueue.demo import measure as measuring
from pgqueue.demo.names import AT_ONCE, CONCURRENCY, EVERY, QUEUE_SCHEMA, SCHEDULE
from pgqueue.demo.statements import sql
from pgqueue.flow.value import Flow
from pgqueue.retry import Backoff
from pgqueue.running import RunningJob, current_job

__all__ = ["app", "measure", "tally"]

app = App(schema=QUEUE_SCHEMA, pool_size=CONCURRENCY)

tenants = Flow("tenants", key="tenant", key_concurrency=AT_ONCE, fair=True)


@app.task(queue="files", flow=tenants, retry=Backoff(base=0.2, cap=2.0))
async def measure(
    file_id: int,
    path: str,
    tenant: str,  # noqa: ARG001  (the key of the flow)
    poison: bool = False,
) -> None:
    """Read a file, and write what it holds in the transaction that completes this job."""
    job = current_job()
    await _note_attempt(job, file_id)
    if poison:
        raise ValueError(f"{path} is the poison of this demonstration")
    try:
        found = await asyncio.to_thread(measuring.measure, path)
    except OSError as exc:
        values = (None, None, None, None, exc.strerror or type(exc).__name__)
    else:
        values = (found.bytes, found.lines, found.compressed, found.digest, None)
    async with job.transaction() as tx:
        await tx.execute(sql("write_result"), file_id, *values)


@app.task(queue="upkeep")
async def tally() -> None:
    """Count the results that are there, once for each slot of the schedule."""
    job = current_job()
    async with job.transaction() as tx:
        await tx.execute(sql("write_tally"), job.metadata["slot"])


app.schedule(SCHEDULE, tally, every=EVERY, misfire="all")


async def _note_attempt(job: RunningJob, file_id: int) -> None:
    """Commit, by itself, that this job was started: so that it shows who started twice."""
    await app.pool.arun(
        lambda c: c.execute(sql("note_attempt"), job.id, file_id, job.attempt, os.getpid()),
        checked=False,
    )
