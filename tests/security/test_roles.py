"""S8: everything works with the roles of ``pgqueue roles``, and none can do more than it says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors, sql

from pgqueue import (
    App,
    Client,
    Debounce,
    Discard,
    Flow,
    QueueFull,
    Retry,
    Throttle,
    Unique,
    current_job,
)
from pgqueue.cli.root import cli
from pgqueue.db.exchange import RESET
from pgqueue.db.link import Link, Watch
from pgqueue.db.store import Store
from tests.harness.waiting import eventually
from tests.security.conftest import Logins, printed
from tests.worker.support import Eyes, working


def refused(dsn: str, *statements: str) -> None:
    """Each of these statements fails for lack of rights, and for nothing else."""
    done: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for text in statements:
            with contextlib.suppress(errors.InsufficientPrivilege):
                connection.execute(text.encode())
                done.append(text)
    assert not done


def allowed(dsn: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()


# Whoever turns row-level security on without these has turned everything off.
POLICIES = """
do $$
declare name text;
begin
    for name in select oid::regclass::text from pg_class
        where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('alter table %s enable row level security', name);
        execute format('create policy everything on %s using (true) with check (true)', name);
    end loop;
end $$
"""


@pytest.mark.rule("S8")
@pytest.mark.parametrize("row_security", [False, True], ids=["", "row-security"])
async def test_a_worker_that_owns_nothing_does_all_that_workers_do(
    logins: Logins, eyes: Eyes, row_security: bool
) -> None:
    if row_security:
        await eyes.sql(POLICIES)
    app = App(logins.dsn_of("worker"))
    attempts: list[int] = []
    begun = asyncio.Event()

    @app.task
    async def nothing() -> None: ...

    @app.task
    async def enqueues() -> None:
        await nothing.aenqueue()
        nothing_later = nothing.using(delay=0.2, unique_key="k")
        await nothing_later.aenqueue()

    @app.task(retry=lambda attempt, error: 0.05)
    async def flaky() -> None:
        job = current_job()
        attempts.append(job.attempt)
        if job.attempt < 3:
            raise ValueError(job.attempt)

    @app.task
    async def gives_up() -> None:
        raise Discard("no")

    @app.task
    async def transacts() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await nothing.using(connection=tx).aenqueue()

    @app.task
    def transacts_in_a_thread() -> None:
        job = current_job()
        with job.transaction() as tx:
            nothing.using(connection=tx).enqueue()

    @app.task
    async def forever() -> None:
        begun.set()
        await asyncio.sleep(3600)

    async with Client(logins.dsn_of("producer")) as producer:
        for task in (enqueues, flaky, gives_up, transacts, transacts_in_a_thread, transacts):
            await producer.aenqueue(task.name)
        long = await producer.aenqueue(forever.name)
        async with working(app), Client(logins.dsn_of("operator")) as operator:
            await asyncio.wait_for(begun.wait(), 60)
            (result,) = await operator.acancel(long.id)
            assert (result.state, result.changed) == ("requested", True)
            await eyes.settled(completed=10, dead=1, cancelled=1)
        await app.aclose()
    assert attempts == [1, 2, 3]


@pytest.mark.rule("S8")
def test_what_cleans_a_session_leaves_it_its_role(logins: Logins) -> None:
    """A login that does not inherit takes its role on with the connection."""
    with psycopg.connect(logins.dsn_of("worker"), autocommit=True) as session:
        before = session.execute("select current_user").fetchone()
        session.execute(RESET.encode())
        assert session.execute("select current_user").fetchone() == before


@pytest.mark.rule("S8")
async def test_a_worker_rescues_and_does_the_duties(logins: Logins, eyes: Eyes) -> None:
    """The partitions of history are made and dropped by one who owns none of them."""
    app = App(logins.dsn_of("worker"))

    @app.task
    async def nothing() -> None: ...

    job = (await nothing.aenqueue()).id
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues) values (1, now() - '1 h'::interval, now(), now(),"
        " 1, 1, 1, 'h', '0', '{}')"
    )
    await eyes.sql(
        "update pgqueue.job set worker_id = 1, claim_token = 1, claimed_at = now(), attempt = 1"
    )
    partitions = "select count(*) from pg_inherits where inhparent = 'pgqueue.history'::regclass"
    for (name,) in await eyes.sql(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = 'pgqueue.history'::regclass"
    ):
        await eyes.sql(f"drop table {name}")
    async with working(app, retention=0.0):
        await eyes.reaches(job, "completed")

        async def yesterday_is_dropped() -> bool:
            return await eyes.value(partitions) == 8

        await eventually(yesterday_is_dropped)
        owner = await eyes.value(
            "select relowner::regrole::text from pg_class where relname ~ '^history_2' limit 1"
        )
        assert owner == f"{logins.prefix}_owner"
    await app.aclose()


@pytest.mark.rule("S8")
async def test_a_producer_enqueues_and_sees_nothing(logins: Logins, eyes: Eyes) -> None:
    dsn = logins.dsn_of("producer")
    async with Client(dsn) as producer:
        first = await producer.aenqueue("t", {"secret": 1}, unique_key="k")
        again = await producer.aenqueue("t", unique_key="k")
        assert (again.id, again.duplicate) == (first.id, True)
        await producer.aenqueue_many([producer.job("t", {"n": n}, delay=n) for n in range(3)])
        for mode in (Unique(for_=60), Debounce(60), Throttle(60)):
            for duplicate in (False, True):
                one = await producer.aenqueue("t", unique=mode, unique_key=type(mode).__name__)
                assert one.duplicate == duplicate
    assert allowed(dsn, """select state from pgqueue.enqueue('{"task": "t"}')""") == [("pending",)]
    assert await eyes.value("select count(*) from pgqueue.job") == 8
    refused(
        dsn,
        "select args from pgqueue.job", "select id from pgqueue.job", "select * from pgqueue.jobs",
        "select * from pgqueue.dead", "select * from pgqueue.history",
        "select * from pgqueue.worker", "select * from pgqueue.queue",
        "insert into pgqueue.job (task) values ('t')", "delete from pgqueue.job",
        "update pgqueue.job set worker_id = 1, claim_token = 1", "truncate pgqueue.job",
        "do $$ begin lock table pgqueue.job in access share mode; end $$",
        "select pgqueue.ensure_history(1)", "select pgqueue.drop_history('0')",
        "select pgqueue.enqueue_keyed('[]', now())", "select pgqueue.enqueue_each('[]', now())",
        "select pgqueue.enqueue_unique_round('[]', now())", "select pgqueue.forget_unique(1)",
        "select * from pgqueue.unique_past", "select pgqueue.wake('{default}')",
        "select last_value from pgqueue.position_seq", "select setval('pgqueue.position_seq', 1)",
        *NOBODY_MAY,
    )  # fmt: skip


@pytest.mark.rule("S8")
async def test_a_worker_vacuums_the_job_table_where_it_can_be_let(
    logins: Logins, eyes: Eyes
) -> None:
    line = Link(
        logins.dsn_of("worker"), role="upkeep", watch=Watch(), deadline=60.0, pooled=False
    )  # fmt: skip
    store = Store(line, "pgqueue")
    seen = await store.measure_job_table()
    version = await eyes.value("select current_setting('server_version_num')::integer")
    assert (seen["may"], seen["due_in"] <= 0) == (version >= 170000, True)
    await store.vacuum_jobs()  # else it is skipped, with a warning
    vacuums = await eyes.value("select pg_stat_get_vacuum_count('pgqueue.job'::regclass)")
    assert vacuums == (1 if seen["may"] else 0)
    await line.close()


@pytest.mark.rule("S8")
async def test_a_producer_hears_that_a_queue_is_full_and_a_worker_counts(
    logins: Logins, eyes: Eyes
) -> None:
    await eyes.sql(
        "insert into pgqueue.queue (name, changed, full_at, depth)"
        """ values ('full', '{"max_depth": 2}', now(), 2)"""
    )
    dsn = logins.dsn_of("producer")
    async with Client(dsn) as producer:
        for call in (
            producer.aenqueue("t", queue="full"),
            producer.aenqueue("t", queue="full", delay=5),
            producer.aenqueue_many([producer.job("t", queue="full")] * 2),
        ):
            with pytest.raises(QueueFull) as caught:
                await call
            assert (caught.value.queue, caught.value.depth, caught.value.limit) == ("full", 2, 2)
    refused(dsn, "select pgqueue.take_back(1)", "update pgqueue.queue set full_at = null")
    link = Link(logins.dsn_of("worker"), role="duties", watch=Watch(), deadline=20.0, pooled=False)
    store = Store(link, "pgqueue")
    try:
        await store.due_duties()
        counted = await store.count_depths([], [], 1.0)
    finally:
        await link.close()
    assert [(row["queue"], row["depth"]) for row in counted] == [("full", 0), (None, None)]
    assert await eyes.value("select full_at from pgqueue.queue where name = 'full'") is None


@pytest.mark.rule("S8")
async def test_a_producer_s_other_door_shows_nothing_and_takes_no_more(
    logins: Logins, eyes: Eyes
) -> None:
    dsn = logins.dsn_of("producer")
    async with Client(dsn) as producer:
        jobs = [await producer.aenqueue("t", {"n": n}) for n in range(20)]  # of the ten ms at least
    assert await eyes.value("select count(*) from pgqueue.job where position is not null") == 20
    insert = "insert into pgqueue.new_job (task, args, queue, priority, max_attempts)"
    values = "values ('t', '{}', 'default', 5, 25)"
    ((mine,),) = allowed(dsn, f"{insert} {values} returning id")
    assert mine > max(job.id for job in jobs)
    assert allowed(dsn, "select id from pgqueue.new_job") == []
    refused(
        dsn,
        f"{insert} {values} returning position", f"{insert} {values} returning *",
        "select * from pgqueue.new_job", "select task from pgqueue.new_job",
        "update pgqueue.new_job set task = 'x'", "delete from pgqueue.new_job",
        "insert into pgqueue.new_job (id, task) values (1, 't')",
        "insert into pgqueue.new_job (position, task) values (-1, 't')",
        f"{insert} {values} on conflict (id) do update set task = 'x'",
    )  # fmt: skip


NOBODY_MAY = (
    "create table pgqueue.mine (x int)",
    "create function pgqueue.mine() returns int language sql as 'select 1'",
    "create trigger mine before insert on pgqueue.job for each row"
    " execute function suppress_redundant_updates_trigger()",
    "alter table pgqueue.job add column x int",
    "alter function pgqueue.enqueue(jsonb) security invoker",
    "drop table pgqueue.dead",
    "drop table pgqueue.history",
    "drop schema pgqueue cascade",
    "create rule r as on insert to pgqueue.job do instead nothing",
    "insert into pgqueue.migration (version, name, breaking) values (99, 'x', true)",
)


@pytest.mark.rule("S8")
def test_a_worker_has_no_more_than_it_needs(logins: Logins) -> None:
    refused(
        logins.dsn_of("worker"),
        "update pgqueue.job set task = 't'", "update pgqueue.job set args = '{}'",
        "update pgqueue.job set queue = 'q'", "insert into pgqueue.job (task) values ('t')",
        "select args from pgqueue.history", "select args from pgqueue.dead",
        "delete from pgqueue.history", "delete from pgqueue.dead",
        "update pgqueue.dead set reason = 'x'", "update pgqueue.queue set paused_at = null",
        "delete from pgqueue.queue", "select pgqueue.enqueue_keyed('[]', now())",
        "select setval('pgqueue.position_seq', 1)", *NOBODY_MAY,
    )  # fmt: skip
    drops = f'drop table "pgqueue"."{_partition(logins)}"'
    refused(logins.dsn_of("worker"), drops, drops.replace("drop table", "truncate"))


def _partition(logins: Logins) -> str:
    row = logins.root.execute(
        "select relname from pg_class where relname ~ '^history_2' and relkind = 'r' limit 1"
    ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.rule("S8")
async def test_an_operator_repairs(logins: Logins, eyes: Eyes) -> None:
    async with Client(logins.dsn_of("producer")) as producer:
        ids = [(await producer.aenqueue("t", {"n": n}, delay=60)).id for n in range(4)]
    dsn = logins.dsn_of("operator")
    async with Client(dsn) as operator:
        assert [r.changed for r in await operator.aretry(ids[:1])] == [True]
        assert [r.state for r in await operator.acancel(ids[1:3])] == ["cancelled"] * 2
        assert [r.state for r in await operator.aretry(ids[1:2])] == ["pending"]
        await eyes.sql(
            "with gone as (delete from pgqueue.job where id = any ($1) returning *)"
            " insert into pgqueue.dead (id, finished_at, run_at, enqueued_at, attempt,"
            " max_attempts, priority, crash_count, reason, queue, task, args)"
            " select id, now(), run_at, enqueued_at, 25, max_attempts, priority, crash_count,"
            " 'it failed', queue, task, args from gone", [ids[0], ids[3]],
        )  # fmt: skip
        assert len((await operator.aredrive(ids[:1])).jobs) == 1
        assert (await operator.apurge_dead([ids[3]])).deleted == 1
        assert await operator.apause("default")
        assert await operator.aresume("default")
        assert (await operator.aget_job(ids[0])).args == {"n": 0}  # type: ignore[union-attr]
        assert len(await operator.alist_jobs()) == 3
        assert (await operator.astatus()).jobs["cancelled"] == 1
    refused(
        dsn,
        "update pgqueue.job set args = '{}'", "select pgqueue.drop_history('0')",
        "insert into pgqueue.worker (id) values (1)", "delete from pgqueue.worker",
        "insert into pgqueue.dead (id) values (1)",
        "insert into pgqueue.job (task, worker_id) values ('t', 1)",
        "insert into pgqueue.job (task, attempt) values ('t', 9)",
        "update pgqueue.job set worker_id = 1",
        """select * from pgqueue.enqueue('{"task": "t"}')""", *NOBODY_MAY,
    )  # fmt: skip


@pytest.mark.rule("S8")
def test_an_operator_can_put_a_job_in_as_the_document_says(logins: Logins) -> None:
    """Retry and redrive do: docs/guide/security.md, "What an operator can do by hand"."""
    allowed(
        logins.dsn_of("operator"),
        "insert into pgqueue.job (task, args, position)"
        " values ('t', '{}', nextval('pgqueue.position_seq')) returning id",
    )


@pytest.mark.rule("S8")
def test_a_viewer_sees_jobs_without_what_users_put_into_them(logins: Logins) -> None:
    with Client(logins.dsn_of("producer")) as producer:
        producer.enqueue("t", {"password": "hunter2"}, tags=["a"], unique_key="k")
    dsn = logins.dsn_of("viewer")
    shown = allowed(dsn, "select state, queue, task, attempt, tags from pgqueue.jobs")
    assert shown == [("pending", "default", "t", 0, ["a"])]
    hidden = ("args", "metadata", "errors", "reason", "unique_key")
    refused(
        dsn,
        *(f"select {name} from pgqueue.jobs" for name in hidden),
        *(f"select {name} from pgqueue.{table}" for name in hidden if name != "reason"
          for table in ("job", "history", "dead")),
        "select * from pgqueue.jobs", "select result from pgqueue.history",
        "select claim_token from pgqueue.job", "delete from pgqueue.job",
        "update pgqueue.job set run_at = now()", "select id from pgqueue.job for update",
        """select * from pgqueue.enqueue('{"task": "t"}')""",
        "do $$ begin lock table pgqueue.job in row exclusive mode; end $$",
        "select row_to_json(j) from pgqueue.job j", "table pgqueue.jobs",
        "select nextval('pgqueue.position_seq')", *NOBODY_MAY,
    )  # fmt: skip
    for args in (("status",), ("queues", "list"), ("workers",)):
        result = CliRunner().invoke(cli, ["--dsn", dsn, *args])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["--dsn", dsn, "jobs", "list"])
    assert result.exit_code == 1
    assert "permission denied" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.rule("S8")
def test_who_has_no_role_can_do_nothing(logins: Logins) -> None:
    refused(
        logins.dsn_of("nobody"),
        "select * from pgqueue.jobs", """select * from pgqueue.enqueue('{"task": "t"}')""",
        "select pgqueue.channel()", "select * from pgqueue.migration", *NOBODY_MAY,
    )  # fmt: skip


@pytest.mark.rule("S8")
def test_the_owner_migrates_and_is_no_superuser(logins: Logins) -> None:
    dsn = logins.dsn_of("owner")
    row = logins.root.execute(
        "select count(*) from pg_class join pg_roles on pg_roles.oid = relowner"
        " where relnamespace = 'pgqueue'::regnamespace and rolname <> %s",
        (f"{logins.prefix}_owner",),
    ).fetchone()
    assert row == (0,)
    for args in (("migrate",), ("migrate", "--check")):
        result = CliRunner().invoke(cli, ["--dsn", dsn, *args])
        assert result.exit_code == 0, result.output


@pytest.mark.rule("S8")
def test_the_owner_installs_anew_in_a_schema_of_its_own(logins: Logins) -> None:
    """As a role that may not create schemas."""
    logins.root.execute(
        sql.SQL("create schema other authorization {}").format(logins.ident("owner"))
    )
    dsn = logins.dsn_of("owner")
    for args in (("migrate",), ("migrate", "--check")):
        result = CliRunner().invoke(cli, ["--dsn", dsn, "--schema", "other", *args])
        assert result.exit_code == 0, result.output
    with psycopg.connect(dsn, autocommit=True) as owner:
        # The roles are there, and the schema is not a superuser's: nothing else is asked for.
        owner.execute(printed("--schema", "other", "--prefix", logins.prefix).encode())
    with Client(logins.dsn_of("producer"), schema="other") as producer:
        producer.enqueue("t")


@pytest.mark.rule("S8")
async def test_a_worker_may_ask_for_its_own_host_and_a_viewer_for_the_whole(logins: Logins) -> None:
    def asks(role: str, *options: str) -> str:
        done = CliRunner().invoke(cli, ["--dsn", logins.dsn_of(role), "health", *options])
        return done.stdout + done.stderr

    app = App(logins.dsn_of("worker"))
    app.task(name="nothing")(lambda: None)
    async with working(app):
        assert (await asyncio.to_thread(asks, "worker", "--here")).startswith("ok: 1 live worker")
        assert (await asyncio.to_thread(asks, "viewer")).startswith("ok: 1 live worker")
        assert "permission denied" in await asyncio.to_thread(asks, "worker")
    await app.aclose()


@pytest.mark.rule("S8")
async def test_each_role_does_with_schedules_what_it_is_for(logins: Logins, eyes: Eyes) -> None:
    """A worker declares and fires; an operator changes; a viewer sees no arguments."""
    app = App(logins.dsn_of("worker"))

    @app.task
    async def report(secret: str) -> None: ...

    app.schedule("nightly", report, cron="* * * * *", args={"secret": "hush"})
    async with working(app):
        await eyes.sql("update pgqueue.schedule set next_at = now() - interval '1 minute'")

        async def fired() -> bool:
            return await eyes.value("select count(*) from pgqueue.jobs") == 1  # type: ignore[no-any-return]

        await eventually(fired)
    async with Client(logins.dsn_of("operator")) as operator:
        assert await operator.schedules.apause("nightly")
        assert await operator.schedules.aresume("nightly")
        assert await operator.schedules.arun("nightly") is not None
        assert len(await operator.schedules.apreview("nightly")) == 5
        await operator.schedules.aset("other", task="report", every=60)
        await operator.schedules.aremove("other")
    async with Client(logins.dsn_of("viewer")) as viewer:
        (found,) = await viewer.schedules.alist()
        assert "hush" not in str(found)
    refused(
        logins.dsn_of("viewer"), "select settings from pgqueue.schedule",
        "update pgqueue.schedule set paused_at = now()", "select * from pgqueue.audit",
    )  # fmt: skip
    refused(
        logins.dsn_of("operator"), "delete from pgqueue.audit",
        "update pgqueue.audit set actor = 'nobody'",
    )  # fmt: skip
    refused(
        logins.dsn_of("worker"), "delete from pgqueue.schedule", "select * from pgqueue.audit",
        "delete from pgqueue.audit",
    )  # fmt: skip
    refused(
        logins.dsn_of("producer"), "select * from pgqueue.schedules",
        "insert into pgqueue.schedule (name, next_at, changed) values ('x', now(), '{}')",
    )  # fmt: skip
    await app.aclose()


@pytest.mark.rule("S8")
async def test_a_worker_runs_jobs_of_flows(logins: Logins, eyes: Eyes) -> None:
    """It declares flows, admits, charges, asks for breaks, and halts keys."""
    app = App(logins.dsn_of("worker"))
    flow = Flow("ledger", key="account", ordered=True, key_rate="100/s", key_burst=10)

    @app.task(flow=flow, retry=lambda attempt, error: 0.05)
    async def book(account: str) -> None:
        job = current_job()
        job.charge(2)
        if account == "dies":
            raise Discard("no")
        if account == "again" and job.attempt == 1:
            raise Retry(delay=0.05, pause="key")

    async with working(app):
        declared = "select from pgqueue.flow where name = 'ledger' and declared is not null"
        await eventually(lambda: eyes.sql(declared))
        for account in ("fine", "again", "dies", "dies", "fine"):
            await book.aenqueue(account)
        await eyes.settled(completed=3, dead=1, blocked=1)
        (key,) = await eyes.sql("select key from pgqueue.flow_key where pause_reason like 'job %'")
        assert key["key"] == "dies"
    await app.aclose()


async def test_flows_with_the_roles(logins: Logins, eyes: Eyes) -> None:
    """An operator sets limits and pauses; a viewer sees no keys."""
    docs = '[{"task": "t", "flow": "crm", "flow_key": "acme"}, {"task": "t", "flow": "crm"}]'
    allowed(logins.dsn_of("producer"), f"select * from pgqueue.enqueue('{docs}')")
    allowed(logins.dsn_of("worker"), "select * from pgqueue.admit('crm', 9, 0, 0, '-infinity')")
    async with Client(logins.dsn_of("operator")) as operator:
        flows = operator.flows
        assert await flows.aset("crm", concurrency=5, rate="1/s", key_rate="1/min")
        assert await flows.aset("crm", key="acme", weight=3)
        assert await flows.apause("crm", key="acme")
        assert await flows.aresume("crm", key="acme")
        assert await flows.apause("crm")
        assert [one.key for one in await flows.akeys("crm")] == ["", "acme"]
        assert await flows.ausage("crm") == []
        assert [one.state for one in await flows.alist()] == ["paused"]
        assert await operator.apause("default")
        (job,) = [job for job in await operator.alist_jobs() if job.state == "blocked"][:1]
        assert (await operator.awhy_waiting(job.id))[0].startswith("in line of crm")
    async with Client(logins.dsn_of("viewer")) as viewer:
        (still,) = (await viewer.astatus()).still_flows
        assert (still.name, still.waiting) == ("crm", 2)
    allowed(logins.dsn_of("viewer"), "select flow, weight from pgqueue.jobs")
    refused(
        logins.dsn_of("viewer"), "select flow_key from pgqueue.jobs",
        "select key from pgqueue.flow_key", "select key from pgqueue.line",
        "select * from pgqueue.flow_usage", "update pgqueue.flow set paused_at = now()",
    )  # fmt: skip
    refused(
        logins.dsn_of("operator"), "delete from pgqueue.flow", "delete from pgqueue.line",
        "update pgqueue.flow set declared = '{}'", "delete from pgqueue.ticket",
    )  # fmt: skip
