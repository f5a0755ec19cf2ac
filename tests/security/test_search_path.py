"""S6: no statement of ours means anything else where the search_path is against us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner

from pgqueue import (
    App,
    Client,
    Debounce,
    Discard,
    Replace,
    Throttle,
    Unique,
    current_job,
)
from pgqueue.cli.root import cli
from pgqueue.db.migrate import migrate
from tests.harness import hostile
from tests.harness.servers import Server
from tests.worker.support import Eyes, eyes_on, working

Caught = Callable[[], list[str]]


@pytest.fixture(params=sorted(hostile.PATHS))
def caught(request: pytest.FixtureRequest, pg: Server, dsn: str) -> Caught:
    """Traps are laid in the test's database, and its sessions get such a path by default."""
    return trap(pg, dsn, request.param)


def trap(pg: Server, dsn: str, path: str) -> Caught:
    database = urlsplit(dsn).path.removeprefix("/")
    hostile.lay(pg, database)
    since = hostile.caught(pg, database)
    hostile.set_path(pg, database, path)
    return since


@pytest.fixture
async def clear(dsn: str, caught: Caught) -> AsyncIterator[Eyes]:
    """A session whose own statements walk into no trap."""
    async with eyes_on(dsn) as eyes:
        await eyes.sql("set search_path = pg_catalog")
        yield eyes


@pytest.mark.rule("S6")
async def test_the_traps_would_catch(clear: Eyes, caught: Caught) -> None:
    assert caught() == []
    await clear.sql("set search_path = trap, pg_catalog")
    await clear.sql(
        "select count(*), now(), unnest('{1}'::bigint[]), 'x' || 1::bigint, 1::bigint = 1::bigint"
        " from generate_series(1, 3)"
    )
    found = " ".join(caught())
    for what in ("count(*)", "now()", "unnest(bigint[])", "text || bigint", "bigint = bigint"):
        assert f"CAUGHT {what}" in found


@pytest.mark.rule("S6")
async def test_a_worker_s_day(dsn: str, clear: Eyes, caught: Caught) -> None:
    app = App(dsn)
    begun = asyncio.Event()

    @app.task
    async def nothing() -> None: ...

    @app.task
    async def enqueues() -> None:
        await nothing.aenqueue()
        await nothing.using(delay=0.2, unique_key="k", tags=["a"]).aenqueue()

    @app.task(retry=lambda attempt, error: 0.05)
    async def flaky() -> None:
        job = current_job()
        if job.attempt < 3:
            raise ValueError(job.attempt)

    @app.task
    async def gives_up() -> None:
        raise Discard("no")

    @app.task
    async def forever() -> None:
        begun.set()
        await asyncio.sleep(3600)

    orphan = (await nothing.aenqueue()).id
    await clear.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues) values (1, now() - '1 h'::interval, now(), now(),"
        " 1, 1, 1, 'h', '0', '{}')"
    )
    await clear.sql(
        "update pgqueue.job set worker_id = 1, claim_token = 1, claimed_at = now(), attempt = 1"
    )
    await app.aenqueue_many([enqueues.job(), flaky.job(), gives_up.job()])
    async with working(app):
        long = (await forever.aenqueue()).id
        await asyncio.wait_for(begun.wait(), 60)
        await app.acancel(long)
        await clear.settled(completed=5, dead=1, cancelled=1)
        assert (await clear.job(orphan))["crash_count"] == 1
        await clear.sql("update pgqueue.duty set due_at = now()")
    await app.aclose()
    assert caught() == []


