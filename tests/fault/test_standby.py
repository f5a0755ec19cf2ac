"""A dsn that leads to a standby, alone and among several hosts that say nothing else."""

from __future__ import annotations

import asyncio

import pytest
from chaos.arenas.pair import pair

from pgqueue import App, DatabaseError, Worker, current_job
from pgqueue.db.migrate import migrate
from tests.harness import servers
from tests.harness.waiting import wait_until
from tests.worker.support import eyes_on, working

pytestmark = pytest.mark.alone


async def test_a_standby_is_named_and_of_several_hosts_the_primary_is_taken() -> None:
    major = max(major for major in servers.chosen() if major is not None)
    with pair(major, settings={}, waits=False) as both:
        await migrate(both.primary.dsn)
        async with App(both.primary.dsn) as app:
            await app.aenqueue("settle")
        for query in (
            "select to_regclass('pgqueue.job') is not null",
            "select exists (select from pgqueue.job)",
        ):
            wait_until(lambda q=query: both.ask(both.standby, q), timeout_s=60, what=query)
        async with App(both.standby.dsn) as app:
            app.task(settle)
            with pytest.raises(DatabaseError, match="is a standby, which takes no writes"):
                await app.aenqueue("settle")
            with pytest.raises(DatabaseError, match="is a standby"):
                await Worker(app).run()
            assert [job.task for job in await app.alist_jobs()] == ["settle"]  # a look is allowed
            await asyncio.gather(app.astatus(), app.aqueues(), app.aworkers(), app.alist_dead())
        places = [str(node.socket_dir) for node in both.nodes]
        for n, hosts in enumerate((places, places[::-1])):
            app = App(f"postgresql://postgres@/postgres?host={','.join(hosts)}&port=5432")
            app.task(settle)
            app.task(settle_in_a_thread)
            await app.aenqueue_many([app.job("settle_in_a_thread")])
            async with eyes_on(both.primary.dsn) as eyes, working(app):
                await eyes.settled(completed=2 + n, timeout_s=30)
            await app.aclose()


async def settle() -> None:
    job = current_job()
    async with job.transaction() as tx:
        await tx.execute("select 1")


def settle_in_a_thread() -> None:
    job = current_job()
    with job.transaction() as tx:
        tx.execute("select 1")
