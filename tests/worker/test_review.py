"""What a review found in the worker, each with the order of events that it took."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import asyncpg
import pytest

from pgqueue import App, Backoff, Task, Worker, current_job
from pgqueue.db.exchange import RESET
from pgqueue.db.faults import Contended
from pgqueue.db.link import Link, Watch
from pgqueue.db.listener import Listener
from pgqueue.db.session import KEEPALIVES
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.worker.fleet.rescue import rescue_children
from pgqueue.worker.timings import Timings, WriteTimings
from tests.harness.waiting import eventually
from tests.past.test_claim import lose
from tests.worker.support import (
    Eyes,
    Runs,
    at_rest,
    has_seen_enough,
    no_tasks_left,
    nth,
    quick,
    working,
)


async def test_a_lost_claim_is_looked_for_until_the_database_answers(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outage may well be longer than all looks together."""
    seen: list[int] = []
    looks: list[int] = []

    @app.task
    async def note(n: int) -> None:
        seen.append(n)

    claim, held = Store.claim, Store.held

    async def lost(self: Store, *args: Any, **options: Any) -> Any:
        rows, busy = await claim(self, *args, **options)
        if rows and not looks:
            raise OutcomeUnknown("the answer was lost")
        return rows, busy

    async def away(self: Store, *args: Any) -> Any:
        looks.append(1)
        if len(looks) < 5:
            raise Unreachable("the database is away")
        return await held(self, *args)

    monkeypatch.setattr(Store, "claim", lost)
    monkeypatch.setattr(Store, "held", away)
    async with working(app):
        await note.aenqueue(1)
        await eyes.settled(completed=1)
    assert seen == [1]


