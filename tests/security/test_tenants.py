"""S14, S15: other roles of the server and other schemas of the database reach nothing of ours."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql

from pgqueue import App, Client, current_job
from pgqueue.db.migrate import LOCK, migrate
from pgqueue.worker.claim.looks import Looks
from pgqueue.worker.timings import TIMINGS
from tests.harness import counted
from tests.harness.waiting import eventually
from tests.security.conftest import dsn_as
from tests.worker.support import Eyes, at_rest, working

FORGED = [
    "q:default", "q:nosuch", "q:", "r:0:default", "r:1:default", "r:-1:default", "r:x:y", "s:0",
    "s:0.001", "s:-1", "s:nan", "c", "c:1", "pause", "pause:default", "stop", "kill", "cancel:1",
    "retire", '{"do": "stop"}', "\x1b[2J", "x" * 7999, "f:nosuch", "f:", "f:" + "x" * 200, "l",
    "p:0:default", "p:1:nosuch", "p:x:y", "t:0", "t:nan",
]  # fmt: skip


@pytest.mark.rule("S14")
async def test_a_role_that_may_only_connect_can_forge_nothing(
    dsn: str, eyes: Eyes, root: psycopg.Connection
) -> None:
    """Every notification there is: all that it does is a look."""
    name = f"{root.info.dbname}_stranger"
    root.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
    app = App(dsn)
    ran: Counter[int] = Counter()
    begun, go = asyncio.Event(), asyncio.Event()

    @app.task
    async def waits(n: int) -> None:
        job = current_job()
        ran[n] += 1
        begun.set()
        await go.wait()
        assert not job.is_cancelled

    later = (await app.aenqueue("waits", {"n": 9}, delay=3600)).id
    await app.apause("paused")
    paused = (await app.aenqueue("waits", {"n": 8}, queue="paused")).id
    stranger = await asyncpg.connect(dsn_as(dsn, name))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.fetch("select pgqueue.channel()")
        async with working(app, queues=["default", "paused"]) as worker:
            job = (await app.aenqueue("waits", {"n": 0})).id
            await asyncio.wait_for(begun.wait(), 60)
            # The name of the channel is no secret: it can be guessed.
            channel = await eyes.value("select pgqueue.channel()")
            before = await eyes.worker_ids()
            for _ in range(20):
                for payload in FORGED:
                    await stranger.execute("select pg_notify($1, $2)", channel, payload)
            more = (await app.aenqueue("waits", {"n": 1})).id
            await eyes.reaches(more, "running")
            assert await eyes.worker_ids() == before
            assert (await eyes.job(job))["attempt"] == 1
            assert (await eyes.job(later))["state"] == "scheduled"
            assert (await eyes.job(paused))["state"] == "pending"
            go.set()
            await eyes.settled(completed=2, scheduled=1, pending=1)
            assert worker.statistics().cancelled == 0
            assert await eyes.value("select count(*) from pgqueue.flow") == 0
    finally:
        await stranger.close()
        await app.aclose()
        root.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
    assert ran == {0: 1, 1: 1}


@pytest.mark.rule("S14")
@pytest.mark.parametrize("payload", ["q:default", "r:0:default", "c", "s:0"])
async def test_a_forged_notification_costs_a_worker_a_look_or_two(
    dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    """One by one and in a flood. What other roles do meanwhile, they do without it as well.

    So is a step over what a long walk found in vain, once a second at most: on a slow machine any
    look takes as long.
    """
    app = App(dsn)
    roles = ("claim", "heartbeat") if payload == "c" else ("claim",)
    sent: Counter[str] = Counter()
    steps: list[int] = []
    step = Looks.step_over

    def asked() -> int:
        return sum(sent[role] for role in roles)

    async def stepped(self: Looks, *args: Any, **options: Any) -> None:
        before = asked()
        await step(self, *args, **options)
        if asked() > before:
            steps.append(asked() - before)

    @app.task
    async def nothing() -> None: ...

    forged = 2_000
    channel = await eyes.value("select pgqueue.channel()")
    async with working(app, poll_interval=600.0, heartbeat=200.0, lease=601.0) as worker:
        states = worker.machines.claimer.states.values()
        # Its first looks are its own: nine follow when the flag is up.
        await eventually(lambda: all(state.flag and not state.looks for state in states))
        await at_rest(worker)
        sent = counted.by_role(monkeypatch)
        monkeypatch.setattr(Looks, "step_over", stepped)
        began = time.monotonic()
        # One by one first: what is heard late of a flood would count among these. Each comes when
        # the last look back was a moment ago, which puts its own off.
        for _ in range(5):
            before = asked()
            await eyes.sql("select pg_notify($1, $2)", channel, payload)
            if payload[0] in "qr":
                await eventually(lambda before=before: asked() > before)
            await at_rest(worker)
        assert asked() - sum(steps) < 3 * 5  # two each, and one that a slow machine adds
        for _ in range(forged):
            await eyes.sql("select pg_notify($1, $2)", channel, payload)
        await at_rest(worker)
        assert asked() - sum(steps) <= 2 * (5 + forged)
        assert len(steps) <= 1 + (time.monotonic() - began) / TIMINGS.plan.step_every
        assert max(steps, default=0) <= 2
        await nothing.aenqueue()
        await eyes.settled(completed=1)
    await app.aclose()


@pytest.mark.rule("S15")
async def test_two_schemas_side_by_side(dsn: str, eyes: Eyes) -> None:
    """The same names, ids, keys and queues in both: each worker runs and rescues its own."""
    await migrate(dsn, "other")
    ran: Counter[tuple[str, int]] = Counter()
    apps = {schema: App(dsn, schema=schema) for schema in ("pgqueue", "other")}
    for schema, app in apps.items():

        async def note(n: int, schema: str = schema) -> None:
            ran[schema, n] += 1

        app.task(name="note", retry=lambda attempt, error: 0.05)(note)
    lost = (
        "insert into {0}.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues) values (1, now() - '1 h'::interval, now(), now(),"
        " 1, 1, 1, 'h', '0', '{{}}')"
    )
    for schema, app in apps.items():
        await app.aenqueue_many([app.job("note", {"n": n}, unique_key=f"k{n}") for n in range(20)])
        await eyes.sql(lost.format(schema))
        await eyes.sql(
            f"update {schema}.job set worker_id = 1, claim_token = 1, claimed_at = now(),"
            " attempt = 1 where id <= 2"
        )
    channels = [await eyes.value(f"select {schema}.channel()") for schema in apps]
    assert len(set(channels)) == 2

    async def left(schema: str) -> tuple[int, int, int]:
        row = (
            await eyes.sql(
                f"select (select count(*) from {schema}.job) as job,"
                f" (select count(*) from {schema}.worker where id = 1) as lost,"
                f" (select count(*) from {schema}.history) as history"
            )
        )[0]
        return row["job"], row["lost"], row["history"]

    async with working(apps["pgqueue"]):
        await eyes.settled(completed=20)
        assert await left("other") == (20, 1, 0)
        async with Client(dsn, schema="pgqueue") as client:
            assert await client.apause("default")
        async with working(apps["other"]):

            async def all_done() -> bool:
                return await left("other") == (0, 0, 20)

            await eventually(all_done)
            assert await left("pgqueue") == (0, 0, 20)
    for app in apps.values():
        await app.aclose()
    assert ran == Counter({(schema, n): 1 for schema in apps for n in range(20)})


@pytest.mark.report("f04")
async def test_what_a_role_that_may_only_connect_can_lock_stops_no_queue(
    dsn: str, eyes: Eyes, root: psycopg.Connection
) -> None:
    """Anybody can hold advisory locks; these were once those of a queue and of history."""
    name = f"{root.info.dbname}_stranger"
    root.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
    app = App(dsn)

    @app.task
    async def noop() -> None: ...

    await eyes.sql("select pgqueue.drop_history('-9 days'::interval)")
    base = 7085774586302733312
    job, history = await eyes.sql(
        "select unnest(array['pgqueue.job', 'pgqueue.history'])::regclass::oid::int8"
    )
    stranger = await asyncpg.connect(dsn_as(dsn, name))
    try:
        await stranger.fetch(
            "select pg_advisory_lock(hashtextextended('default', $1)), pg_advisory_lock($2)",
            base | job[0], base | history[0],
        )  # fmt: skip
        async with working(app):
            await app.aenqueue_many([noop.job() for _ in range(100)])
            await eyes.settled(completed=100, timeout_s=60)
        for table in ("job", "turn", "queue", "duty", "worker", "history"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stranger.execute(f"begin; lock table pgqueue.{table} in access share mode")
            await stranger.execute("rollback")
    finally:
        await stranger.close()
        await app.aclose()
        root.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.mark.rule("S15")
async def test_no_lock_of_one_schema_holds_up_the_other(dsn: str, eyes: Eyes) -> None:
    """Migrating and making partitions take locks of the whole database, by keys of the schema's."""
    await migrate(dsn, "other")
    holder = await asyncpg.connect(dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.fetch("select pgqueue.ensure_history()")
        for schema in ("pgqueue", "fourth"):
            await holder.execute(LOCK, schema)
        await eyes.sql("set lock_timeout = '5s'")
        assert await eyes.value("select other.ensure_history()") == 0
        await asyncio.wait_for(migrate(dsn, "third"), 60)
        # It is the right lock: a migration of its schema waits for it.
        same = asyncio.ensure_future(migrate(dsn, "fourth"))
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        await eventually(lambda: eyes.value(waiting))
        assert not same.done()
        await transaction.rollback()
        await asyncio.wait_for(same, 60)
    finally:
        await holder.close()
