"""A worker does not start on a copy of a database, until somebody adopts that copy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from pgqueue import App, DatabaseError, SchemaError, Worker
from pgqueue.cli.root import cli
from pgqueue.client import Client
from pgqueue.db.migrate import migrate
from tests.harness.servers import Server
from tests.harness.waiting import eventually


def app_on(dsn: str, ran: list[int] | None = None) -> App:
    app = App(dsn)

    @app.task(name="t")
    async def task(n: int = 0) -> None:
        if ran is not None:
            ran.append(n)

    return app


def run(dsn: str, *args: str) -> Result:
    return CliRunner().invoke(cli, args, env={"PGQUEUE_DSN": dsn})


@pytest.fixture
def copy_dsn(pg: Server, dsn: str) -> Iterator[str]:
    """A database restored from a copy of the test's own, with a job of the original in it."""
    with Client(dsn) as client:
        client.enqueue("t", {"n": 1})
    original = urlsplit(dsn).path[1:]
    name = f"{original}_copy"
    statement = "create database {} template {}"
    with pg.connect() as connection:
        connection.execute(
            sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(original))
        )
    yield pg.dsn_for(name)
    pg.drop(name)


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_a_worker_refuses_a_copy_and_runs_it_once_it_is_adopted(copy_dsn: str) -> None:
    ran: list[int] = []
    app = app_on(copy_dsn, ran)
    with pytest.raises(SchemaError) as caught:
        await Worker(app).start()
    assert str(caught.value).startswith('schema "pgqueue" was made for another database (system ')
    assert str(caught.value).endswith("if they are to run here, run: pgqueue adopt")
    assert await app.aadopt()
    assert not await app.aadopt()
    async with Worker(app):
        await eventually(lambda: ran, timeout_s=60)
    assert ran == [1]


async def test_enqueues_and_reads_work_on_a_copy_and_migrate_leaves_it_one(copy_dsn: str) -> None:
    async with Client(copy_dsn) as client:
        assert await client.amigrate() == []
        done = await client.aenqueue("t")
        assert (await client.alist_jobs(state="pending"))[0].id == done.id
        status = await client.astatus()
    assert status.copy_of is not None
    assert status.damage == ()
    assert "so this is a copy of it" in status.copy_of


def test_the_command_line_says_so(copy_dsn: str) -> None:
    told = run(copy_dsn, "status").stdout
    assert "no worker starts here; see: pgqueue adopt --help" in told
    assert run(copy_dsn, "adopt").stdout == 'schema "pgqueue" belongs to this database now\n'
    again = run(copy_dsn, "adopt").stdout
    assert again == 'schema "pgqueue" belonged to this database already\n'
    assert "copy" not in run(copy_dsn, "status").stdout


async def test_rows_that_were_restored_beside_our_own_make_a_copy(
    dsn: str, db: asyncpg.Connection
) -> None:
    """As pg_restore --data-only does, in a database where the schema was migrated."""
    await db.execute("insert into pgqueue.home (system_id, database_oid) values (1, 2)")
    app = app_on(dsn)
    with pytest.raises(SchemaError, match=r"\(system 1, database 2; this one is system \d+,"):
        await Worker(app).start()
    assert await app.aadopt()
    async with Worker(app):
        pass


async def test_a_schema_of_another_name_is_named(empty_dsn: str) -> None:
    await migrate(empty_dsn, "my jobs")
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute('update "my jobs".home set system_id = 1')
    await connection.close()
    app = App(empty_dsn, schema="my jobs")
    app.task(name="t")(lambda: None)
    with pytest.raises(SchemaError, match=r"run: pgqueue adopt --schema 'my jobs'$"):
        await Worker(app).start()


async def test_who_may_not_read_the_identifier_is_not_refused(
    dsn: str, db: asyncpg.Connection
) -> None:
    """The guard is silent: it cannot tell a copy from the original."""
    user = f"{urlsplit(dsn).path[1:]}_worker"
    await db.execute("update pgqueue.home set system_id = 1")
    await db.execute("revoke execute on function pg_control_system() from public")
    await db.execute(
        f"create role {user} login; grant usage on schema pgqueue to {user};"
        f"grant all on all tables in schema pgqueue to {user};"
        f"grant all on all sequences in schema pgqueue to {user}"
    )
    try:
        parts = urlsplit(dsn)
        theirs = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")
        app = app_on(urlunsplit(theirs))
        with pytest.raises(DatabaseError, match="cannot be told"):
            await app.aadopt()
        async with Worker(app):
            pass
    finally:
        await db.execute(f"drop owned by {user}; drop role {user}")


async def test_a_schema_is_made_where_the_identifier_may_not_be_read(empty_dsn: str) -> None:
    owner = f"{urlsplit(empty_dsn).path[1:]}_owner"
    with psycopg.connect(empty_dsn, autocommit=True) as root:
        root.execute("revoke execute on function pg_control_system() from public")
        root.execute(f"create role {owner} login".encode())
        try:
            root.execute(f"create schema pgqueue authorization {owner}".encode())
            parts = urlsplit(empty_dsn)
            theirs = parts._replace(netloc=f"{owner}@{parts.netloc.rpartition('@')[2]}")
            await migrate(urlunsplit(theirs))
            assert root.execute("select * from pgqueue.home").fetchall() == []
            async with Client(urlunsplit(theirs)) as client:
                status = await client.astatus()
            assert (status.copy_of, status.damage) == (None, ())
        finally:
            root.execute(f"drop owned by {owner} cascade; drop role {owner}".encode())


@pytest.mark.alone
async def test_a_running_worker_is_not_disturbed(dsn: str, db: asyncpg.Connection) -> None:
    """As after a move under it: it connects again, and does not ask again where it is."""
    ran: list[int] = []
    app = app_on(dsn, ran)
    async with Worker(app):
        await db.execute("update pgqueue.home set system_id = 1")
        await db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await app.aenqueue("t", {"n": 7})
        await eventually(lambda: ran, timeout_s=60)
    assert ran == [7]


async def test_a_worker_says_what_is_damaged_when_it_starts(
    dsn: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await db.execute("delete from pgqueue.duty where name = 'orphans'")
    async with Worker(app_on(dsn)):
        pass
    (line,) = [r.getMessage() for r in caplog.records if "pgqueue migrate" in r.getMessage()]
    assert line == 'schema "pgqueue": duty "orphans" has no row; run: pgqueue migrate'