@pytest.mark.rule("S6")
async def test_operations(dsn: str, clear: Eyes, caught: Caught) -> None:
    async with Client(dsn) as client:
        ids = [(await client.aenqueue("t", {"n": n}, tags=["a"])).id for n in range(5)]
        later = (await client.aenqueue("t", delay=60, unique_key="k")).id
        assert [r.state for r in await client.acancel(ids[:2])] == ["cancelled"] * 2
        assert [r.state for r in await client.aretry([ids[0], later])] == ["pending"] * 2
        await clear.sql(
            "with gone as (delete from pgqueue.job where id = any ($1) returning *)"
            " insert into pgqueue.dead (id, finished_at, run_at, enqueued_at, attempt,"
            " max_attempts, priority, crash_count, reason, queue, task, args)"
            " select id, now(), run_at, enqueued_at, 25, max_attempts, priority, crash_count,"
            " 'it failed', queue, task, args from gone", ids[2:4],
        )  # fmt: skip
        assert (await client.aredrive(queue="default", dry_run=True)).matched == 2
        assert len((await client.aredrive(ids[2:3])).jobs) == 1
        assert (await client.apurge_dead(reason="FAILED")).deleted == 1
        assert await client.apause("default")
        assert await client.aresume("default")
        for state in (None, "pending", "running", "scheduled", "cancelled", "dead"):
            await client.alist_jobs(state=state, queue="default", task="t", tag="a")
        assert await client.amatch_jobs(tag="a")
        assert await client.alist_dead(reason="x") == []
        assert await client.acount_dead() == []
        assert (await client.aget_job(ids[0])).state == "pending"  # type: ignore[union-attr]
        assert (await client.astatus()).jobs["pending"] == 4
        assert await client.aqueues()
        assert await client.aworkers() == []
        assert await client.amigrate() == []
    assert caught() == []


@pytest.mark.rule("S6")
def test_the_command_line(dsn: str, caught: Caught) -> None:
    def run(*args: str) -> str:
        result = CliRunner().invoke(cli, ["--dsn", dsn, *args])
        assert result.exit_code == 0, result.output
        return result.stdout

    with Client(dsn) as client:
        ids = [client.enqueue("t").id for _ in range(3)]
    assert len(json.loads(run("jobs", "list", "--json"))) == 3
    run("jobs", "show", str(ids[0]))
    run("jobs", "cancel", str(ids[0]))
    run("jobs", "cancel", "--queue", "default")
    run("jobs", "cancel", "--queue", "default", "--yes")
    run("jobs", "retry", str(ids[1]))
    for line in ("status", "queues list", "queues pause q --new", "queues resume q", "workers",
                 "dead list", "dead list --count", "dead purge --all", "dead redrive --all",
                 "migrate", "migrate --check", "migrate --sql"):  # fmt: skip
        run(*line.split())
    assert caught() == []


UNIQUE = '{"task": "t", "args": {"n": 1}, "unique": {"by": ["n"], "replace": ["run_at"]}}'


@pytest.mark.rule("S6")
async def test_on_the_caller_s_connection(dsn: str, caught: Caught) -> None:
    """With the path that the caller's session has, and in plain SQL."""
    jobs = '[{"task": "t", "unique_key": "k", "tags": ["a"], "delay": 1}, {"task": "t"}]'
    with Client(dsn) as client, psycopg.connect(dsn) as theirs:
        client.enqueue("t", {"n": 1}, connection=theirs, unique_key="l", delay=5)
        for mode in (Unique(["n"], for_=60), Replace("args", "tags"), Debounce(5), Throttle(5)):
            for n in (1, 1):
                job = client.job("t", {"n": n}, unique=mode, flow="f")
                client.enqueue_many([job, job], connection=theirs)
                theirs.execute("select * from pgqueue.enqueue(%s)", (UNIQUE,))
        theirs.execute("select * from pgqueue.enqueue(%s)", (jobs,))
    assert caught() == []


@pytest.mark.rule("S6")
@pytest.mark.parametrize("path", sorted(hostile.PATHS))
async def test_a_fresh_install(pg: Server, empty_dsn: str, path: str) -> None:
    caught = trap(pg, empty_dsn, path)
    await migrate(empty_dsn, "pgqueue")
    await migrate(empty_dsn, "pgqueue")
    assert caught() == []
    async with eyes_on(empty_dsn) as eyes:
        await eyes.sql("set search_path = pg_catalog")
        # Nothing in the schema leads to a trap later.
        assert (
            await eyes.value(
                "select count(*) from pg_depend join pg_proc as trap on trap.oid = refobjid"
                " join pg_class on pg_class.oid = objid"
                " where trap.pronamespace = 'trap'::regnamespace"
                " and relnamespace = 'pgqueue'::regnamespace"
            )
            == 0
        )
