"""The harness itself: that its faults are faults, and that its databases are apart."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import asyncpg
import psycopg
import pytest

from tests.harness.pgbouncer import bouncer
from tests.harness.proxy import Proxy
from tests.harness.servers import Server
from tests.harness.waiting import eventually


@pytest.fixture
def empty_proxy(empty_dsn: str):
    proxy = Proxy(empty_dsn)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_database_of_ones_own(empty_dsn: str, pg: Server, turn: int) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("create table t (i int)")
        assert connection.info.server_version // 10000 == pg.major


def test_databases_from_a_template(pg: Server) -> None:
    async def fill(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("create table t as select 1 as i")
        await connection.close()

    template = pg.template("test", fill)
    assert pg.template("test", fill) == template
    name = pg.create(template)
    with pg.connect(name) as connection:
        assert connection.execute("select i from t").fetchone() == (1,)
    pg.drop(name)


def test_a_database_is_used_again_if_only_rows_were_added(pg: Server, migrated: str) -> None:
    name = pg.create(migrated)
    pg.reused.add(name)
    with psycopg.connect(pg.dsn_for(name)) as connection:
        first = connection.execute('select id from pgqueue.enqueue(\'{"task": "t"}\')').fetchone()
    assert pg.reused.release("test", name)
    assert pg.reused.take("test") == name
    assert pg.reused.take("test") is None
    with psycopg.connect(pg.dsn_for(name)) as connection:
        assert connection.execute("select count(*) from pgqueue.jobs").fetchone() == (0,)
        query = 'select id from pgqueue.enqueue(\'{"task": "t"}\')'
        assert connection.execute(query).fetchone() == first
    assert pg.reused.release("test", name)
    pg.drop(name)
    assert pg.reused.take("test") == name


@pytest.mark.parametrize(
    "change",
    [
        "create table public.t ()",
        "drop function pgqueue.enqueue",
        "alter table pgqueue.job add more int",
        "grant select on pgqueue.job to public",
        "update pgqueue.duty set due_at = now()",
        "delete from pgqueue.home",
        "create function pg_catalog.f() returns int language sql as 'select 1'",
        "alter database {} set statement_timeout = '1s'",
        "truncate pgqueue.job",
    ],
)
def test_a_database_that_was_changed_is_not_used_again(
    pg: Server, migrated: str, change: str
) -> None:
    name = pg.create(migrated)
    pg.reused.add(name)
    with pg.connect(name) as connection:
        connection.execute("set allow_system_table_mods = on")
        connection.execute(change.format(name).encode())
    assert not pg.reused.release("test", name)
    assert pg.reused.take("test") is None
    pg.drop(name)


def test_sessions_are_seen(empty_dsn: str, pg: Server) -> None:
    name = empty_dsn.split("?")[0].rsplit("/", 1)[1]
    with psycopg.connect(empty_dsn, application_name="pgqueue test"):
        assert len(pg.sessions(name, "pgqueue%")) == 1
    assert not pg.sessions(name, "other%")


def test_a_migrated_database(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) > 0 from pgqueue.migration").fetchone() == (
            True,
        )


async def test_the_proxy_forwards(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    assert len(await connection.fetchval("select repeat('x', 5000000)")) == 5_000_000
    assert empty_proxy.connections == 1
    await connection.close()
    await eventually(lambda: empty_proxy.connections == 0)


async def test_a_black_hole_swallows_and_heals(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    empty_proxy.blackhole()
    asking = asyncio.create_task(connection.fetchval("select 1"))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), 0.2)
    with pytest.raises((asyncio.TimeoutError, OSError)):
        await asyncpg.connect(empty_proxy.dsn, timeout=0.2)
    empty_proxy.heal()
    assert await asking == 1
    await connection.close()


async def test_cut_connections_are_reset(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    empty_proxy.cut()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("select 1")
    connection.terminate()
    again = await asyncpg.connect(empty_proxy.dsn)
    assert await again.fetchval("select 1") == 1
    await again.close()


async def test_cut_in_a_black_hole(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    empty_proxy.blackhole()
    asking = asyncio.create_task(connection.fetchval("select 1"))
    await asyncio.sleep(0)
    empty_proxy.cut()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
        await asking
    connection.terminate()


async def test_refused_connections(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    empty_proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(empty_proxy.dsn)
    assert await connection.fetchval("select 1") == 1
    await connection.close()
    empty_proxy.heal()
    await (await asyncpg.connect(empty_proxy.dsn)).close()


async def test_delayed_answers(empty_proxy: Proxy) -> None:
    connection = await asyncpg.connect(empty_proxy.dsn)
    empty_proxy.delay(0.1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await connection.fetchval("select 1") == 1
    assert loop.time() - before >= 0.2
    await connection.close()


def test_pgbouncer_pools_transactions(empty_dsn: str) -> None:
    with bouncer(empty_dsn) as dsn:
        clients = [psycopg.connect(dsn, prepare_threshold=None) for _ in range(3)]
        pids = set()
        for client in clients:
            with client.transaction():
                pids.add(client.execute("select pg_backend_pid()").fetchone())
        assert len(pids) == 1
        for client in clients:
            client.close()


def test_no_thread_of_the_harness_is_left(empty_dsn: str) -> None:
    Proxy(empty_dsn).close()
    assert "test-proxy" not in {thread.name for thread in threading.enumerate()}


def test_programs_that_the_harness_starts_heed_signals_that_it_ignores_itself() -> None:
    code = """
import signal, subprocess, sys
from tests.harness.dispositions import let_children_heed
let_children_heed()
ask = "import signal; print([signal.getsignal(n).name for n in (1, 3, 15)])"
subprocess.run([sys.executable, "-c", ask], check=True)
for number in (1, 2, 3, 15):
    signal.raise_signal(number)
"""
    shell = 'trap "" HUP INT QUIT TERM; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['SIG_DFL', 'SIG_DFL', 'SIG_DFL']\n"
