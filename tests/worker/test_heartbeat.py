"""How often a worker sends its heartbeat, and on how many connections it waits for work."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgqueue import App
from pgqueue.worker.timings import DutyTimings, Timings, WatchTimings
from tests.harness import counted
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

pytestmark = pytest.mark.one_turn

CROWD = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues)"
    " select n, now() + interval '1 h', now(), pg_postmaster_start_time(), 1, 100, 15,"
    " 'elsewhere', '0', '{default}' from generate_series(1, 2000) as n"
)
KILLED = (
    "update pgqueue.worker set heartbeat_at = now() - interval '10 s' where id between 1 and 1000"
)


async def test_in_a_large_fleet_heartbeats_come_less_often(app: App, eyes: Eyes) -> None:
    """Of two thousand workers each sends four a lease, whatever it was set to."""

    @app.task
    async def nothing() -> None: ...

    await eyes.sql(CROWD)
    async with working(app, lease=6.0, heartbeat=0.3) as worker:
        thread = worker.machines.heartbeat_thread
        await eventually(lambda: thread.heartbeat.census.workers == 2001)
        assert thread.heartbeat.every() == 1.5
        start = await eyes.value("select clock_timestamp()")
        heartbeats = thread.heartbeats
        await eventually(lambda: thread.heartbeats >= heartbeats + 3)
        beat = "select extract(epoch from heartbeat_at - $1)::float8 from pgqueue.worker"
        # The first may have been about to be sent; each is sent up to a tenth early.
        assert await eyes.value(f"{beat} where host <> 'elsewhere'", start) >= 2 * 1.5 * 0.9


async def test_what_is_left_of_a_large_fleet_knows_that_it_is_small(app: App, eyes: Eyes) -> None:
    """Though it hardly ever looks for lost workers while it believes in many."""

    @app.task
    async def nothing() -> None: ...

    await eyes.sql(CROWD)
    async with working(app, lease=6.0, heartbeat=0.3) as worker:
        thread = worker.machines.heartbeat_thread
        await eventually(lambda: thread.heartbeat.census.workers == 2001)
        thread.heartbeat.census.lookers = 0
        await eyes.sql(KILLED)
        await eyes.sql("delete from pgqueue.worker where id between 1001 and 2000")
        await eventually(
            lambda: thread.heartbeat.census.workers == 1, what="only the living are counted"
        )
        assert thread.heartbeat.every() == 0.3


async def roles(eyes: Eyes) -> list[str]:
    return sorted(name.removeprefix("pgqueue ") for name, _ in await eyes.sessions())


async def holds(eyes: Eyes, *names: str) -> None:
    async def so() -> bool:
        return await roles(eyes) == sorted(names)

    try:
        await eventually(so)
    except AssertionError:
        raise AssertionError(f"wanted {sorted(names)}, got {await roles(eyes)}") from None


# What is closed after a minute without use is closed after half a second.
RESTLESS = Timings(
    watch=WatchTimings(rest_every=0.5, outcomes_rest_after=0.5, duties_rest_after=0.5)
)


async def test_an_idle_worker_holds_two_connections(app: App, eyes: Eyes) -> None:
    """It has what a job needs while there are jobs, and again after a rest."""
    gate = asyncio.Event()
    began: list[int] = []

    @app.task
    async def note(n: int) -> None:
        await note.aenqueue(n - 1) if n else None
        began.append(n)
        await gate.wait()

    async with working(app, poll_interval=600.0, timings=RESTLESS):
        await holds(eyes, "claim", "heartbeat")
        for n in range(1, 3):
            gate.clear()
            await note.aenqueue(1)
            await eventually(nth(began, 2 * n))
            await eventually(lambda: eyes.sessions("pgqueue duties"), what="it is busy")
            gate.set()
            await eyes.settled(completed=2 * n)
            await holds(eyes, "claim", "heartbeat")
    await holds(eyes)


async def test_the_looks_of_an_idle_worker_need_no_connection_of_their_own(
    app: App, eyes: Eyes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes longer than a moment does, and no heartbeat waits for it."""
    asked = counted.by_role(monkeypatch)
    often = Timings(duties=DutyTimings(check_every=0.1))

    @app.task
    async def nothing() -> None: ...

    await eyes.sql("update pgqueue.duty set due_at = 'infinity'")
    async with working(app, heartbeat=2.0, timings=often) as worker:
        heartbeats = worker.machines.heartbeat_thread.heartbeats
        await eventually(
            lambda: (
                asked["heartbeat"] > worker.machines.heartbeat_thread.heartbeats - heartbeats + 20
            )
        )
        assert asked["duties"] == 0
        assert await roles(eyes) == ["claim", "heartbeat"]
        other = await asyncpg.connect(dsn)
        async with other.transaction():
            await other.execute("lock table pgqueue.duty in access exclusive mode")
            waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            await eventually(lambda: eyes.value(f"{waits} and application_name = 'pgqueue duties'"))
            heartbeats = worker.machines.heartbeat_thread.heartbeats
            worker.machines.heartbeat_thread.hurry()
            await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats)
        await other.close()


