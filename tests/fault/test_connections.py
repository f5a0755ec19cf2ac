"""Connections that end, hang, lag or lie, one role at a time and all at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from chaos.faults.cutting import CuttingProxy

from pgqueue import App, Backoff, PgQueueError, Unreachable, Worker
from pgqueue.db.link import Link, Watch
from pgqueue.worker.machines import Machines
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually
from tests.worker.support import ROLES, Eyes, Runs, at_rest, nth, quick, working


def counting(app: App) -> tuple[Any, Runs]:
    runs = Runs()

    @app.task
    async def count(n: int, seconds: float = 0.0) -> None:
        with runs.of(n):
            await asyncio.sleep(seconds)

    return count, runs


async def through(proxy: Proxy, **settings: Any) -> tuple[App, Worker]:
    """An app whose worker goes through the proxy, with listening sockets and short deadlines."""
    app = App(proxy.dsn)
    return app, Worker(app, **quick(deadline=1.0, **settings))


async def sessions_of(eyes: Eyes) -> list[str]:
    return [name for name, _ in await eyes.sessions() if name != "pgqueue client"]


@pytest.mark.past_bug(34)
@pytest.mark.fault("F9")
@pytest.mark.parametrize("role", ROLES)
async def test_one_role_is_ended(app: App, eyes: Eyes, role: str) -> None:
    count, runs = counting(app)
    async with working(app, poll_interval=600.0, lease=15.0, heartbeat=1.0) as worker:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        await eventually(lambda: is_there(eyes, role))
        await at_rest(worker)
        (before,) = await eyes.sessions(f"pgqueue {role}")
        assert await eyes.terminate(role) == 1
        if role in ("claim", "heartbeat"):
            # Those that others count on come back by themselves.
            await eventually(lambda: is_another(eyes, role, before))
        await at_rest(worker)  # what it looked for once it was back would find the job anyway
        await count.aenqueue(2)
        await eyes.settled(completed=2)  # woken: the next poll is minutes away
        assert runs.seen == [1, 2]
        names = await sessions_of(eyes)
        assert len(names) == len(set(names)), "one session for each role"
        assert worker.statistics().unwritten == 0
    await eventually(lambda: none_there(eyes))


async def none_there(eyes: Eyes) -> bool:
    return not await sessions_of(eyes)


async def is_there(eyes: Eyes, role: str) -> bool:
    return (await sessions_of(eyes)).count(f"pgqueue {role}") == 1


async def is_another(eyes: Eyes, role: str, before: tuple[str, int]) -> bool:
    now = await eyes.sessions(f"pgqueue {role}")
    return len(now) == 1 and now != [before]


@pytest.mark.past_bug(35)
async def test_all_ended_many_times_leave_no_sessions(app: App, eyes: Eyes) -> None:
    count, runs = counting(app)
    async with working(app, lease=15.0, heartbeat=0.3):
        for n in range(15):
            await eyes.terminate()
            ended = False
            while not ended:
                try:
                    await count.aenqueue(n)
                    ended = True
                except Exception:
                    await asyncio.sleep(0.01)
        done = "select count(distinct args) = 15 from pgqueue.jobs where state = 'completed'"
        await eventually(lambda: eyes.value(done))
        names = await sessions_of(eyes)
        assert len(names) == len(set(names)) <= 4
    assert set(runs.seen) == set(range(15))


@pytest.mark.past_bug(32)
@pytest.mark.fault("F10")
async def test_a_black_hole_for_all_roles(eyes: Eyes, proxy: Proxy) -> None:
    app, worker = await through(proxy, lease=30.0, heartbeat=0.3)
    count, runs = counting(app)
    direct = eyes
    await worker.start()
    try:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        await count.aenqueue(2, 1.0)
        await eventually(nth(runs.seen, 2))
        proxy.blackhole()
        await direct.sql(
            "select * from pgqueue.enqueue($1::text::jsonb)", '{"task": "count", "args": {"n": 3}}'
        )
        # The old path stays silent for ever; a new one is there after a while.
        await eventually(lambda: worker.machines.completer.is_away)
        proxy.cut()
        proxy.heal()
        await eyes.settled(completed=3)
        assert runs.seen == [1, 2, 3]
    finally:
        proxy.cut()
        proxy.heal()
        await worker.stop()
        await app.aclose()


@pytest.mark.past_bug(32)
@pytest.mark.fault("F10")
async def test_a_silence_that_ends_by_itself(eyes: Eyes, proxy: Proxy) -> None:
    """All is silent for a while, what was begun meanwhile as well; then it goes on."""
    app, worker = await through(proxy, lease=30.0, heartbeat=0.3)
    count, runs = counting(app)
    await worker.start()
    try:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        proxy.blackhole()
        await eventually(lambda: worker.machines.claimer.is_away)
        await eyes.sql(
            "select * from pgqueue.enqueue($1::text::jsonb)", '{"task": "count", "args": {"n": 2}}'
        )
        proxy.heal()
        await eyes.settled(completed=2)
    finally:
        await worker.stop()
        await app.aclose()
    assert set(runs.seen) == {1, 2}


@pytest.mark.past_bug(32)
async def test_a_silent_listener_is_replaced_and_the_new_one_listens(
    eyes: Eyes, cutting: CuttingProxy
) -> None:
    """Its socket stays open and silent; new connections work."""
    app, worker = await through(cutting, lease=30.0, heartbeat=0.3, poll_interval=1.0)
    count, runs = counting(app)
    await worker.start()
    try:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        (old,) = await eyes.sessions("pgqueue claim")
        assert cutting.silence(lambda link: link.role == "claim") == 1

        async def replaced() -> bool:
            return any(one != old for one in await eyes.sessions("pgqueue claim"))

        await eventually(replaced)
        await eventually(lambda: not worker.machines.claimer.is_away)
        # No poll from here on: what starts now was announced.
        worker.machines.claimer.plan.poll_at = time.monotonic() + 600
        await at_rest(worker)
        await count.aenqueue(2)
        await eyes.settled(completed=2)
        assert runs.seen == [1, 2]
    finally:
        cutting.heal()
        await worker.stop()
        await app.aclose()


@pytest.mark.fault("F10")
@pytest.mark.parametrize("times", [0, 1, 2])
async def test_one_silent_connection_gives_the_idle_ones_away(
    eyes: Eyes, proxy: Proxy, times: int
) -> None:
    """Else each would find out by itself, one deadline after the other.

    They may have heard something after the silent one asked: then, or when it is cut.
    """
    app, worker = await through(proxy, lease=30.0, heartbeat=0.3, poll_interval=600.0)
    count, _ = counting(app)
    await worker.start()
    try:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        idle = [
            link
            for link in (worker.machines.claim_link, worker.machines.finish_link)
            if link.connected
        ]
        assert len(idle) == 2
        proxy.blackhole()
        # Nobody but the heartbeat has anything to say.
        heartbeat = worker.machines.heartbeat_thread.links.heartbeat
        for _ in range(times):
            asks = heartbeat.connected
            await eventually(lambda: heartbeat.due != float("inf") or not heartbeat.connected)
            for link in idle:
                link.heard_at = time.monotonic()
            if asks:
                await eventually(lambda: not heartbeat.connected)
        await eventually(lambda: not any(link.connected for link in idle))
    finally:
        proxy.cut()
        proxy.heal()
        await worker.stop()
        await app.aclose()


@pytest.mark.fault("F10")
async def test_a_link_that_nobody_answers_says_so(proxy: Proxy) -> None:
    watch = Watch()
    link = Link(proxy.dsn, role="claim", watch=watch, deadline=0.3, pooled=False)
    proxy.blackhole()
    with pytest.raises(Unreachable):
        await link.fetch("select 1")
    assert len(watch.unanswered()) == 1
    proxy.heal()
    proxy.refuse()
    with pytest.raises(Unreachable):
        await link.fetch("select 1")
    assert watch.unanswered() == []  # a refusal is an answer


async def test_cut_again_and_again(eyes: Eyes, proxy: Proxy) -> None:
    app, worker = await through(proxy, lease=30.0, heartbeat=0.3)
    _, runs = counting(app)
    await worker.start()
    try:
        for n in range(40):
            await eyes.sql(
                "select * from pgqueue.enqueue(jsonb_build_object('task', 'count', 'args',"
                " jsonb_build_object('n', $1::int, 'seconds', 0.02)))", n,
            )  # fmt: skip
            if n % 4 == 0:
                proxy.cut()
        await eyes.settled(completed=40)
        assert set(runs.seen) == set(range(40))
        assert not runs.overlaps
    finally:
        await worker.stop()
        await app.aclose()


@pytest.mark.fault("F12")
async def test_latency(eyes: Eyes, proxy: Proxy) -> None:
    """300 ms there and 300 ms back."""
    app = App(proxy.dsn)
    worker = Worker(app, **quick(deadline=5.0, lease=3.0, heartbeat=0.5))
    count, runs = counting(app)
    await worker.start()
    try:
        await count.aenqueue(100)
        await eyes.settled(completed=1)
        ids = worker.machines.heartbeat_thread.worker_id
        proxy.delay(0.3)
        await app.aenqueue_many([count.job(n) for n in range(10)])
        await eyes.settled(completed=11)
        assert sorted(runs.seen) == [*range(10), 100]
        assert worker.machines.heartbeat_thread.worker_id == ids
        proxy.heal()
    finally:
        await worker.stop()
        await app.aclose()


@pytest.mark.past_bug(39)
@pytest.mark.rule("S14")
async def test_garbage_and_forged_notifications(app: App, eyes: Eyes, dsn: str) -> None:
    count, runs = counting(app)
    garbage = [
        "", ":", "q", "q:", "q:nosuch", "q:default", "r", "r:", "r:x:default", "r:0:default",
        "r:-5:default", "r:99999999999999999999:default", "r:9223372036854775807:default",
        "r:٣:default", "s:", "s:nan", "s:inf", "s:-1", "s:1e308", "s:0", "s:0.001", "c", "c:1",
        "c:*", "pause", "stop", "\u202e", "x" * 7000, "{}", "q:" + "y" * 5000,
    ]  # fmt: skip
    async with working(app) as worker:
        job = (await count.aenqueue(0, 0.5)).id
        channel = await eyes.value("select pgqueue.channel()")
        for payload in garbage * 3:
            await eyes.sql("select pg_notify($1, $2)", channel, payload)
        await count.aenqueue(1)
        await eyes.settled(completed=2)
        assert worker.machines.claimer.task is not None
        assert not worker.machines.claimer.task.done()
    assert sorted(runs.seen) == [0, 1]
    assert (await eyes.job(job))["attempt"] == 1


@pytest.mark.past_bug(40)
@pytest.mark.law(5)
async def test_every_notification_is_dropped(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, runs = counting(app)
    monkeypatch.setattr(Machines, "hear", lambda self, *said: None)
    async with working(app, poll_interval=0.5) as worker:
        await at_rest(worker)  # past the fast looks that follow when a queue runs empty
        for n in range(3):
            job_id = (await count.aenqueue(n)).id
            await eyes.reaches(job_id, "completed")
    assert runs.seen == [0, 1, 2]


@pytest.mark.report("C2")
async def test_a_claim_whose_answer_is_lost(app: App, eyes: Eyes, proxy: Proxy) -> None:
    behind, worker = await through(proxy, lease=30.0, heartbeat=0.3)
    count, runs = counting(behind)
    await worker.start()
    try:
        await eventually(lambda: worker.statistics().claims > 3)
        link = worker.machines.claim_link
        real = link.fetch
        lost: list[int] = []

        async def fetch(sql: str, *args: Any, **how: Any) -> Any:
            rows = await real(sql, *args, **how)
            if rows and "claim_token = $7" in sql and not lost:
                lost.append(len(rows))
                proxy.cut()
                link.lose()
            return rows

        link.fetch = fetch  # type: ignore[method-assign]
        # Past the proxy: the jobs are claimed as soon as they are there, and the cut would end an
        # enqueue that still waits for its own answer.
        await app.aenqueue_many([count.job(n) for n in range(5)])
        await eyes.settled(completed=5)
        assert lost
        assert sorted(runs.seen) == list(range(5))
        rows = await eyes.sql("select attempt, crash_count from pgqueue.jobs")
        assert {tuple(row) for row in rows} == {(1, 0)}
    finally:
        await worker.stop()
        await behind.aclose()


@pytest.mark.fault("F15")
@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_completion_whose_answer_is_lost(
    app: App, eyes: Eyes, carried_out: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Success, failure for good, and a retry; the answer is lost once for each statement."""
    runs = Runs()

    @app.task(retry=Backoff(base=0.0))
    async def end(how: str, *, job: Any = None) -> None:
        with runs.of(how):
            if how == "dead" or (how == "retry" and runs.seen.count("retry") == 1):
                raise ValueError(how)

    async with working(app) as worker:
        await eventually(lambda: worker.statistics().claims > 3)
        link = worker.machines.finish_link
        real = link.fetch
        lost: list[str] = []

        async def fetch(sql: str, *args: Any, **how: Any) -> Any:
            first = sql not in lost
            if first:
                lost.append(sql)
            rows = await real(sql, *args, **how) if carried_out or not first else None
            if first:
                link.lose()
            return rows

        link.fetch = fetch  # type: ignore[method-assign]
        await app.aenqueue_many(
            [end.job("ok"), end.using(max_attempts=1).job("dead"), end.job("retry")]
        )
        await eyes.settled(completed=2, dead=1)
        assert worker.statistics().completed == 2
    assert sorted(runs.seen) == ["dead", "ok", "retry", "retry"]
    assert len(lost) >= 3
    if "was not this worker's" in caplog.text:
        assert carried_out


