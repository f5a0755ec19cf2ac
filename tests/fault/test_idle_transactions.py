"""The server ends a transaction that idles: the job's error says so, and nothing is in doubt."""

from __future__ import annotations

import pytest

from pgqueue import App, current_job
from tests.harness.waiting import eventually, wait_until
from tests.worker.support import Eyes, working

LIMIT = (
    "do $$ begin execute format("
    "'alter database %I set idle_in_transaction_session_timeout = 200', current_database()); end $$"
)


@pytest.mark.parametrize("flavour", ["async", "thread"])
async def test_a_transaction_that_idles_is_reported_as_that(
    app: App, eyes: Eyes, flavour: str
) -> None:
    await eyes.sql(LIMIT)
    begun: list[int] = []
    ended: list[bool] = []

    @app.task(max_attempts=1)
    async def settle() -> None:
        job = current_job()
        async with job.transaction() as tx:
            begun.append(await tx.fetchval("select pg_backend_pid()"))
            await eventually(lambda: ended, timeout_s=60)
            await eventually(tx.is_closed, timeout_s=60)

    @app.task(max_attempts=1)
    def settle_in_a_thread() -> None:
        job = current_job()
        with job.transaction() as tx:
            (pid,) = tx.execute("select pg_backend_pid()").fetchone()
            begun.append(pid)
            wait_until(lambda: ended, timeout_s=60)

    task = settle if flavour == "async" else settle_in_a_thread
    job_id = (await task.aenqueue()).id

    async def gone() -> bool:
        return bool(begun) and not await eyes.value(
            "select count(*) from pg_stat_activity where pid = $1", begun[0]
        )

    async with working(app):
        await eventually(gone, timeout_s=60)
        ended.append(True)
        await eyes.reaches(job_id, "dead", timeout_s=60)
    (error,) = await eyes.errors(job_id)
    assert "rolled" in error["message"]
    assert "idle_in_transaction_session_timeout" in error["message"]
    assert error["type"] == "pgqueue.errors.DatabaseError"
