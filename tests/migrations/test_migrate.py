"""Migrations: from nothing, many at once, killed anywhere, by psql, and versions that disagree."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from tests.harness.servers import missing
from tests.migrations.catalogue import catalogue
from tests.migrations.steps import with_later

from pgqueue.client import Client
from pgqueue.db import migrate
from pgqueue.db.migrate import Migration
from pgqueue.embedded import installed
from pgqueue.errors import SchemaError

Connect = Callable[[], Awaitable[Any]]


@pytest.fixture
async def connect(empty_dsn: str) -> AsyncIterator[Connect]:
    opened: list[asyncpg.Connection[Any]] = []

    async def another() -> asyncpg.Connection[Any]:
        opened.append(await asyncpg.connect(empty_dsn))
        return opened[-1]

    yield another
    for connection in opened:
        connection.terminate()


@pytest.fixture
async def connection(connect: Connect) -> asyncpg.Connection[Any]:
    return await connect()


def names(migrations: list[Migration]) -> list[str]:
    return [migration.name for migration in migrations]


async def test_from_nothing_once(connection: asyncpg.Connection[Any]) -> None:
    known = [migration.name for migration in migrate.known()]
    assert names(await migrate.apply(connection, "pgqueue")) == known
    first = await catalogue(connection, "pgqueue")
    assert await migrate.apply(connection, "pgqueue") == []
    assert await catalogue(connection, "pgqueue") == first
    assert len(first) > 100


async def test_into_a_schema_that_is_there_already(connection: asyncpg.Connection[Any]) -> None:
    """Its owner need not be allowed to create schemas."""
    await connection.execute(
        "create role modest; create schema jobs authorization modest; set role modest"
    )
    try:
        assert await migrate.apply(connection, "jobs")
        assert await migrate.apply(connection, "jobs") == []
    finally:
        await connection.execute("reset role; drop owned by modest; drop role modest")


async def test_migrations_are_numbered_without_a_gap() -> None:
    assert [m.version for m in migrate.known()] == list(range(1, len(migrate.known()) + 1))


@pytest.mark.past_bug(122)
async def test_many_migrators_at_once(
    connection: asyncpg.Connection[Any], connect: Connect
) -> None:
    connections = [await connect() for _ in range(8)]
    done = await asyncio.gather(*[migrate.apply(each, "pgqueue") for each in connections])
    # Each is applied once; one migrator may apply the first, and another one the second.
    assert sorted(m.version for one in done for m in one) == [m.version for m in migrate.known()]
    rows = await connection.fetch("select version from pgqueue.migration order by 1")
    assert [row[0] for row in rows] == [m.version for m in migrate.known()]


@pytest.mark.past_bug(122)
async def test_many_first_calls_of_the_client_at_once(empty_dsn: str) -> None:
    clients = [Client(empty_dsn) for _ in range(8)]
    try:
        done = await asyncio.gather(*[client.amigrate() for client in clients])
        assert sum(map(len, done)) == len(migrate.known())
        await clients[0].aenqueue("t")
    finally:
        for client in clients:
            await client.aclose()


def statements(sql: str) -> list[str]:
    """The statements of a migration: each begins at the left margin, after an empty line."""
    return re.split(r"(?<=;)\n(?=\n(?:--|create|insert|select|alter|drop|update))", sql)


def test_a_migration_is_cut_into_its_statements() -> None:
    parts = statements(migrate.known()[0].sql)
    assert len(parts) > 15
    assert "".join(f"{part}\n" for part in parts).rstrip() == migrate.known()[0].sql.rstrip()
    for part in parts:
        assert part.count("$body$") % 2 == 0


@pytest.mark.past_bug(121)
async def test_a_migrator_killed_at_any_statement_leaves_nothing(
    connection: asyncpg.Connection[Any],
    empty_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await migrate.apply(connection, "pgqueue")
    wanted = await catalogue(connection, "pgqueue")
    await connection.execute("drop schema pgqueue cascade")
    real = migrate.known()
    parts = statements(real[0].sql)
    empty: list[str] | None = None
    for k in range(len(parts) + 1):
        cut = "\n".join(
            [*parts[:k], "select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());"]
        )
        broken = Migration(real[0].version, real[0].name, real[0].breaking, cut)
        monkeypatch.setattr(migrate, "known", lambda broken=broken: (broken, *real[1:]))
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await migrate.migrate(empty_dsn)
        left = await catalogue(connection, "pgqueue")
        assert not any("job" in line for line in left)
        assert empty is None or left == empty
        empty = left
    monkeypatch.setattr(migrate, "known", lambda: real)
    assert names(await migrate.migrate(empty_dsn)) == [migration.name for migration in real]
    assert await catalogue(connection, "pgqueue") == wanted


@pytest.mark.past_bug(121)
async def test_a_failed_statement_leaves_nothing_either(
    connection: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = migrate.known()
    wrong = Migration(1, real[0].name, False, real[0].sql + "\nselect 1 / 0;")
    monkeypatch.setattr(migrate, "known", lambda: (wrong,))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.apply(connection, "pgqueue")
    assert not connection.is_in_transaction()
    monkeypatch.setattr(migrate, "known", lambda: real)
    assert len(await migrate.apply(connection, "pgqueue")) == len(real)


def psql() -> str:
    for binaries in reversed(installed()):
        found = shutil.which("psql", path=binaries.bin_dir)
        if found:
            return found
    return shutil.which("psql") or missing("psql is not installed")


@pytest.mark.past_bug(124)
@pytest.mark.parametrize("schema", ["pgqueue", "we\"ird 'na:me %s $1 {x}"])
async def test_psql_makes_the_same_of_the_plan(
    connection: asyncpg.Connection[Any], empty_dsn: str, schema: str
) -> None:
    text = migrate.plan(schema)
    done = await asyncio.to_thread(
        subprocess.run,
        [psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", empty_dsn],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    by_psql = await catalogue(connection, schema)
    assert await migrate.apply(connection, schema) == []
    await connection.execute(f"drop schema {migrate.quote_identifier(schema)} cascade")
    await migrate.apply(connection, schema)
    assert await catalogue(connection, schema) == by_psql


async def test_the_plan_says_what_is_missing_only() -> None:
    everything = [migration.version for migration in migrate.known()]
    assert migrate.plan("pgqueue", everything) == ""
    assert migrate.plan("pgqueue") == "\n".join(m.script() for m in migrate.known())
    with with_later() as later:
        assert migrate.plan("jobs", everything) == later.script("jobs")


# -- versions that disagree


async def use(dsn: str, schema: str = "pgqueue") -> None:
    async with Client(dsn, schema=schema) as client:
        await client.aenqueue("t")


@pytest.mark.parametrize(
    ("schema", "command"),
    [
        ("pgqueue", "pgqueue migrate"),
        ("jobs", "pgqueue migrate --schema jobs"),
        ("my 'jobs", "pgqueue migrate --schema " + shlex.quote("my 'jobs")),
    ],
)
async def test_a_schema_that_is_missing(empty_dsn: str, schema: str, command: str) -> None:
    with pytest.raises(SchemaError) as caught:
        await use(empty_dsn, schema)
    assert str(caught.value) == f'schema "{schema}" has no pgqueue tables; run: {command}'


async def test_an_empty_schema_counts_as_missing(
    connection: asyncpg.Connection[Any], empty_dsn: str
) -> None:
    await connection.execute("create schema pgqueue; create table pgqueue.mine ()")
    with pytest.raises(SchemaError, match="has no pgqueue tables"):
        await use(empty_dsn)


async def test_a_ledger_without_a_row_counts_as_missing(
    connection: asyncpg.Connection[Any], empty_dsn: str
) -> None:
    """As after a migrator that died before its first migration."""
    await connection.execute(
        "create schema pgqueue;"
        "create table pgqueue.migration (version int, name text, breaking boolean)"
    )
    with pytest.raises(SchemaError, match="has no pgqueue tables"):
        await use(empty_dsn)


async def test_a_ledger_whose_rows_a_dump_left_out_is_read_from_its_comment(
    connection: asyncpg.Connection[Any], empty_dsn: str
) -> None:
    await migrate.apply(connection, "pgqueue")
    await connection.execute("truncate pgqueue.migration")
    assert await migrate.apply(connection, "pgqueue") == []
    await use(empty_dsn)
    with with_later():  # an upgrade enters its own row alone: what came before it is known
        assert names(await migrate.apply(connection, "pgqueue")) == ["later"]
        assert await migrate.apply(connection, "pgqueue") == []
        await use(empty_dsn)


@pytest.mark.parametrize("comment", [None, "", "mine", "pgqueue version", "pgqueue version x"])
def test_a_comment_that_is_not_ours_tells_nothing(comment: str | None) -> None:
    assert migrate.noted(comment) == {}


def test_a_version_noted_by_a_newer_pgqueue_is_refused() -> None:
    newest = migrate.known()[-1].version
    assert list(migrate.noted(f"pgqueue version {newest}")) == list(range(1, newest + 1))
    with pytest.raises(SchemaError, match=f"is at version {newest + 1}, which"):
        migrate.check(migrate.noted(f"pgqueue version {newest + 1}"), "pgqueue")


async def test_a_schema_that_is_too_old(dsn: str) -> None:
    with with_later() as later:
        with pytest.raises(SchemaError) as caught:
            await use(dsn)
        assert str(caught.value) == (
            f'schema "pgqueue" is at version {later.version - 1}, this pgqueue needs '
            f"{later.version}; run: pgqueue migrate"
        )
        assert names(await migrate.migrate(dsn)) == ["later"]
        await use(dsn)


@pytest.mark.past_bug(125)
@pytest.mark.parametrize("breaking", [True, False])
async def test_a_newer_schema_is_refused_only_if_it_breaks(dsn: str, breaking: bool) -> None:
    newest = migrate.known()[-1].version
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "insert into pgqueue.migration (version, name, breaking) values ($1, 'later', $2)",
        newest + 1, breaking,
    )  # fmt: skip
    await connection.close()
    if breaking:
        said = (
            f'schema "pgqueue" is at version {newest + 1}, which this pgqueue (up to {newest}) '
            "cannot work with; upgrade with: pip install --upgrade pgqueue-py"
        )
        for refused in (use(dsn), migrate.migrate(dsn)):
            with pytest.raises(SchemaError) as caught:
                await refused
            assert str(caught.value) == said
    else:
        await use(dsn)
        assert await migrate.migrate(dsn) == []


async def test_a_breaking_step_among_those_of_a_newer_version_is_seen(dsn: str) -> None:
    newest = migrate.known()[-1].version
    connection = await asyncpg.connect(dsn)
    for step, breaking in ((1, True), (2, False)):
        await connection.execute(
            "insert into pgqueue.migration (version, name, breaking) values ($1, 'later', $2)",
            newest + step, breaking,
        )  # fmt: skip
    await connection.close()
    with pytest.raises(SchemaError, match=f"is at version {newest + 1}, which"):
        await use(dsn)


async def test_a_client_looks_again_after_it_migrated(empty_dsn: str) -> None:
    async with Client(empty_dsn) as client:
        with pytest.raises(SchemaError):
            await client.aenqueue("t")
        await client.amigrate()
        assert (await client.aenqueue("t")).id == 1
