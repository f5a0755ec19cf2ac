"""A job is told to end in `job.transaction()`, and its connection answers no rollback."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from chaos.faults.cutting import CuttingProxy

from pgqueue import App, current_job
from pgqueue.db.stall import StallTimings
from pgqueue.worker.run.transaction import JobTransactions
from pgqueue.worker.timings import StopTimings, Timings
from tests.harness.waiting import PATIENCE, eventually
from tests.worker.support import Eyes, working

UNREACHABLE = 3600.0
LONG = "select pg_sleep(3600)"


@pytest.mark.fault("F10")
@pytest.mark.alone
async def test_a_job_that_is_told_to_end_does_not_wait_for_its_rollback(
    cutting: CuttingProxy, eyes: Eyes, app: App
) -> None:
    """What else would end it, the deadline and a question to another session, is out of reach."""
    far = App(cutting.dsn)
    far.pool.timings = StallTimings(after=UNREACHABLE)
    briefly = Timings(stop=StopTimings(roll_back=0.5))
    ended = asyncio.Event()

    @far.task
    async def long() -> None:
        job = current_job()
        try:
            async with job.transaction() as tx:
                await tx.execute(LONG)
        finally:
            ended.set()

    async def waits() -> Any:
        return await eyes.value(
            "select pid from pg_stat_activity where state = 'active' and query = $1", LONG
        )

    async with working(far, deadline=600.0, timings=briefly):
        job_id = (await long.aenqueue()).id
        await eventually(waits)
        assert cutting.silence(lambda link: link.role == "client") >= 1
        await app.acancel(job_id)
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        await eyes.reaches(job_id, "cancelled")
        cutting.heal()
    await far.aclose()


async def test_a_rollback_that_is_cancelled_leaves_no_error_behind() -> None:
    said: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    begun, hung_up = asyncio.Event(), asyncio.Event()

    async def rollback() -> None:
        begun.set()
        await hung_up.wait()
        raise ConnectionResetError("hung up")

    quiet = SimpleNamespace(end=lambda: None)
    pool: Any = SimpleNamespace(
        check_stall=lambda *_: quiet, pooled=True, schema="pgqueue", put=lambda _: None
    )
    connection = SimpleNamespace(is_closed=lambda: False, terminate=hung_up.set)
    handle = SimpleNamespace(
        connection=connection,
        transaction=SimpleNamespace(rollback=rollback),
        next_begun=False,
    )
    job: Any = None
    ending = asyncio.ensure_future(
        JobTransactions(pool, deadline=8.0).aend(handle, job, ValueError("as the job says"))
    )
    await begun.wait()
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    del others, ending
    gc.collect()
    assert not said
