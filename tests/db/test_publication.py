"""A publication of all tables, as for change data capture, breaks nothing that pgqueue does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.admin.conftest import Session, add, add_dead
from tests.db.hands import connect
from tests.harness.servers import Server, own_server

from pgqueue import Client
from pgqueue.db.migrate import migrate

pytestmark = pytest.mark.one_pg


@pytest.fixture(scope="module")
def logical(pg: Server) -> Iterator[Server]:
    # What is not on disk yet is not read from there.
    settings = {"wal_level": "logical", "synchronous_commit": "on"}
    with own_server(pg.major, settings=settings) as server:
        yield server


@pytest.fixture
async def published(logical: Server) -> AsyncIterator[str]:
    """A database whose changes are all wanted by somebody, from before the schema was made."""
    name = logical.create()
    with logical.connect(name) as connection:
        connection.execute("create publication everything for all tables")
        connection.execute("select pg_create_logical_replication_slot('reader', 'pgoutput')")
    await migrate(logical.dsn_for(name))
    yield logical.dsn_for(name)
    with logical.connect(name) as connection:
        connection.execute("select pg_drop_replication_slot('reader')")
    logical.drop(name)


@pytest.fixture
async def session(published: str) -> AsyncIterator[Session]:
    hands = await connect(published, worker=False)
    yield Session(hands.connection)
    await hands.close()


async def changes(session: Session, kind: bytes) -> int:
    """How many changes of a kind a reader of the publication gets from now on."""
    rows = await session.sql(
        "select data from pg_logical_slot_get_binary_changes("
        "  'reader', null, null, 'proto_version', '1', 'publication_names', 'everything')"
    )
    return sum(row["data"][:1] == kind for row in rows)


async def test_every_table_says_which_row_was_changed(session: Session) -> None:
    await session.sql("select pgqueue.ensure_history(30)")
    without = await session.sql(
        "select relname from pg_class where relnamespace = 'pgqueue'::regnamespace"
        " and relkind in ('r', 'p') and relreplident <> 'f'"
        " and not (relreplident = 'd' and exists ("
        "   select from pg_index where indrelid = pg_class.oid and indisprimary))"
    )
    assert [row["relname"] for row in without] == []
    days = await session.value(
        "select count(*) from pg_inherits join pg_class on pg_class.oid = inhrelid"
        " where inhparent = 'pgqueue.history'::regclass and relreplident = 'f'"
    )
    assert days == 32


async def test_a_cancelled_job_is_tried_again(published: str, session: Session) -> None:
    async with Client(published) as client:
        (waiting,) = await add(client, delay=3600)
        await client.acancel(waiting)
        assert await changes(session, b"D") == 1  # it left job
        (result,) = await client.aretry(waiting)
    assert (result.state, result.changed) == ("pending", True)
    assert await changes(session, b"D") == 1  # and then history
    assert await session.claim() == [waiting]


async def test_all_that_is_written_to_rows_that_were_there(
    published: str, session: Session
) -> None:
    async with Client(published) as client:
        worker = await session.serve("default")
        done, kept, given_up, stopped = await add(client, 4)
        assert await session.claim() == [done, kept, given_up, stopped]
        await session.finish(done)
        await client.acancel(stopped)
        await session.finish(stopped, state="cancelled")
        await session.run("release_jobs", [kept], [session.token], [600.0], [0], [None], 20)
        await session.bury(given_up)
        for job in (kept, given_up, stopped):
            (result,) = await client.aretry(job)
            assert result.changed
        dead = await add_dead(client, session)
        assert (await client.apurge_dead(dead, dry_run=False)).deleted == len(dead)
        await client.apause("default")
        await client.aresume("default")
        await session.run("raise_flags", ["default"])
        await session.run("lower_flags", ["default"], None)
        await session.run("remove_worker", [worker])
        await session.sql("update pgqueue.duty set due_at = now()")
        await session.sql("select pgqueue.drop_history('0', null)")
    assert await changes(session, b"U") > 0
