"""S6: the completion in ``job.transaction()`` runs with the user's search_path.

With pg_catalog first, as by default, ``array_agg(bigint)`` and ``cardinality(bigint[])`` in any
schema on the path fit better than PostgreSQL's own, which are for any type.
"""

from __future__ import annotations

import pytest

from pgqueue import App, current_job
from tests.harness import hostile
from tests.harness.servers import Server
from tests.security.test_search_path import trap
from tests.worker.support import eyes_on, working


@pytest.mark.rule("S6")
@pytest.mark.parametrize("path", ["better", "empty"])
async def test_the_completion_in_a_transaction_of_the_job(pg: Server, dsn: str, path: str) -> None:
    assert path in hostile.PATHS
    caught = trap(pg, dsn, path)
    app = App(dsn)

    @app.task
    async def on_the_loop() -> None:
        job = current_job()
        async with job.transaction():
            pass

    @app.task
    def in_a_thread() -> None:
        job = current_job()
        with job.transaction():
            pass

    await app.aenqueue_many([on_the_loop.job(), in_a_thread.job()])
    async with eyes_on(dsn) as eyes:
        await eyes.sql("set search_path = pg_catalog")
        async with working(app):
            await eyes.settled(completed=2)
    await app.aclose()
    assert caught() == []
