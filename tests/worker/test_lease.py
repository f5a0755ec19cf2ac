"""Who counts as alive: killed, stopped, blocked, deleted and slow workers."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pgqueue import App, Task, Worker, current_job
from pgqueue.db.store import Store
from pgqueue.errors import Unreachable
from pgqueue.worker.fleet.rescuer import Rescuer
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.timings import RescueTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, at_rest, nth, quick, working

pytestmark = pytest.mark.one_turn


@pytest.fixture(autouse=True)
async def effects(eyes: Eyes) -> None:
    await eyes.sql(EFFECT)


async def effects_of(eyes: Eyes, job_id: int) -> list[str]:
    rows = await eyes.sql("select what from effect where job = $1 order by at", job_id)
    return [row["what"] for row in rows]


async def began(eyes: Eyes, count: int, pid: int | None = None) -> None:
    await eventually(
        lambda: eyes.value(
            "select count(*) >= $1 from effect where what = 'began' and pid = coalesce($2, pid)",
            count, pid,
        ),
    )  # fmt: skip


async def watching(eyes: Eyes, worker: Worker, seconds: float) -> None:
    """Wait until this worker has renewed for so long that it may judge others."""
    since = worker.machines.heartbeat_thread.lease.renewing_since
    await eventually(lambda: time.monotonic() - since > seconds)


async def at_once(argument: object) -> None: ...


@pytest.mark.fault("F1")
async def test_killed_and_run_elsewhere_long_before_the_lease(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    usual = {"lease": 600.0, "heartbeat": 2.0, "poll_interval": 5.0}
    with child(dsn, **usual) as victim:
        await victim.ready(eyes)
        ids = [e.id for e in await app.aenqueue_many([app.tasks.get("nap").job(30)] * 5)]
        await began(eyes, 5, victim.pid)
        app.tasks.get("nap").call = at_once  # it only has to run
        async with working(app, **usual) as worker:
            await watching(eyes, worker, 3.5)
            victim.kill()
            await eyes.settled(completed=5)  # the lease is minutes
    for job_id in ids:
        row = await eyes.job(job_id)
        assert (row["crash_count"], row["attempt"]) == (1, 2)
        (error,) = await eyes.errors(job_id)
        assert error["type"] == "WorkerLost"
        assert "session is gone" in error["message"]
    await app.aclose()


@pytest.mark.past_bug(1)
async def test_killed_without_sessions_to_look_at(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    with child(dsn, listen=False) as victim:
        await victim.ready(eyes)
        job_id = (await app.tasks.get("nap").aenqueue(600.0)).id
        async with working(app, listen=False, queues=["none"]):
            await began(eyes, 1, victim.pid)
            victim.kill()
            other = app_of(dsn)
            other.tasks.get("nap").call = at_once
            async with working(other, listen=False):
                await eyes.settled(completed=1)
    row = await eyes.job(job_id)
    assert (row["crash_count"], row["attempt"]) == (1, 2)
    assert "no heartbeat" in (await eyes.errors(job_id))[0]["message"]
    await app.aclose()


@pytest.mark.fault("F35")
async def test_a_job_that_kills_its_worker_is_buried_and_neighbours_live(
    dsn: str, eyes: Eyes
) -> None:
    app = app_of(dsn)
    poison = (await app.tasks.get("die").aenqueue()).id
    innocent = [e.id for e in await app.aenqueue_many([app.tasks.get("nap").job(0.2)] * 4)]
    deaths = 0
    async with working(app_of(dsn), queues=["none"]):
        while (await eyes.job(poison))["state"] != "dead" and deaths < 6:
            with child(dsn) as victim:
                await eventually(lambda v=victim: not v.runs)
                deaths += 1
            before = (await eyes.job(poison))["crash_count"]
            await eventually(
                lambda: eyes.value(
                    "select count(*) = 0 from pgqueue.job where worker_id is not null"
                )
            )
            assert before <= deaths
    row = await eyes.job(poison)
    assert deaths == row["crash_count"] == 3
    assert "its worker died 3 times" in row["reason"]
    assert len(await eyes.errors(poison)) == 3
    async with working(app_of(dsn)):
        await eyes.settled(completed=4, dead=1)
    for job_id in innocent:
        assert (await eyes.job(job_id))["crash_count"] <= 2
    await app.aclose()


@pytest.mark.past_bug(16)
@pytest.mark.fault("F30")
@pytest.mark.parametrize("ends", [True, False], ids=["finishes-late", "still-runs"])
async def test_a_zombie_changes_nothing(dsn: str, eyes: Eyes, ends: bool) -> None:
    app = app_of(dsn)
    with child(dsn) as zombie:
        await zombie.ready(eyes)
        old = await eyes.worker_ids()
        job_id = (await app.tasks.get("nap").aenqueue(8.0 if ends else 600.0)).id
        await began(eyes, 1, zombie.pid)
        zombie.send(signal.SIGSTOP)
        runs: list[int] = []
        gate = asyncio.Event()

        async def elsewhere(seconds: float) -> None:
            job = current_job()
            runs.append(job.attempt)
            await gate.wait()

        app.tasks.get("nap").call = elsewhere
        async with working(app) as worker:
            await eventually(nth(runs, 1))
            mine = await eyes.live(job_id)
            zombie.send(signal.SIGCONT)
            # It finds that its lease is lost, and registers anew.
            await eventually(
                lambda: eyes.value(
                    "select count(*) from pgqueue.worker where pid = $1 and id <> all ($2)",
                    zombie.pid, list(old),
                )
            )  # fmt: skip
            if not ends:
                await eventually(
                    lambda: eyes.value("select count(*) from effect where what = 'cancelled'")
                )
            now = await eyes.live(job_id)
            assert (now["claim_token"], now["worker_id"]) == (
                mine["claim_token"],
                mine["worker_id"],
            )
            gate.set()
            row = await eyes.reaches(job_id, "completed")
            assert row["worker_id"] == worker.machines.heartbeat_thread.worker_id
            # The zombie works again.
            async with asyncio.timeout(60):
                await worker.stop()
            await app.tasks.get("nap").aenqueue(0.0)
            await eyes.settled(completed=2)
        assert runs == [2]
    await app.aclose()


@pytest.mark.fault("F29")
async def test_stopped_for_less_than_the_lease(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    settings = {"lease": 60.0, "heartbeat": 0.5}
    with child(dsn, **settings) as sleeper:
        await sleeper.ready(eyes)
        job_id = (await app.tasks.get("nap").aenqueue(4.0)).id
        await began(eyes, 1, sleeper.pid)
        async with working(app, **settings) as worker:
            sleeper.send(signal.SIGSTOP)
            heartbeats = worker.machines.heartbeat_thread.heartbeats
            await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 5)
            sleeper.send(signal.SIGCONT)
            row = await eyes.reaches(job_id, "completed")
        assert (row["attempt"], row["crash_count"]) == (1, 0)
        assert await effects_of(eyes, job_id) == ["began", "ended"]
    await app.aclose()


@pytest.mark.fault("F30")
async def test_a_zombie_does_not_begin_what_it_had_claimed(
    dsn: str, eyes: Eyes, tmp_path: Path
) -> None:
    app, path = app_of(dsn), tmp_path / "begun"
    holds = "select count(*) from pgqueue.job where worker_id = any ($1)"
    with child(dsn, concurrency=1) as zombie:
        await zombie.ready(eyes)
        old = list(await eyes.worker_ids())
        await app.aenqueue_many([app.tasks.get("write").job(str(path))] * 3000)

        async def stopped_with_some() -> bool:
            """It claims ahead once it knows how long they take."""
            zombie.send(signal.SIGSTOP)
            if await eyes.value(holds, old) > 1:
                return True
            zombie.send(signal.SIGCONT)
            return False

        await eventually(stopped_with_some)
        begun = path.read_text().split()
        app.tasks.get("write").call = at_once
        async with working(app):
            await eyes.settled(completed=3000)
        zombie.send(signal.SIGCONT)
        await eventually(
            lambda: eyes.value(
                "select count(*) from pgqueue.worker where pid = $1 and id <> all ($2)",
                zombie.pid, old,
            )
        )  # fmt: skip
        zombie.send(signal.SIGTERM)
        zombie.wait(60)
    assert path.read_text().split()[len(begun) + 1 :] == []  # one may have been on its way
    await app.aclose()


async def test_a_lease_that_is_lost_and_had_anew_behind_a_blocked_loop(
    app: App, dsn: str, eyes: Eyes
) -> None:
    """The new lease is not for what was claimed under the old one, of which the loop hears last.

    What had begun may run twice, and so may what had run and waited for its outcome to be written.
    """
    ran: list[int] = []
    begun: list[int] = []
    unwritten: list[int] = []

    async def evict() -> None:
        connection = await asyncpg.connect(dsn)
        rows = await connection.fetch("select id from pgqueue.job where worker_id is not null")
        unwritten.extend(row["id"] for row in rows)
        await connection.execute("delete from pgqueue.worker")
        await connection.close()

    @app.task
    async def note(n: int) -> None:
        ran.append(n)
        # It claims ahead once it knows how long they take; a slow machine, less.
        if not begun and worker.machines.runner.buffered > 2:
            begun.extend(ran)
            old = worker.machines.heartbeat_thread.worker_id
            thread = threading.Thread(target=lambda: asyncio.run(evict()))
            thread.start()
            while thread.is_alive() or worker.machines.heartbeat_thread.worker_id in (old, None):
                time.sleep(0.01)  # noqa: ASYNC251
        else:
            await asyncio.sleep(0.001)

    ids = [one.id for one in await app.aenqueue_many([note.job(n) for n in range(2000)])]
    async with working(app, concurrency=1) as worker:
        await eyes.settled(completed=2000)
    assert begun
    again = {ids[n] for n, times in Counter(ran).items() if times > 1}
    assert again <= {ids[n] for n in begun} & set(unwritten)


async def test_nothing_is_claimed_or_begins_while_the_lease_cannot_be_renewed(
    dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything of it counted against a job; and all goes on when it can be again."""
    one, two = App(dsn), App(dsn)
    ran: list[str] = []

    def note_of(app: App, name: str) -> Task[..., Any]:
        @app.task
        async def note() -> None:
            ran.append(name)

        return note

    note = note_of(one, "one")
    note_of(two, "two")
    renew, cut = Store.renew, asyncio.Event()

    async def fails(self: Store, worker: int, *args: Any) -> Any:
        if cut.is_set() and worker == worker_one.machines.heartbeat_thread.worker_id:
            raise Unreachable("the test says so")
        return await renew(self, worker, *args)

    monkeypatch.setattr(Store, "renew", fails)
    async with working(one, lease=3.0) as worker_one:
        await note.aenqueue()
        await eyes.settled(completed=1)
        cut.set()
        await eventually(
            lambda: time.monotonic() >= worker_one.machines.heartbeat_thread.lease.until
        )
        await at_rest(worker_one)
        claims = worker_one.machines.claimer.claims
        async with working(two, lease=3.0):
            await one.aenqueue_many([note.job() for _ in range(100)])
            await eyes.settled(completed=101)
        assert worker_one.machines.claimer.claims == claims
        cut.clear()
        await note.aenqueue()
        await eyes.settled(completed=102)
    assert ran == ["one", *["two"] * 100, "one"]
    assert not await eyes.value("select count(*) from pgqueue.jobs where crash_count > 0")
    await one.aclose()
    await two.aclose()