@pytest.mark.past_bug(48)
async def test_finished_while_the_database_is_away(eyes: Eyes, proxy: Proxy) -> None:
    app, worker = await through(proxy, lease=30.0, heartbeat=0.3)
    count, runs = counting(app)
    gate = asyncio.Event()

    @app.task(max_attempts=1)
    async def wait(n: int, fails: bool) -> None:
        with runs.of(n):
            await gate.wait()
            if fails:
                raise ValueError(n)

    await worker.start()
    try:
        await app.aenqueue_many([wait.job(n, n % 2 == 1) for n in range(8)])
        await eventually(nth(runs.seen, 8))
        proxy.refuse()
        proxy.cut()
        gate.set()
        await eventually(lambda: worker.statistics().unwritten == 8)
        await eventually(lambda: worker.machines.completer.is_away)
        connects = worker.machines.finish_link.connects
        spent = time.process_time()
        await asyncio.sleep(1.5)
        assert time.process_time() - spent < 0.75, "it must not spin"
        proxy.heal()
        await eyes.settled(completed=4, dead=4)
        assert worker.machines.finish_link.connects <= connects + 2
        await count.aenqueue(99)
        await eyes.settled(completed=5, dead=4)
    finally:
        await worker.stop()
        await app.aclose()
    assert sorted(runs.seen) == [*range(8), 99]