async def test_a_pool_closes_what_nobody_was_lent_since_the_last_time(app: App, eyes: Eyes) -> None:
    pool = app.pool
    async with pool.connection(), pool.connection():
        pool.rest()
        await holds(eyes, "client", "client")
    pool.rest()  # both were lent since
    async with pool.connection():
        pass
    await holds(eyes, "client", "client")
    pool.rest()
    await holds(eyes, "client")
    pool.rest()
    await holds(eyes)
    async with pool.connection() as connection:
        assert await connection.fetchval("select 1") == 1


BEFORE = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues, kind, takes_jobs)"
    " select n, now() + interval '1 h', now(), pg_postmaster_start_time(), 1, 100, 15,"
    " 'elsewhere', '0', '{default}', $1, true from generate_series(1, 3) as n"
)


async def test_who_was_at_rest_until_just_now_was_not_held_up(app: App, eyes: Eyes) -> None:
    """It is late by what it has to do now, and not by what it had; it judges others as before."""
    gate = asyncio.Event()
    began: list[int] = []

    @app.task
    async def wait() -> None:
        began.append(1)
        await gate.wait()

    async with working(app, listen=False, heartbeat=1.0, lease=60.0) as worker:
        thread = worker.machines.heartbeat_thread
        await eyes.sql(BEFORE, thread.heartbeat.registration.kind)
        await eventually(lambda: thread.heartbeat.every() == 4.0, what="three come before it")
        heartbeats, since = thread.heartbeats, thread.lease.renewing_since
        await eventually(lambda: thread.heartbeats > heartbeats)
        await wait.aenqueue()
        await eventually(nth(began, 1))
        assert thread.heartbeat.every() == 1.0, "it has something to run"
        heartbeats = thread.heartbeats
        await eventually(lambda: thread.heartbeats > heartbeats)
        assert thread.lease.renewing_since == since
        gate.set()
        await eyes.settled(completed=1)


@pytest.mark.parametrize("listen", [True, False])
async def test_what_the_watch_leaves_undone_a_worker_at_rest_does(
    app: App, eyes: Eyes, listen: bool
) -> None:
    """The three on watch are frozen: nobody else makes ready what is due."""

    @app.task
    async def nothing() -> None: ...

    async with working(app, listen=listen, lease=6.0, heartbeat=0.3) as worker:
        thread = worker.machines.heartbeat_thread
        await eyes.sql(BEFORE, thread.heartbeat.registration.kind)
        await eventually(lambda: thread.heartbeat.every() == 1.2, what="three come before it")
        await eventually(lambda: not worker.machines.session.store.turn.locked())
        async with eyes.connection.transaction():
            await eyes.sql("set local pgqueue.notify = off")
            await eyes.sql(
                """select pgqueue.enqueue('[{"task": "nothing", "delay": 1.5}]'::jsonb)"""
            )
        await eyes.settled(completed=1)
