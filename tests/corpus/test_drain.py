"""What a drain writes of a job is what a worker writes, whatever the task does at its end."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import asyncpg
import pytest

from pgqueue import App
from pgqueue.testing import Kit
from tests.corpus.poison import CASES
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, eyes_on, working

pytestmark = [pytest.mark.one_pg, pytest.mark.filterwarnings("ignore")]

BATCH = 60
ADDRESS = re.compile(r"\d{12,}")
ROWS = """
select id, state, attempt, crash_count, reason, worker_id is null as free, errors::text as errors
from pgqueue.jobs where id = any ($1) order by id
"""


def seen(row: Any) -> dict[str, Any]:
    """The row without what differs from run to run: times, and the code around the task."""
    errors = [
        (one["type"], ADDRESS.sub("N", one["message"]), one["attempt"])
        for one in json.loads(row["errors"] or "[]")
    ]
    values = {**dict(row), "errors": errors}
    return {name: values[name] for name in values.keys() - {"id"}}


async def by_a_worker(app: App, eyes: Eyes, jobs: list[Any]) -> list[Any]:
    ids = [one.id for one in await app.aenqueue_many(jobs)]

    async def over() -> bool:
        return not await eyes.value("select count(*) from pgqueue.job where id = any ($1)", ids)

    await eventually(over)
    return await eyes.sql(ROWS, ids)


async def by_a_drain(app: App, connection: Any, jobs: list[Any]) -> list[Any]:
    ids = [one.id for one in await app.aenqueue_many(jobs, connection=connection)]
    while True:
        try:
            await Kit(app, connection).adrain(raise_errors=False)
            break
        except KeyboardInterrupt:  # it leaves a drain, as it leaves the test
            pass
    return await connection.fetch(ROWS, ids)


@pytest.mark.parametrize("encoded_dsn", ["UTF8"], indirect=True)
async def test_all_poisons_come_to_the_same(encoded_dsn: str) -> None:
    app = App(encoded_dsn)

    def act(n: int) -> Any:
        return CASES[n].act()

    @app.task(max_attempts=1)
    async def on_the_loop(n: int) -> Any:
        await asyncio.sleep(0)
        return act(n)

    @app.task(max_attempts=1)
    def in_a_thread(n: int) -> Any:
        return act(n)

    wrong: list[str] = []
    connection = await asyncpg.connect(encoded_dsn)
    async with eyes_on(encoded_dsn) as eyes:
        for start in range(0, len(CASES), BATCH):
            numbers = range(start, min(start + BATCH, len(CASES)))
            jobs = [(in_a_thread if CASES[n].thread else on_the_loop).job(n) for n in numbers]
            async with working(app, concurrency=10, poll_interval=5.0):
                real = await by_a_worker(app, eyes, jobs)
            transaction = connection.transaction()
            await transaction.start()
            drained = await by_a_drain(app, connection, jobs)
            for n, one, other in zip(numbers, real, drained, strict=True):
                if other["state"] != "running" and seen(one) != seen(other):
                    wrong.append(f"{CASES[n].name}: {seen(one)}, and drained {seen(other)}")
            await transaction.rollback()
    await connection.close()
    await app.aclose()
    assert not wrong, f"{len(wrong)}\n" + ascii("\n".join(wrong[:20]))[:20_000]