@pytest.mark.past_bug(50)
@pytest.mark.fault("F20")
async def test_read_only_for_a_while(app: App, dsn: str, eyes: Eyes) -> None:
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def wait(n: int) -> None:
        with runs.of(n):
            await gate.wait()

    name = await eyes.value("select current_database()")
    async with working(app, lease=30.0, heartbeat=0.3) as worker:
        await app.aenqueue_many([wait.job(n) for n in range(3)])
        await eventually(nth(runs.seen, 3))
        await eyes.sql(f'alter database "{name}" set default_transaction_read_only = on')
        await eyes.terminate()
        await eventually(lambda: worker.machines.claimer.is_away)
        gate.set()
        await eventually(lambda: worker.machines.completer.is_away)
        await eyes.sql("set transaction_read_only = off")
        await eyes.sql("set default_transaction_read_only = off")
        await eyes.sql(f'alter database "{name}" reset default_transaction_read_only')
        await eyes.settled(completed=3)
    assert sorted(runs.seen) == [0, 1, 2]


@pytest.mark.past_bug(50)
@pytest.mark.fault("F20")
async def test_clients_write_again_once_the_server_takes_it(app: App, dsn: str, eyes: Eyes) -> None:
    """Their sessions began read-only, and would stay so: they are left."""
    name = await eyes.value("select current_database()")

    @app.task
    async def nothing() -> None: ...

    await eyes.sql(f'alter database "{name}" set default_transaction_read_only = on')
    for _ in range(2):
        with pytest.raises(PgQueueError, match="read-only"):
            await nothing.aenqueue()
        with pytest.raises(PgQueueError, match="read-only"):
            await asyncio.to_thread(nothing.enqueue)
        with pytest.raises(PgQueueError, match="read-only"):
            await app.aenqueue_many([nothing.job(), nothing.job()])
    await eyes.sql("set default_transaction_read_only = off")
    await eyes.sql(f'alter database "{name}" reset default_transaction_read_only')
    await nothing.aenqueue()
    await asyncio.to_thread(nothing.enqueue)
    await app.aenqueue_many([nothing.job(), nothing.job()])
    assert await eyes.value("select count(*) from pgqueue.job") == 4