async def test_a_quarantined_job_that_cannot_be_marked_is_released(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would: this worker holds it, and renews its lease."""
    seen: list[int] = []
    tried: list[int] = []

    @app.task
    async def note(n: int) -> None:
        seen.append(n)

    quarantine = Store.quarantine

    async def fails_once(self: Store, *args: Any) -> bool:
        tried.append(1)
        if len(tried) == 1:
            raise OutcomeUnknown("the connection was lost")
        return await quarantine(self, *args)

    monkeypatch.setattr(Store, "quarantine", fails_once)
    job_id = (await note.aenqueue(1)).id
    await eyes.sql("update pgqueue.job set crash_count = 2, attempt = 2")
    async with working(app):
        row = await eyes.reaches(job_id, "completed")
    assert seen == [1]
    assert row["attempt"] == 3


async def test_a_claim_that_failed_is_repeated_before_the_next_poll(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def note(n: int) -> None: ...

    claim = Store.claim
    failed: list[int] = []

    async def fails_once(self: Store, *args: Any, **options: Any) -> Any:
        if armed and not failed:
            failed.append(1)
            raise Contended("it took too long")
        return await claim(self, *args, **options)

    armed = False
    monkeypatch.setattr(Store, "claim", fails_once)
    async with working(app, poll_interval=600.0) as worker:
        await note.aenqueue(1)
        await eyes.settled(completed=1)
        await at_rest(worker)  # it looks often for a second; then only when told
        armed = True
        await note.aenqueue(2)
        await eyes.settled(completed=2)
    assert failed


async def test_one_row_that_cannot_be_read_does_not_stop_the_others(app: App, eyes: Eyes) -> None:
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            pass

    ids = [e.id for e in await app.aenqueue_many([note.job(n) for n in range(6)])]
    await eyes.sql("update pgqueue.job set run_at = '20000-01-01' where id = $1", ids[2])
    async with working(app):
        await eyes.settled(completed=5, dead=1, timeout_s=30)
    assert sorted(runs.seen) == [0, 1, 3, 4, 5]
    (row,) = await eyes.sql("select id, attempt, reason from pgqueue.dead")
    assert (row["id"], row["attempt"]) == (ids[2], 1)
    assert row["reason"].startswith("its row cannot be read: OverflowError: ")
    shown = await app.aget_job(ids[2])
    assert shown is not None
    assert shown.state == "dead"


async def test_one_row_that_the_server_cannot_move_does_not_stop_the_others(
    app: App, eyes: Eyes
) -> None:
    """A damaged row; here a trigger says what a damaged page makes PostgreSQL say."""
    soon = Timings(writes=WriteTimings(refused=0.3))

    @app.task
    async def note(n: int) -> None: ...

    ids = [e.id for e in await app.aenqueue_many([note.job(n) for n in range(6)])]
    await eyes.sql(
        "create function damaged() returns trigger language plpgsql as"
        " $$ begin raise 'missing chunk number 0' using errcode = 'XX001'; end $$"
    )
    await eyes.sql(
        f"create trigger damaged before delete on pgqueue.job for each row when (old.id = {ids[2]})"
        " execute function damaged()"
    )
    async with working(app, timings=soon):
        await eyes.settled(completed=5, running=1)
        await eyes.sql("drop trigger damaged on pgqueue.job")


async def test_a_session_that_the_server_ended_costs_no_attempt(app: App, eyes: Eyes) -> None:
    @app.task
    def settle() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.execute("select 1")

    async with working(app):
        await settle.aenqueue()
        await eyes.settled(completed=1)
        assert await eyes.terminate("task") == 1
        await eventually(lambda: _none(eyes))
        job_id = (await settle.aenqueue()).id
        row = await eyes.reaches(job_id, "completed")
    assert row["attempt"] == 1
    assert row["errors"] is None


async def test_the_server_lets_go_of_transactions_of_a_host_that_vanished(
    app: App, eyes: Eyes
) -> None:
    """Else its keepalives take two hours, and the job's row is locked for as long."""
    show = "select name from pg_settings where name like 'tcp\\_%' and source = 'client'"
    seen: list[set[str]] = []

    @app.task
    def blocking() -> None:
        job = current_job()
        with job.transaction() as tx:
            seen.append({row[0] for row in tx.execute(show).fetchall()})

    @app.task
    async def asynchronous() -> None:
        job = current_job()
        async with job.transaction() as tx:
            seen.append({row[0] for row in await tx.fetch(show)})

    async with working(app):
        await blocking.aenqueue()
        await asynchronous.aenqueue()
        await eyes.settled(completed=2)
    assert seen == [set(KEEPALIVES), set(KEEPALIVES)]


async def _none(eyes: Eyes) -> bool:
    return not await eyes.sessions("pgqueue task")


# -- quarantined jobs, which run one at a time in a process


async def quarantined(app: App, eyes: Eyes, task: Task[..., Any], *args: Any) -> int:
    """Return the id of a ready job that has crashed two workers."""
    job_id = (await task.using(delay=3600).aenqueue(*args)).id
    await eyes.sql("update pgqueue.job set crash_count = 2 where id = $1", job_id)
    await app.aretry(job_id)
    return job_id


@pytest.mark.one_turn
async def test_quarantined_jobs_that_wait_for_each_other_keep_no_healthy_job_waiting(
    dsn: str, eyes: Eyes
) -> None:
    """Nor are they kept from the other workers, of which each may run one."""
    one, two = App(dsn), App(dsn)
    gate = asyncio.Event()
    ran: list[str] = []

    def tasks(app: App, name: str) -> tuple[Task[..., Any], Task[..., Any]]:
        @app.task
        async def long() -> None:
            ran.append(f"long in {name}")
            await gate.wait()

        @app.task
        async def quick() -> None:
            ran.append("quick")

        return long, quick

    long, healthy = tasks(one, "one")
    tasks(two, "two")
    ids = [await quarantined(one, eyes, long) for _ in range(40)]
    async with working(one, concurrency=4):
        await eventually(nth(ran, 1))
        await one.aenqueue_many([healthy.job() for _ in range(20)])
        await eventually(lambda: ran.count("quick") == 20)
        assert ran.count("long in one") == 1
        async with working(two, concurrency=4):
            await eventually(lambda: "long in two" in ran)
            assert ran.count("long in one") == ran.count("long in two") == 1
            gate.set()
            await eyes.settled(completed=60, timeout_s=60)
    for job_id in ids:
        assert (await eyes.job(job_id))["attempt"] == 1
    await one.aclose()
    await two.aclose()


async def test_a_quarantined_job_whose_worker_lost_its_lease_while_it_was_marked_does_not_begin(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Store.quarantine
    ran: list[int] = []
    marked: list[int] = []

    async def slow(self: Store, *args: Any) -> bool:
        answer = await original(self, *args)
        marked.append(len(ran))
        if len(marked) == 1:
            worker.machines.heartbeat_thread.lease.cut(0.0)  # until the next heartbeat
        return answer

    monkeypatch.setattr(Store, "quarantine", slow)

    @app.task
    async def note() -> None:
        ran.append(len(marked))

    await quarantined(app, eyes, note)
    async with working(app) as worker:
        await eyes.settled(completed=1)
    assert ran == [2]


async def test_a_worker_says_that_it_is_registered_before_it_claims(app: App, eyes: Eyes) -> None:
    """Its supervisor knows then where to release what it claims."""

    @app.task
    async def note() -> None: ...

    told: list[tuple[str, bool]] = []

    def on_phase(phase: str) -> None:
        told.append((phase, worker.machines.claimer.task is not None))
        if phase == "started":
            worker.request_stop()

    worker = Worker(app, **quick())
    await worker.run(on_phase=on_phase)
    assert told == [("registered", False), ("started", True)]


async def test_a_job_that_was_passed_on_does_not_count_towards_the_most(
    app: App, eyes: Eyes
) -> None:
    gate = asyncio.Event()
    ran: list[str] = []

    @app.task
    async def long() -> None:
        ran.append("long")
        await gate.wait()

    @app.task
    async def quick_one() -> None:
        ran.append("quick")

    for _ in range(2):
        await quarantined(app, eyes, long)
    worker = Worker(app, **quick(max_jobs=2, concurrency=2))
    run = asyncio.create_task(worker.run())
    await eventually(nth(ran, 1))
    await eventually(lambda: worker.machines.runner.passed_on == 1)
    gate.set()
    await quick_one.aenqueue()
    await asyncio.wait_for(run, 60)
    assert ran == ["long", "quick"]


# -- who was held up


@pytest.mark.one_turn
async def test_who_was_held_up_takes_nobody_for_dead_at_once(app: App, eyes: Eyes) -> None:
    """Nothing failed, and its last heartbeat is long ago: so may be those of all the others.

    Whether the clock of this machine ran meanwhile or not.
    """

    @app.task
    async def note() -> None: ...

    job_id = (await note.using(queue="elsewhere").aenqueue()).id
    other = await lose(eyes, job_id)
    alive = "update pgqueue.worker set heartbeat_at = now() where id = $1"
    await eyes.sql("update pgqueue.worker set lease_seconds = 5")
    await eyes.sql(alive, other)
    async with working(app) as worker:
        thread = worker.machines.heartbeat_thread
        has_seen_enough(worker)
        heartbeats = thread.heartbeats
        await eventually(lambda: thread.heartbeats > heartbeats + 1)  # and says so from here on
        await eyes.sql("update pgqueue.worker set heartbeat_at = now() - interval '20 s'")
        heartbeats = thread.heartbeats
        await eventually(lambda: thread.heartbeats > heartbeats + 1)
        assert await eyes.worker_ids() == {thread.worker_id, other}
        # The other goes on as well, a little later.
        await eyes.sql(alive, other)
        heartbeats = thread.heartbeats
        await eventually(lambda: thread.heartbeats > heartbeats + 2)
        assert await eyes.worker_ids() == {thread.worker_id, other}
        row = await eyes.live(job_id)
        assert (row["worker_id"], row["crash_count"]) == (other, 0)
        # One that really is dead is found once it has been watched for its lease.
        await eyes.sql("update pgqueue.worker set lease_seconds = 1 where id = $1", other)
        await eventually(lambda: eyes.value("select count(*) = 1 from pgqueue.worker"))


# -- the heartbeat thread


async def test_a_worker_whose_heartbeat_failed_ends_by_itself_and_keeps_no_job(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for its wish to stop; and in its grace others would run its jobs as well."""
    began: list[int] = []

    async def fails(self: Store, *args: Any) -> Any:
        raise RuntimeError("nobody expects this")

    @app.task
    async def forever() -> None:
        began.append(1)
        await asyncio.sleep(3600)

    job_id = (await forever.aenqueue()).id
    worker = Worker(app, **quick(grace=600.0))
    await worker.start()
    await eventually(nth(began, 1))
    monkeypatch.setattr(Store, "renew", fails)
    await eventually(lambda: not worker.is_running)
    row = await eyes.job(job_id)
    assert (row["state"], row["attempt"], row["crash_count"]) == ("pending", 0, 0)
    await worker.stop()
    await no_tasks_left()


async def test_without_descriptors_there_is_no_connection_rather_than_one_unwatched(
    dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(descriptor: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    watch = Watch()
    link = Link(dsn, role="heartbeat", watch=watch, deadline=3.0, pooled=False)
    with monkeypatch.context() as patched:
        patched.setattr("pgqueue.db.link.os.dup", none_left)
        with pytest.raises(Unreachable, match="no file descriptors left"):
            await link.fetch("select 1")
        assert not link.connected
    assert await link.fetch("select 1")
    await link.close()


# -- rescues


async def test_one_job_that_cannot_be_buried_keeps_no_other_of_a_lost_worker(
    app: App, eyes: Eyes
) -> None:
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    ids = [(await note.aenqueue(n)).id for n in range(3)]
    lost = await lose(eyes, ids[0])
    await eyes.sql(
        "update pgqueue.job set worker_id = $1, claim_token = 1, claimed_at = now(), attempt = 1",
        lost,
    )
    await eyes.sql(
        "update pgqueue.job set crash_count = 2, quarantined = true where id = $1", ids[0]
    )
    await eyes.sql("alter table pgqueue.dead add constraint no check (false) not valid")
    async with working(app):
        await eyes.settled(completed=2, scheduled=1)
    assert sorted(ran) == [1, 2]
    # It might kill a worker again, so it waits for somebody to see to it.
    row = await eyes.job(ids[0])
    assert (row["crash_count"], row["worker_id"]) == (3, None)


async def test_a_dead_child_whose_last_heartbeat_is_still_being_written_is_looked_for_again(
    app: App, dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another worker releases its jobs, and blames those that had not begun."""

    @app.task
    async def note(n: int) -> None: ...

    ids = [(await note.aenqueue(n)).id for n in range(2)]
    lost = await lose(eyes, ids[0])
    await eyes.sql("update pgqueue.worker set supervisor = 5, pid = 77")
    await eyes.sql("update pgqueue.job set worker_id = $1, claim_token = 1, attempt = 1", lost)
    looked = asyncio.Event()
    children = Store.lock_children

    async def noted(self: Store, *args: Any) -> Any:
        rows = await children(self, *args)
        looked.set()
        return rows

    monkeypatch.setattr(Store, "lock_children", noted)
    link = Link(dsn, role="rescue", watch=Watch(), deadline=3.0, pooled=False)
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("update pgqueue.worker set running = 1")
    rescue = asyncio.ensure_future(
        rescue_children(Store(link, "pgqueue"), 5, 77, crash_cap=3, begun=[(ids[0], 1)])
    )
    await asyncio.wait_for(looked.wait(), 60)
    await transaction.rollback()
    await rescue
    await link.close()
    await other.close()
    crashes = await eyes.sql("select id, crash_count, worker_id from pgqueue.job order by id")
    assert [tuple(row) for row in crashes] == [(ids[0], 1, None), (ids[1], 0, None)]
    assert await eyes.worker_ids() == set()


# -- claims that have much to walk over


@pytest.mark.one_turn
@pytest.mark.parametrize("ours", [True, False], ids=["a-job-behind", "nothing-behind"])
async def test_a_claim_that_runs_out_of_time_is_given_more(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """The jobs of others' tasks before it take longer than a statement may, until it is past them.

    Where nothing lies behind as well: it must not walk over them for ever.
    """
    ran: list[int] = []
    late: list[int] = []
    fill = "select 'of others', nextval('pgqueue.position_seq') from generate_series(1, 1000)"
    await eyes.sql(f"insert into pgqueue.job (task, position) {fill}")
    last = await eyes.value("select max(position) from pgqueue.job")
    claim = Store.claim

    async def too_long(self: Store, *args: Any, long: bool = False, **options: Any) -> Any:
        """The real claim; where it has much to walk over, as slow as that would be."""
        if args[2][5] < last:  # the cursor of their priority
            if not long:
                late.append(1)
                raise Contended("canceling statement due to statement timeout (57014)")
            await asyncio.sleep(1.6)
        return await claim(self, *args, long=long, **options)

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    monkeypatch.setattr(Store, "claim", too_long)
    if ours:
        await note.aenqueue(1)
    async with working(app, deadline=3.0) as worker:
        claimer = worker.machines.claimer
        await eventually(lambda: claimer.cursors()[5] >= last, timeout_s=60)
        await note.aenqueue(2)
        await eventually(lambda: 2 in ran)
        assert ran == ([1, 2] if ours else [2])
        assert len(late) <= 2


# -- connections lent while all is closed


async def test_a_connection_that_was_lent_while_the_pool_was_closed_is_not_kept(
    dsn: str, eyes: Eyes
) -> None:
    async with App(dsn) as app, app.pool.connection() as connection:
        await connection.fetchval("select 1")
        await app.pool.aclose()

    async def none() -> bool:
        return not await eyes.sessions()

    await eventually(none)


async def test_a_cancel_while_a_session_is_cleaned_gives_its_place_back(
    dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(dsn, max_transactions=1)
    done: list[int] = []
    cancelled: list[int] = []
    execute = asyncpg.Connection.execute

    async def interrupted(connection: Any, query: str, *args: Any, **how: Any) -> str:
        """Stand in for what cleans a session after a rollback."""
        if query == RESET and not cancelled:
            cancelled.append(1)
            raise asyncio.CancelledError
        return await execute(connection, query, *args, **how)

    monkeypatch.setattr(asyncpg.Connection, "execute", interrupted)

    @app.task(retry=Backoff(base=0.0))
    async def work(n: int) -> None:
        job = current_job()
        async with job.transaction():
            if not cancelled:
                raise ValueError("rolled back")
            done.append(n)

    async with working(app, concurrency=1):
        await work.aenqueue(0)
        await eventually(nth(cancelled, 1))
        await work.aenqueue(1)
        await eyes.settled(completed=2)
    assert sorted(done) == [0, 1]
    await app.aclose()


@pytest.mark.parametrize("listens", [True, False])
async def test_who_listens_is_told_of_a_loss_under_anybodys_statement(
    dsn: str, eyes: Eyes, listens: bool
) -> None:
    told: list[int] = []

    def ignore(*_: str) -> None: ...

    link = Link(
        dsn, role="claim", watch=Watch(), deadline=10.0, pooled=False,
        on_lost=lambda: told.append(1),
        listener=Listener("select 'x'", ignore) if listens else None,
    )  # fmt: skip
    await link.fetch("select 1")
    slow = asyncio.ensure_future(link.fetch("select pg_sleep(9)"))
    sleeps = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    await eventually(lambda: eyes.value(sleeps))
    await eyes.terminate("claim")
    with pytest.raises(OutcomeUnknown):
        await slow
    assert told == ([1] if listens else [])
    await link.close()
