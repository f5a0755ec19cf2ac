"""F41: PostgreSQL's queue of notifications is full, because a session that listens is stuck."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from pgqueue import App
from tests.harness.servers import own_server
from tests.harness.waiting import eventually
from tests.worker.support import eyes_on, working


@pytest.fixture
def small_queue() -> Iterator[str]:
    """A server whose queue of notifications has 64 pages; 17 was the first that can."""
    with own_server(18, settings={"max_notify_queue_pages": "64"}) as server:
        yield server.dsn


async def fill(connection: asyncpg.Connection) -> None:
    try:
        for n in range(500):
            await connection.execute(f"select pg_notify('x', '{n:07000}')")
    except asyncpg.ProgramLimitExceededError:
        return
    raise AssertionError("the queue of notifications took 500")


@pytest.mark.report("f41")
async def test_jobs_are_enqueued_and_run_while_the_notification_queue_is_full(
    small_queue: str,
) -> None:
    app = App(small_queue)
    await app.amigrate()

    @app.task
    async def noop() -> None: ...

    stuck, filler = await asyncpg.connect(small_queue), await asyncpg.connect(small_queue)
    try:
        async with eyes_on(small_queue) as eyes, working(app):

            async def waits() -> bool:
                return bool(
                    await eyes.value("select exists (select from pgqueue.queue where waiting)")
                )

            await eventually(waits)
            await stuck.execute("listen nothing")
            async with stuck.transaction():
                await stuck.execute("select 1")
                await fill(filler)
                ids = [(await noop.aenqueue()).id for _ in range(3)]
                ids += [job.id for job in await app.aenqueue_many([noop.job(), noop.job()])]
                await noop.using(delay=0.2).aenqueue()
                await eyes.settled(completed=6)
            await app.acancel(ids[0])
    finally:
        await stuck.close()
        await filler.close()
        await app.aclose()