HOSTILE = {
    "statement_timeout": "'5ms'",
    "lock_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'1s'",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere",
    "timezone": "'America/Bogota'",
    "datestyle": "'German, DMY'",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "standard_conforming_strings": "on",
    "plan_cache_mode": "force_custom_plan",
    "enable_indexscan": "off",
    "row_security": "on",
    "default_table_access_method": "heap",
    "synchronous_commit": "off",
    "jit": "on",
    "jit_above_cost": "0",
}


@pytest.mark.fault("F22", "F23")
async def test_hostile_defaults(app: App, dsn: str, eyes: Eyes) -> None:
    count, runs = counting(app)
    name = await eyes.value("select current_database()")
    await app.aenqueue_many([count.job(n, 0.05) for n in range(100)])
    await app.aclose()
    for setting, value in HOSTILE.items():
        if setting in ("statement_timeout", "lock_timeout"):
            continue  # the client's own connections are the users' to set
        await eyes.sql(f'alter database "{name}" set {setting} = {value}')
    async with working(app, concurrency=20, deadline=5.0) as worker:
        await app.acancel((await count.aenqueue(1000, 60.0)).id)
        await eyes.settled(completed=100, cancelled=1)
        assert worker.statistics().retried == 0
    assert set(range(100)) <= set(runs.seen)


