"""PgBouncer that nobody named, and PgBouncer in session mode, where workers listen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgqueue import App, ConfigError, Unreachable, current_job
from tests.harness.pgbouncer import bouncer
from tests.harness.servers import Server
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, at_rest, nth, working

FAR = 60.0


@pytest.fixture
def session_dsn(dsn: str) -> Iterator[str]:
    with bouncer(dsn, pool_mode="session") as through:
        yield through


async def test_a_pooler_that_was_not_named_is_named_by_the_error(bouncer_dsn: str) -> None:
    app = App(bouncer_dsn)
    with pytest.raises(Unreachable, match=r"pgbouncer=True.*transaction.*pgbouncer=.session"):
        await app.aenqueue("t")
    await app.aclose()


async def test_workers_listen_through_session_mode(session_dsn: str, eyes: Eyes) -> None:
    """Polls are far apart: what starts was announced."""
    app = App(session_dsn, pgbouncer="session")
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    @app.task
    async def settle() -> None:
        job = current_job()
        async with job.transaction() as tx:
            await tx.execute("select 1")

    @app.task
    def settle_in_a_thread() -> None:
        job = current_job()
        with job.transaction() as tx:
            tx.execute("select 1")

    async with working(app, poll_interval=FAR) as worker:
        assert worker.settings.listen
        for n in range(3):
            await eventually(
                lambda: eyes.value("select waiting from pgqueue.queue where name = 'default'")
            )
            await at_rest(worker)
            await note.aenqueue(n)
            await eventually(nth(ran, n + 1), timeout_s=FAR / 2)
        await app.aenqueue_many([settle.job(), settle_in_a_thread.job()])
        await eyes.settled(completed=5, timeout_s=FAR / 2)
        plan = "select count(*) from pg_stat_activity where application_name = 'pgqueue claim'"
        assert await eyes.value(plan) == 1
    await app.aclose()


async def test_sessions_behind_session_mode_have_our_settings(session_dsn: str) -> None:
    async with App(session_dsn, pgbouncer="session") as app:
        shown = await app.pool.arun(lambda c: c.fetchval("show tcp_keepalives_idle"), checked=False)
        assert shown in ("0", "10")  # a unix socket has none
        await app.aenqueue("t")


async def test_transaction_mode_does_not_set_a_session_anew_for_each_transaction(
    dsn: str, bouncer_dsn: str, pg: Server, eyes: Eyes
) -> None:
    """It does where clients say another encoding than the server, or have another name."""
    if pg.cluster is None:
        pytest.skip("the log of a server that is not ours cannot be read")
    database = conninfo_to_dict(dsn)["dbname"]
    await eyes.sql(f"alter database \"{database}\" set log_statement = 'all'")
    log = pg.cluster.log_file
    start = log.stat().st_size
    async with App(bouncer_dsn, pgbouncer=True) as app:

        @app.task
        async def nothing() -> None: ...

        async with working(app, heartbeat=0.1, poll_interval=0.1) as worker:
            for n in range(1, 11):
                await nothing.aenqueue()
                await eyes.settled(completed=n)
            heartbeats = worker.machines.heartbeat_thread.heartbeats
            await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 5)
    with log.open("rb") as lines:
        lines.seek(start)
        text = lines.read().decode("utf-8", "replace").lower()
    said = rf"\] {re.escape(str(database))} log: +statement: "
    assert re.findall(said + "begin", text), "nothing was logged"
    assert not re.findall(said + ".*set client_encoding", text)
    names = set(re.findall(said + "set application_name='([^']*)'", text))
    assert names <= {"pgqueue worker", "pgqueue client"}


@pytest.mark.parametrize("value", ["transaction", 1, None])
def test_pgbouncer_is_true_false_or_session(value: object) -> None:
    with pytest.raises(ConfigError, match='pgbouncer must be True, False or "session"'):
        App("postgresql://h/d", pgbouncer=value)  # type: ignore[arg-type]
