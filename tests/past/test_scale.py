"""Family H, scale: long histories, idle fleets, statements a job."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import psutil
import pytest

from pgqueue import App
from pgqueue.db.store import Store
from pgqueue.worker.timings import DutyTimings, Timings
from tests.harness import counted
from tests.harness.waiting import eventually
from tests.worker.child import child
from tests.worker.support import Eyes, nth, working

pytestmark = pytest.mark.one_pg

FINISHED = 1_000_000

FILL = """
insert into pgqueue.history
    (id, finished_at, run_at, enqueued_at, attempt, max_attempts, priority, crash_count, state,
     queue, task, args)
select n, now() - interval '1 s', now(), now(), 1, 25, 5, 0, 'completed', 'default', 'note',
       '{"n": 1}'
from generate_series(1000000, 999999 + $1::int) as n
"""
OLD_DAYS = """
do $$
begin
    for day in 10 .. 39 loop
        execute format(
            'create table pgqueue.history_%s partition of pgqueue.history'
            ' for values from (%L) to (%L)',
            to_char(current_date - day, 'YYYYMMDD'),
            (current_date - day)::timestamptz, (current_date - day + 1)::timestamptz);
    end loop;
end $$;
insert into pgqueue.history
    (id, finished_at, run_at, enqueued_at, attempt, max_attempts, priority, crash_count, state,
     queue, task, args)
select n, (current_date - (10 + n % 30))::timestamptz + interval '1 h', now(), now(), 1, 25, 5, 0,
       'completed', 'default', 'note', '{}'
from generate_series(1, 30000) as n;
"""
OLD_LEFT = "select count(*) from pgqueue.history where finished_at < now() - interval '8 days'"


@pytest.mark.past_bug(111)
async def test_a_long_history(app: App, eyes: Eyes) -> None:
    """Start, claims and looks do not see it: a million rows for the 13 million.

    Nothing that a worker or a look does reads finished jobs but by their index, so the size does
    not enter.
    """
    await eyes.sql("set timezone = 'UTC'")
    await eyes.sql(FILL, FINISHED)
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    reads = (
        "select (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = 'pgqueue'"
        " and relname like 'history%') + (select sum(idx_tup_read) from pg_stat_user_indexes"
        " where schemaname = 'pgqueue' and relname like 'history%')"
    )
    before = await eyes.value(reads)
    async with working(app):
        await app.aenqueue_many([note.job(n) for n in range(500)])
        await eventually(lambda: len(ran) == 500)
        await app.astatus()
        await app.alist_jobs(limit=50)
        await app.aqueues()
    await eventually(lambda: eyes.value("select count(*) = 0 from pgqueue.job"))
    await eyes.sql("select pg_stat_clear_snapshot()")
    # A look counts up to 10,000 rows and then says "more".
    assert await eyes.value(reads) <= before + 2 * 10_001


SLOW_DROP = """
create function public.slowly() returns event_trigger language plpgsql as
    $$ begin perform pg_sleep(0.1); end $$;
