"""Families A and C: rescues and duties whose workers are dead, pruned or leaving."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from pgqueue import App, current_job
from pgqueue.worker.timings import DutyTimings, Timings
from tests.harness.waiting import eventually
from tests.past.test_scale import OLD_DAYS, OLD_LEFT
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, nth, working

OFTEN = Timings(duties=DutyTimings(check_every=0.1))

HELD = "select count(*) from pgqueue.duty where name = 'retention' and due_at > now()"
WAITS = (
    "select count(*) from pg_stat_activity where application_name = 'pgqueue upkeep'"
    " and datname = current_database() and wait_event_type = 'Lock'"
)
OTHERS = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues)"
    " select n, now() + $3 * interval '1 s', now(), pg_postmaster_start_time(), 1, 100, 1,"
    " 'elsewhere', '0', '{default}' from generate_series($1::int, $2::int) as n"
)


@pytest.fixture
async def old_days(eyes: Eyes) -> None:
    """History past its retention: a duty is due."""
    await eyes.sql("set timezone = 'UTC'")
    await eyes.connection.execute(OLD_DAYS)


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[None]:
    """Somebody reads history, so that the duty waits for a lock."""
    reader = await asyncpg.connect(dsn)
    async with reader.transaction():
        await reader.fetch("select from pgqueue.history limit 1")
        yield
    await reader.close()


async def forever() -> bool:
    await asyncio.Event().wait()
    return True


async def none(eyes: Eyes, role: str) -> bool:
    return not await eyes.sessions(f"pgqueue {role}")


@pytest.mark.past_bug(1)
async def test_a_dead_worker_whose_row_was_pruned_first(dsn: str, eyes: Eyes) -> None:
    """Whoever prunes workers (here an operator) does not take the way to their jobs away."""
    await eyes.sql(EFFECT)
    app = app_of(dsn)
    with child(dsn) as victim:
        await victim.ready(eyes)
        ids = [e.id for e in await app.aenqueue_many([app.tasks.get("nap").job(0.3)] * 5)]
        began = "select count(*) = 5 from effect where what = 'began'"
        await eventually(lambda: eyes.value(began))
        victim.kill()
    await eyes.sql("delete from pgqueue.worker")
    async with working(app, timings=OFTEN):
        await eyes.sql("update pgqueue.duty set due_at = now() where name = 'orphans'")
        await eyes.settled(completed=5)
    for job_id in ids:
        row = await eyes.job(job_id)
        # Nobody knows that it died: their attempts do not count.
        assert (row["attempt"], row["crash_count"]) == (1, 0)
    await app.aclose()


@pytest.mark.past_bug(3, 61)
@pytest.mark.usefixtures("old_days")
async def test_a_worker_dies_with_a_duty_in_hand(app: App, dsn: str, eyes: Eyes) -> None:
    """Nobody has to take the duty from the dead: it is due again after a lease."""

    @app.task
    async def nothing() -> None: ...

    async with reading(dsn):
        with child(dsn, lease=10.0, deadline=20.0) as victim:
            await eventually(lambda: eyes.value(WAITS), what="the duty waits")
            victim.kill()
        await eyes.terminate("duties")
        await eyes.terminate("upkeep")
        assert await eyes.value(HELD) == 1
    async with working(app, retention=7 * 86400.0, timings=OFTEN):
        await eventually(lambda: eyes.value(f"select ({OLD_LEFT}) = 0"))


@pytest.mark.past_bug(61)
@pytest.mark.usefixtures("old_days")
async def test_who_leaves_with_a_duty_in_hand_keeps_it_from_nobody(dsn: str, eyes: Eyes) -> None:
    """The duty never ends in the worker that drains; another does it meanwhile."""
    old, new = App(dsn), App(dsn)
    gate = asyncio.Event()
    started: list[int] = []
    in_hand = threading.Event()

    @old.task
    async def wait() -> None:
        started.append(1)
        await gate.wait()

    @new.task(queue="other")
    async def other() -> None: ...

    async def hang() -> bool:
        in_hand.set()
        return await forever()

    leaving: Any
    async with working(old, grace=30.0, lease=8.0, timings=OFTEN) as leaving:
        leaving.machines.heartbeat_thread.maintenance.duties.table["retention"] = (600.0, hang)
        await eyes.sql("update pgqueue.duty set due_at = now() - interval '1 s'")
        await eventually(in_hand.is_set)
        await wait.aenqueue()
        await eventually(nth(started, 1))
        stopping = asyncio.ensure_future(leaving.stop())
        async with working(new, retention=7 * 86400.0, timings=OFTEN):
            await eventually(lambda: eyes.value(f"select ({OLD_LEFT}) = 0"))
            assert not stopping.done()
            gate.set()
            async with asyncio.timeout(60):
                await stopping
    await old.aclose()
    await new.aclose()


@pytest.mark.past_bug(62)
@pytest.mark.usefixtures("old_days")
async def test_a_stop_while_maintenance_waits_is_bounded_both_ways(
    app: App, dsn: str, eyes: Eyes
) -> None:
    """It does not wait for the lock that maintenance waits for, and leaves nothing running."""

    @app.task
    async def nothing() -> None: ...

    async with reading(dsn):
        async with working(app, retention=7 * 86400.0, deadline=20.0, timings=OFTEN) as worker:
            await eventually(lambda: eyes.value(WAITS), what="the duty waits")
            async with asyncio.timeout(60):
                await worker.stop()
            assert not [t for t in threading.enumerate() if t.name == "pgqueue-heartbeat"]
        for role in ("duties", "upkeep"):
            await eventually(lambda role=role: none(eyes, role), what="the server gave up as well")
    # The day that it began to detach is out of sight, and the next round finalizes it.
    assert await eyes.value(OLD_LEFT) == 29_000


@pytest.mark.past_bug(9)
async def test_ten_thousand_long_jobs_hide_neither_the_lost_nor_orphans(
    app: App, eyes: Eyes
) -> None:
    """Ten workers hold a thousand each and live; one is dead, and one is not on the list."""
    ran: list[tuple[int, int]] = []

    @app.task
    async def note(n: int) -> None:
        job = current_job()
        ran.append((n, job.attempt))

    await eyes.sql(OTHERS, 1, 10, 3600)
    await eyes.sql(OTHERS, 11, 11, -60)
    await app.aenqueue_many([note.job(n) for n in range(10_002)])
    await eyes.sql(
        "update pgqueue.job set worker_id = 1 + (args ->> 'n')::int / 1000, claim_token = 1,"
        " claimed_at = now() - interval '1 h', attempt = 1"
    )
    await eyes.sql("update pgqueue.job set worker_id = 999 where (args ->> 'n')::int = 10001")
    held = "select count(*) from pgqueue.job where worker_id between 1 and 10"
    async with working(app, timings=OFTEN):
        await eyes.sql("update pgqueue.duty set due_at = now() where name = 'orphans'")
        await eventually(nth(ran, 2))
        assert await eyes.value(held) == 10_000
    assert sorted(ran) == [(10_000, 2), (10_001, 1)]
    assert await eyes.value("select count(*) from pgqueue.worker") == 10