async def test_who_has_lost_its_session_and_cannot_have_it_back_begins_nothing_for_long(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the others it is dead, long before its lease is over."""

    @app.task
    async def note() -> None: ...

    async def fails(self: Store) -> Any:
        raise Unreachable("the test says so")

    async with working(app, lease=60.0) as worker:
        lease = worker.machines.heartbeat_thread.lease
        assert lease.until > time.monotonic() + 50.0
        with monkeypatch.context() as patch:
            patch.setattr(Store, "own_session", fails)
            await eyes.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'pgqueue heartbeat' and datname = current_database()"
            )
            await eventually(lambda: lease.until < time.monotonic() + 1.0)
        await eventually(lambda: lease.until > time.monotonic() + 50.0)


@pytest.mark.past_bug(10)
@pytest.mark.fault("F5")
@pytest.mark.parametrize("listen", [True, False])
async def test_a_blocked_loop_keeps_its_jobs(dsn: str, eyes: Eyes, listen: bool) -> None:
    """time.sleep in an async task for three leases, with another worker looking on."""
    app = app_of(dsn)
    with child(dsn, listen=listen) as blocked:
        await blocked.ready(eyes)
        job_id = (await app.tasks.get("block").aenqueue(4.5)).id
        await began(eyes, 1, blocked.pid)
        async with working(app, listen=listen):
            row = await eyes.reaches(job_id, "completed")
        assert (row["attempt"], row["crash_count"]) == (1, 0)
        assert await effects_of(eyes, job_id) == ["began", "ended"]
        await app.tasks.get("nap").aenqueue(1.0)
        await eyes.settled(completed=2)
        blocked.send(signal.SIGTERM)
        blocked.wait(60)
        text = blocked.log()
    assert "the event loop has been blocked for" in text
    assert "time.sleep(seconds)" in text
    assert "the event loop runs again" in text
    await app.aclose()


@pytest.mark.past_bug(10)
async def test_no_timeout_and_longer_than_a_lease(app: App, dsn: str, eyes: Eyes) -> None:
    runs: list[int] = []
    ended = asyncio.Event()

    @app.task
    async def long() -> None:
        job = current_job()
        runs.append(job.attempt)
        await ended.wait()

    second = App(dsn)
    second.task(long.function)
    job_id = (await long.aenqueue()).id
    async with working(app, lease=4.0, heartbeat=0.2) as worker:
        await eventually(nth(runs, 1))
        async with working(second, lease=4.0, heartbeat=0.2):
            heartbeats = worker.machines.heartbeat_thread.heartbeats
            await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 25)
            ended.set()
            row = await eyes.reaches(job_id, "completed")
    assert runs == [1]
    assert row["crash_count"] == 0


@pytest.mark.past_bug(11, 12)
async def test_heartbeats_come_in_time(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    await eyes.sql("create table public.beat (id bigint, at timestamptz default clock_timestamp())")
    await eyes.sql(
        "create function public.beat() returns trigger language plpgsql as"
        " $$ begin insert into public.beat (id) values (new.id); return new; end $$"
    )
    await eyes.sql(
        "create trigger beat before insert or update on pgqueue.worker"
        " for each row execute function public.beat()"
    )
    async with working(app, lease=60.0, heartbeat=0.3) as worker:
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > 8)
    gaps = [
        row[0]
        for row in await eyes.sql(
            "select extract(epoch from at - lag(at) over (order by at))::float8 from beat"
        )
        if row[0] is not None
    ]
    assert len(gaps) >= 8
    assert max(gaps) < 60.0 / 2, "they come by the heartbeat, not when the lease is half over"


@pytest.mark.past_bug(12)
async def test_the_first_renewal_and_the_last(app: App, eyes: Eyes) -> None:
    """The first comes with the registration; the row goes only when the last outcome is written."""
    seen: list[str] = []
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        seen.append("began")
        await gate.wait()

    await eyes.sql("create table public.said (n serial, what text, stopping boolean, held bigint)")
    await eyes.sql(
        "create function public.say() returns trigger language plpgsql as"
        " $$ begin"
        "   insert into public.said (what, stopping, held) select tg_op, old.stopping, count(*)"
        "   from pgqueue.job where worker_id is not null;"
        "   return null;"
        " end $$"
    )
    await eyes.sql(
        "create trigger say after update or delete on pgqueue.worker"
        " for each row execute function public.say()"
    )
    # Ten minutes between two renewals: there is one because the worker is new, or there is none.
    worker = Worker(app, **quick(lease=3_600.0, heartbeat=600.0, grace=20.0))
    await worker.start()
    await eventually(lambda: eyes.value("select count(*) from said"))
    await worker.stop()
    await eyes.sql("delete from said")
    worker = Worker(app, **quick(lease=15.0, heartbeat=0.1))
    await worker.start()
    await wait.aenqueue()
    await eventually(nth(seen, 1))
    stopping = asyncio.ensure_future(worker.stop())
    late = "select count(*) from said where what = 'UPDATE' and stopping and held = 1"
    await eventually(lambda: eyes.value(f"select ({late}) >= 3"))
    gate.set()
    await stopping
    *renewals, last = await eyes.sql("select what, held from said order by n")
    assert {row["what"] for row in renewals} == {"UPDATE"}
    assert tuple(last) == ("DELETE", 0)


@pytest.mark.past_bug(14)
async def test_renewed_while_it_stops(app: App, dsn: str, eyes: Eyes) -> None:
    runs: list[int] = []
    ended = asyncio.Event()

    @app.task
    async def long() -> None:
        job = current_job()
        runs.append(job.attempt)
        await ended.wait()

    second = App(dsn)
    second.task(long.function)
    job_id = (await long.aenqueue()).id
    worker = Worker(app, **quick(lease=4.0, heartbeat=0.2, grace=600.0))
    await worker.start()
    await eventually(nth(runs, 1))
    async with working(second, lease=4.0, heartbeat=0.2):
        stopping = asyncio.ensure_future(worker.stop())
        heartbeats = worker.machines.heartbeat_thread.heartbeats
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 25)
        ended.set()
        await stopping
        row = await eyes.reaches(job_id, "completed")
    assert runs == [1]
    assert (row["attempt"], row["crash_count"]) == (1, 0)


@pytest.mark.past_bug(17)
async def test_a_deleted_row(app: App, eyes: Eyes, caplog: Any) -> None:
    started: list[int] = []
    ended: list[str] = []

    @app.task
    async def wait() -> None:
        job = current_job()
        started.append(job.attempt)
        if len(started) > 1:
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    job_id = (await wait.aenqueue()).id
    async with working(app):
        await eventually(nth(started, 1))
        before = await eyes.worker_ids()
        await eyes.sql("delete from pgqueue.worker")
        await eyes.reaches(job_id, "completed")
        await eventually(nth(ended, 1))
        # Its claims may have taken the job once more before its heartbeat heard of the loss.
        after = await eventually(eyes.worker_ids)
        assert len(after) == 1
        assert before != after
    assert "lease was lost" in caplog.text


@pytest.mark.past_bug(17)
async def test_deleted_while_the_database_goes_away(app: App, eyes: Eyes, dsn: str) -> None:
    """The new registration fails at first."""

    @app.task
    async def note() -> None: ...

    async with working(app) as worker:
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > 1)
        await eyes.sql("alter table pgqueue.worker rename to elsewhere")
        await eyes.sql("delete from pgqueue.elsewhere")
        await eyes.sql("alter table pgqueue.elsewhere add constraint no check (false) not valid")
        await eyes.sql("alter table pgqueue.elsewhere rename to worker")
        await eventually(lambda: worker.machines.heartbeat_thread.worker_id is None)
        heartbeats = worker.machines.heartbeat_thread.heartbeats
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 2)
        await eyes.sql("alter table pgqueue.worker drop constraint no")
        await eventually(lambda: worker.machines.heartbeat_thread.worker_id is not None)
        await note.aenqueue()
        await eyes.settled(completed=1)


async def test_claimed_under_an_id_that_is_lost_by_the_time_of_the_answer(
    app: App, eyes: Eyes
) -> None:
    runs: list[int] = []

    @app.task
    async def note() -> None:
        job = current_job()
        runs.append(job.attempt)

    async with working(app, queues=["default"]) as worker:
        await at_rest(worker)  # a claim that is under way would be the real one
        real = worker.machines.claimer.looks.store.claim
        once: list[int] = []

        async def claim(*args: Any, **options: Any) -> Any:
            rows, busy = await real(*args, **options)
            if rows and not once:
                once.append(1)
                await eyes.sql("delete from pgqueue.worker")
                old = worker.machines.heartbeat_thread.worker_id
                worker.machines.heartbeat_thread.hurry()
                await eventually(
                    lambda: worker.machines.heartbeat_thread.worker_id not in (old, None)
                )
            return rows, busy

        worker.machines.claimer.looks.store.claim = claim  # type: ignore[method-assign]
        job_id = (await note.aenqueue()).id
        await eyes.reaches(job_id, "completed")
        assert once
    assert len(runs) == 1


@pytest.mark.past_bug(21)
async def test_a_claimed_job_that_is_slow_to_start(
    app: App, dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a lease between claim and start: renewals run all the while."""
    runs: list[int] = []
    records: list[Any] = []
    receipts = Runner.receipts

    def with_records(self: Runner) -> set[tuple[int, int]]:
        return receipts(self) | {(row["id"], token) for got, token in records for row in got}

    monkeypatch.setattr(Runner, "receipts", with_records)  # it holds them, all the same

    @app.task
    async def note(n: int) -> None:
        runs.append(n)
        await asyncio.sleep(0)

    second = App(dsn)
    second.task(note.function)
    both = {"lease": 3.0, "heartbeat": 0.2}
    async with (
        working(second, queues=["none"], **both) as other,
        working(app, **both) as worker,
    ):
        add = worker.machines.runner.add
        worker.machines.runner.add = lambda got, token: records.append((got, token))  # type: ignore[method-assign]
        worker.machines.runner.receipts = lambda: {  # type: ignore[method-assign]
            (row["id"], token)
            for got, token in records  # it holds them, all the same
            for row in got
        }
        job_id = (await note.aenqueue(1)).id
        await eventually(nth(records, 1))
        heartbeats = other.machines.heartbeat_thread.heartbeats
        await eventually(lambda: other.machines.heartbeat_thread.heartbeats > heartbeats + 20)
        add(*records[0])
        row = await eyes.reaches(job_id, "completed")
    assert runs == [1]
    assert (row["attempt"], row["crash_count"]) == (1, 0)


async def test_the_session_of_a_living_worker_is_ended_again_and_again(
    app: App,
    dsn: str,
    eyes: Eyes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others must not take it for dead: its lease stands, and it is back before they look."""
    patient = Timings(rescue=RescueTimings(confirm_after=10.0))
    runs: list[int] = []
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        job = current_job()
        runs.append(job.attempt)
        await gate.wait()

    second = App(dsn)
    second.task(wait.function)
    usual = {"lease": 15.0, "heartbeat": 2.0}
    job_id = (await wait.aenqueue()).id
    with caplog.at_level(logging.WARNING, "pgqueue"):
        async with working(app, concurrency=11, **usual):
            await eventually(nth(runs, 1))
            async with working(
                second, queues=["none"], lease=15.0, heartbeat=0.2, timings=patient
            ) as other:
                await watching(eyes, other, 3.2)
                for _ in range(4):
                    ((pid, ended),) = await eyes.sql(
                        "select session_pid, pg_terminate_backend(session_pid)"
                        " from pgqueue.worker where concurrency = 11"
                    )
                    assert ended
                    await eventually(
                        lambda p=pid: eyes.value(
                            "select session_pid <> $1 from pgqueue.worker where concurrency = 11", p
                        )
                    )
                heartbeats, rescuer = (
                    other.machines.heartbeat_thread.heartbeats,
                    other.machines.heartbeat_thread.maintenance.rescuer,
                )
                await eventually(
                    lambda: other.machines.heartbeat_thread.heartbeats > heartbeats + 6
                )
                await eventually(lambda: not rescuer.rescuing, what="they have looked")
                gate.set()
                row = await eyes.reaches(job_id, "completed")
    assert runs == [1]
    assert row["crash_count"] == 0
    assert "is lost" not in caplog.text


async def test_a_worker_that_stops_as_its_lease_is_lost_leaves_no_orphans(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held under its lost lease is released before it signs off."""
    began: list[int] = []
    workers: list[Worker] = []
    real = Rescuer.rescue

    async def late(self: Rescuer, lost: list[int], **how: Any) -> None:
        while not workers[0].machines.heartbeat_thread.orders.halt:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # as on a busy machine
        await real(self, lost, **how)

    @app.task
    async def forever() -> None:
        began.append(1)
        await asyncio.sleep(3600)

    job_id = (await forever.aenqueue()).id
    async with working(app, lease=60.0, heartbeat=0.3) as worker:
        workers.append(worker)
        await eventually(nth(began, 1))
        monkeypatch.setattr(Rescuer, "rescue", late)
        former = await eyes.worker_ids()
        await eyes.sql("delete from pgqueue.worker where id = any ($1)", list(former))

        async def anew() -> bool:
            return bool(await eyes.worker_ids() - former)

        await eventually(anew, timeout_s=60)
    row = await eyes.job(job_id)
    assert (row["state"], row["attempt"], row["crash_count"]) == ("pending", 0, 0)