@pytest.mark.fault("F22")
async def test_the_worker_s_own_sessions_ignore_timeouts_of_the_role(app: App, eyes: Eyes) -> None:
    count, runs = counting(app)
    await app.aenqueue_many([count.job(n) for n in range(50)])
    await app.aclose()
    name = await eyes.value("select current_database()")
    await app.pool.acheck()
    await eyes.sql(f"alter database \"{name}\" set statement_timeout = '1ms'")
    await eyes.sql(f"alter database \"{name}\" set lock_timeout = '1ms'")
    async with working(app):
        rows = await eyes.sql("select count(*) from pgqueue.job")
        assert rows
        await eyes.settled(completed=50)
    assert sorted(runs.seen) == list(range(50))


@pytest.mark.fault("F22")
async def test_a_worker_starts_though_its_role_has_no_patience(app: App, eyes: Eyes) -> None:
    """The look at the schema's version waits for a migration, longer than the role would."""
    count, runs = counting(app)
    await count.aenqueue(1)
    await app.aclose()
    name = await eyes.value("select current_database()")
    await eyes.sql(f"alter database \"{name}\" set statement_timeout = '20ms'")
    await eyes.sql(f"alter database \"{name}\" set lock_timeout = '10ms'")
    app.pool.recheck()
    other = await asyncpg.connect(app.pool.dsn, server_settings={"statement_timeout": "0"})
    transaction = other.transaction()
    await transaction.start()
    await other.execute("lock table pgqueue.migration in access exclusive mode")
    waits = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '100 ms'"
    )

    async def let_go() -> None:
        await eventually(lambda: eyes.value(waits), what="the look waits")
        await transaction.rollback()
        await other.close()

    letting = asyncio.create_task(let_go())
    async with working(app):
        await letting
        await eyes.settled(completed=1)
    assert runs.seen == [1]


@pytest.mark.fault("F24")
async def test_the_job_table_is_locked_for_a_while(app: App, dsn: str, eyes: Eyes) -> None:
    runs = Runs()

    @app.task
    async def nap(n: int) -> None:
        with runs.of(n):
            await asyncio.sleep(0.3)

    await app.aenqueue_many([nap.job(n) for n in range(20)])
    other = await asyncpg.connect(dsn)
    async with working(app, lease=2.0, heartbeat=0.4, deadline=3.0) as worker:
        await eventually(nth(runs.seen, 5))
        own = worker.machines.heartbeat_thread.worker_id
        transaction = other.transaction()
        await transaction.start()
        await other.execute("lock table pgqueue.job in access exclusive mode")
        await asyncio.sleep(3.0)  # longer than its lease; a slow machine makes it longer still
        await transaction.rollback()
        await other.close()
        await eyes.settled(completed=20)
        assert worker.machines.heartbeat_thread.worker_id == own
    assert not runs.twice()
