"""Workers that are lost at the same time are rescued together, by one of those that see it."""

from __future__ import annotations

from collections import Counter

import pytest

from pgqueue import App, current_job
from pgqueue.db.link import Link, Watch
from pgqueue.db.store import Store
from pgqueue.worker.fleet.rescue import rescue_workers
from pgqueue.worker.timings import RescueTimings, Timings
from tests.harness import counted
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

LOST = 20
EACH = 5
STALE = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues)"
    " select n, now() - interval '1 min', now(), pg_postmaster_start_time(), 100 + n, 100, 1,"
    " 'elsewhere', '0', '{default}' from generate_series(1, $1::int) as n"
)
HOLD = (
    "update pgqueue.job set worker_id = 1 + (args ->> 'n')::int / $1, claim_token = 1,"
    " claimed_at = now(), attempt = 1"
)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each statement was sent."""
    return counted.by_name(monkeypatch)


async def test_many_lost_workers_are_one_scan_whoever_finds_them(
    app: App, dsn: str, eyes: Eyes, scans: Counter[str]
) -> None:
    """Of two workers that find the same ones one reads job: once, and once more for late claims."""
    often = Timings(rescue=RescueTimings(lookers=1000))  # each heartbeat looks
    other = App(dsn)
    ran: list[tuple[int, int]] = []

    @app.task
    async def note(n: int) -> None:
        job = current_job()
        ran.append((n, job.attempt))

    other.task(note.function)
    await app.aenqueue_many([note.job(n) for n in range(LOST * EACH)])
    await eyes.sql(STALE, LOST)
    await eyes.sql(HOLD, EACH)
    async with working(app, timings=often) as first, working(other, timings=often) as second:
        await eyes.settled(completed=LOST * EACH)
        for worker in (first, second):
            rescuer = worker.machines.heartbeat_thread.maintenance.rescuer
            await eventually(lambda s=rescuer: not s.rescuing, what="they have looked twice")
    assert sorted(ran) == [(n, 2) for n in range(LOST * EACH)]
    assert scans["rescue_jobs"] <= 2
    blamed = (
        "select count(*) from pgqueue.jobs where crash_count = 1"
        " and errors -> 0 ->> 'worker' = 'elsewhere:' || 101 + (args ->> 'n')::int / $1"
    )
    assert await eyes.value(blamed, EACH) == LOST * EACH
    assert await eyes.value("select count(*) from pgqueue.worker") == 0
    await other.aclose()


async def test_what_cannot_be_ended_of_one_worker_changes_nothing_for_the_others(
    app: App, dsn: str, eyes: Eyes
) -> None:
    """A job at its cap that cannot be moved is put off; another worker's is moved all the same."""

    @app.task
    async def note(n: int) -> None: ...

    await app.aenqueue_many([note.job(n) for n in range(2)])
    await eyes.sql(STALE, 2)
    await eyes.sql(HOLD, 1)
    await eyes.sql("update pgqueue.job set crash_count = 2, quarantined = true")
    await eyes.sql("alter table pgqueue.dead add constraint odd check (args ->> 'n' <> '0')")
    link = Link(dsn, role="duties", watch=Watch(), deadline=8.0, pooled=False)
    rescued = await rescue_workers(Store(link, "pgqueue"), [1, 2, 3], crash_cap=3)
    await link.close()
    assert sorted(rescued.workers) == [1, 2]
    assert await eyes.states() == {"scheduled": 1, "dead": 1}
    assert await eyes.value("select args ->> 'n' from pgqueue.dead") == "1"
    assert await eyes.worker_ids() == set()


async def test_who_finds_them_taken_reads_nothing(
    app: App, dsn: str, eyes: Eyes, scans: Counter[str]
) -> None:
    """Somebody is at some of them: the rest alone are rescued; at all, and no job is read."""

    @app.task
    async def note(n: int) -> None: ...

    await app.aenqueue_many([note.job(n) for n in range(3)])
    await eyes.sql(STALE, 3)
    await eyes.sql(HOLD, 1)
    link = Link(dsn, role="duties", watch=Watch(), deadline=8.0, pooled=False)
    store = Store(link, "pgqueue")
    async with eyes.connection.transaction():
        await eyes.sql("select from pgqueue.worker where id in (1, 2) for update")
        assert await rescue_workers(store, [1, 2], crash_cap=3) == ([], {})
        assert scans["rescue_jobs"] == 0
        rescued = await rescue_workers(store, [1, 2, 3], crash_cap=3)
        assert rescued.workers == [3]
        assert scans["rescue_jobs"] == 1
    await link.close()
    held = "select array_agg(worker_id order by worker_id) from pgqueue.job"
    assert await eyes.value(held) == [1, 2, None]