create event trigger slowly on sql_drop execute function public.slowly();
"""


@pytest.mark.past_bug(111, 113)
async def test_retention_with_a_hostile_statement_timeout(app: App, dsn: str, eyes: Eyes) -> None:
    """The database ends statements after 50 ms; the duty has a deadline of its own and completes.

    It drops whole days, so that its work does not grow with the rows, and one a statement: together
    they would take longer here than the deadline.
    """
    often = Timings(duties=DutyTimings(check_every=0.2))
    await eyes.sql("set timezone = 'UTC'")
    await eyes.connection.execute(OLD_DAYS)
    assert await eyes.value(OLD_LEFT) == 30_000
    name = await eyes.value("select quote_ident(current_database())")
    await app.pool.acheck()  # with the patience of its role, which will be none
    await app.aclose()
    await eyes.connection.execute(f"alter database {name} set statement_timeout = '50ms'")
    slow = "create function public.slow() returns int language sql as 'select 1 from pg_sleep(0.2)'"
    await eyes.sql(slow)
    await eyes.connection.execute(SLOW_DROP)

    @app.task
    async def nothing() -> None: ...

    async with working(app, retention=7 * 86400.0, deadline=1.0, timings=often):
        await eventually(lambda: eyes.value(f"select ({OLD_LEFT}) = 0"), what="old days are gone")
    other = await asyncpg.connect(dsn)
    with pytest.raises(asyncpg.QueryCanceledError):
        await other.fetch("select public.slow()")
    await other.close()


@pytest.mark.past_bug(113)
async def test_retention_is_put_off_by_a_reader_and_done_after_it(
    app: App, dsn: str, eyes: Eyes
) -> None:
    """It waits two seconds for its lock at most, holds up no completion, and is done next time."""
    often = Timings(duties=DutyTimings(check_every=0.2, retention_every=0.2))
    await eyes.sql("set timezone = 'UTC'")
    await eyes.connection.execute(OLD_DAYS)

    @app.task
    async def nothing() -> None: ...

    reader = await asyncpg.connect(dsn)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("select from pgqueue.history limit 1")
    async with working(app, retention=7 * 86400.0, timings=often) as worker:
        waiting = (
            "select count(*) from pg_stat_activity where application_name = 'pgqueue upkeep'"
            " and datname = current_database() and wait_event_type = 'Lock'"
        )
        await eventually(lambda: eyes.value(waiting))
        await app.aenqueue_many([nothing.job() for _ in range(20)])
        await eventually(lambda: worker.statistics().completed == 20)
        await transaction.rollback()
        await eventually(lambda: eyes.value(f"select ({OLD_LEFT}) = 0"))
    await reader.close()


@pytest.mark.past_bug(117)
async def test_statements_a_job_are_bounded_both_ways(app: App, eyes: Eyes) -> None:
    """A full batch is followed by the next at once, not by a poll; an idle worker only polls."""

    @app.task
    async def nothing() -> None: ...

    await app.aenqueue_many([nothing.job() for _ in range(20_000)])
    async with working(app, poll_interval=600.0, concurrency=50) as worker:
        await eyes.settled(completed=20_000)
        busy = worker.statistics()
        assert busy.claims < 20_000 / 20, "jobs are claimed one by one"
        assert busy.flushes < 20_000 / 5, "outcomes are written one by one"
    async with working(app, poll_interval=0.2) as worker:
        # After its flag is up it looks nine times in half a second, then polls alone.
        looks = worker.machines.claimer.states["default"]
        await eventually(lambda: looks.flag and not looks.looks)
        before, polls = worker.statistics().claims, worker.machines.claimer.plan.polls
        await eventually(lambda: worker.machines.claimer.plan.polls >= polls + 10)
        claims = worker.statistics().claims - before
        assert claims <= 2 * (worker.machines.claimer.plan.polls - polls), (
            "an idle worker claims too often"
        )


@pytest.mark.past_bug(118)
async def test_fifty_idle_queues_cost_one_claim_a_poll(app: App, eyes: Eyes) -> None:
    for n in range(50):

        @app.task(name=f"t{n}", queue=f"q{n}")
        async def nothing() -> None: ...

    async with working(app, poll_interval=0.2) as worker:
        states = worker.machines.claimer.states.values()
        await eventually(lambda: all(state.flag and not state.looks for state in states))
        before, polls = worker.statistics().claims, worker.machines.claimer.plan.polls
        await eventually(lambda: worker.machines.claimer.plan.polls >= polls + 10)
        assert worker.statistics().claims - before <= 2 * (
            worker.machines.claimer.plan.polls - polls
        )


@pytest.mark.past_bug(118)
async def test_what_an_idle_worker_asks_does_not_grow_with_its_queues(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its roles: two statements a poll, and one a heartbeat."""
    asked = counted.by_role(monkeypatch)
    for n in range(50):

        @app.task(name=f"t{n}", queue=f"q{n}")
        async def nothing() -> None: ...

    async with working(app, poll_interval=0.2) as worker:
        claimer, thread = worker.machines.claimer, worker.machines.heartbeat_thread
        states = claimer.states.values()
        await eventually(lambda: all(state.flag and not state.looks for state in states))

        async def polled(times: int) -> None:
            polls = claimer.plan.polls
            await eventually(lambda: claimer.plan.polls >= polls + times)

        async def quiet() -> bool:
            """The duties are done, and nobody searches for jobs that were passed any more."""
            before = asked["duties"]
            await polled(10)
            return asked["duties"] == before

        await eventually(quiet)
        before, polls, heartbeats = asked.copy(), claimer.plan.polls, thread.heartbeats
        await polled(20)
        more = asked - before
        assert more["claim"] <= 2 * (claimer.plan.polls - polls) + 1
        assert more["heartbeat"] <= thread.heartbeats - heartbeats + 1
        assert more["finish"] == 0
        assert more["duties"] <= 2


