"""F11: a session is over, its client waits for an answer, and the word of the end was lost."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import psycopg
import pytest
from chaos.caller import connect
from chaos.faults.cutting import CuttingProxy, end_unheard

from pgqueue import App, Backoff, current_job
from pgqueue.db.connect import open_connection, socket_of
from pgqueue.db.session import KEEPALIVE_OPTIONS
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="ending a session so needs root"
    ),
]

LONG = "select pg_sleep(3600)"
AT_ONCE = Backoff(base=0.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEEPALIVE_OPTIONS:
        monkeypatch.setitem(KEEPALIVE_OPTIONS, name, 1)


async def end_unheard_of(cutting: CuttingProxy, eyes: Eyes, role: str) -> None:
    """End the session that is at LONG, once it is."""

    async def waits() -> Any:
        return await eyes.value(
            "select pid from pg_stat_activity where state = 'active' and query = $1", LONG
        )

    await eventually(waits)
    pid = await waits()
    assert cutting.vanish(lambda link: link.role == role) >= 1
    await eyes.sql("select pg_terminate_backend($1)", pid)


@pytest.mark.fault("F11")
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("role", ["client", "task"])
async def test_a_statement_of_a_handler_ends_with_its_session(
    cutting: CuttingProxy, eyes: Eyes, dsn: str, role: str
) -> None:
    """Else the job would keep its slot, and its lease, for as long as the worker lives."""
    app = App(cutting.dsn)

    @app.task(retry=AT_ONCE)
    async def client() -> None:
        job = current_job()
        async with job.transaction() as tx:
            if job.attempt == 1:
                await tx.execute(LONG)

    @app.task(retry=AT_ONCE)
    def task() -> None:
        job = current_job()
        with job.transaction() as tx:
            if job.attempt == 1:
                tx.execute(LONG)

    async with working(app):
        job_id = (await {"client": client, "task": task}[role].aenqueue()).id
        await end_unheard_of(cutting, eyes, role)
        row = await eyes.reaches(job_id, "completed")
    assert row["attempt"] == 2
    await app.aclose()


@pytest.mark.fault("F11")
@pytest.mark.usefixtures("quick")
async def test_a_proxy_lets_go_of_a_client_that_vanished(cutting: CuttingProxy, eyes: Eyes) -> None:
    """As the server does whose place it takes: else such sessions stay for as long as it does."""
    connection = await open_connection(cutting.dsn, name="gone", seconds=30.0, settings={})
    assert await eyes.sessions("gone")
    own = socket_of(connection)
    assert own is not None
    end_unheard(own)
    connection.terminate()

    async def none() -> bool:
        return not await eyes.sessions("gone")

    await eventually(none)


@pytest.mark.fault("F11")
async def test_a_program_of_the_torture_run_goes_on(cutting: CuttingProxy, eyes: Eyes) -> None:
    """Else the canceller would cancel nothing from there on, and what is doomed would be left."""

    def ask() -> None:
        with connect(cutting.dsn, application_name="program") as connection:
            connection.execute(LONG)

    asking = asyncio.create_task(asyncio.to_thread(ask))
    await end_unheard_of(cutting, eyes, "program")
    with pytest.raises(psycopg.OperationalError):
        await asking