@pytest.mark.past_bug(118)
async def test_an_idle_worker_uses_no_memory_and_little_time(dsn: str, eyes: Eyes) -> None:
    """For the 24 hours: as many polls as in 20 minutes, in seven seconds; and the shipped settings.

    What is measured of the second is its processor time, whatever else the machine does meanwhile.
    """
    beat = (
        "select extract(epoch from heartbeat_at - started_at)::float8 from pgqueue.worker"
        " where pid = $1"
    )

    async def alive(pid: int, seconds: float) -> bool:
        return (await eyes.value(beat, pid) or 0.0) > seconds

    queues = [f"q{n}" for n in range(50)]
    with (
        child(dsn, poll_interval=0.03, heartbeat=0.05, queues=queues) as hasty,
        child(dsn, poll_interval=5.0, heartbeat=2.0, lease=15.0, queues=queues) as usual,
    ):
        one, two = psutil.Process(hasty.pid), psutil.Process(usual.pid)
        await eventually(lambda: alive(one.pid, 3.0))
        await eventually(lambda: alive(two.pid, 1.5))
        early = one.memory_info().rss
        before, began = sum(two.cpu_times()[:2]), time.monotonic()
        await eventually(lambda: alive(one.pid, 10.0))
        grown = one.memory_info().rss - early
        share = (sum(two.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert grown < 1_000_000, f"{grown} bytes in 200 polls"
    assert share < 0.2, f"{share:.1%} of a processor while idle: it spins"


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a worker searched for passed jobs."""
    moments: list[float] = []
    search = Store.find_stragglers

    async def counted(self: Store, *args: Any) -> Any:
        moments.append(time.monotonic())
        return await search(self, *args)

    monkeypatch.setattr(Store, "find_stragglers", counted)
    return moments


@pytest.mark.law(6)
@pytest.mark.usefixtures("dsn")
async def test_behind_a_pooler_the_search_for_passed_jobs_goes_on(
    app: App, searches: list[float]
) -> None:
    """It may hide that the server is another one, whose positions begin below the cursors."""

    @app.task
    async def nothing() -> None: ...

    async with working(app, listen=False, poll_interval=0.1):
        await eventually(nth(searches, 11))


@pytest.mark.past_bug(118)
async def test_nobody_searches_for_passed_jobs_where_none_can_be(
    app: App, eyes: Eyes, dsn: str, searches: list[float]
) -> None:
    """Until the floor has reached the cursors a worker searches, then not; but on a new server."""

    @app.task
    async def nothing() -> None: ...

    async with working(app, poll_interval=0.1) as worker:

        async def polled(times: int) -> int:
            """Let so many polls go by; return how often was searched meanwhile."""
            claims, before = worker.statistics().claims, len(searches)
            await eventually(lambda: worker.statistics().claims >= claims + times)
            return len(searches) - before

        async def at_rest() -> bool:
            return await polled(20) == 0  # a few of them follow each other at once

        await nothing.aenqueue()
        await eyes.settled(completed=1)
        await eventually(nth(searches, 1))
        await eventually(at_rest)
        # A transaction that may yet bring a lower position holds the floor: it is searched for.
        other = await asyncpg.connect(dsn)
        async with other.transaction():
            await other.execute("select pg_current_xact_id()")
            await nothing.aenqueue()
            await eyes.settled(completed=2)
            await eventually(nth(searches, len(searches) + 6))
        await other.close()
        await eventually(at_rest)
        before = len(searches)
        await eyes.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'pgqueue duties'"
        )
        await eventually(nth(searches, before + 1))
