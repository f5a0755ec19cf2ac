"""A migration as a script for other tools: no transaction of its own, and twice as good as once."""

from __future__ import annotations

import re
import subprocess
import threading
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg import IsolationLevel, errors, sql
from tests.harness.waiting import wait_until
from tests.migrations.steps import LATER, with_later
from tests.migrations.test_migrate import psql

import pgqueue
from pgqueue import App, ConfigError, Migration
from pgqueue.db import migrate
from pgqueue.db.commands import commands
from pgqueue.db.statements import render

WEIRD = "we\"ird 'na:me %s $1 {x} \\"
VERSIONS = 'select version, name from "pgqueue".migration order by 1'
ROWS = [(migration.version, migration.name) for migration in pgqueue.migrations()]


def run(connection: psycopg.Connection[Any], text: str) -> list[Any]:
    cursor = connection.execute(text.encode())
    return cursor.fetchall() if cursor.description else []


def test_the_list_says_what_there_is() -> None:
    first = pgqueue.migrations()[0]
    assert (first.id, first.version, first.name, first.breaking) == (
        "0001_first", 1, "first", False,
    )  # fmt: skip
    assert 'create table :"schema".job (' in first.sql
    assert 'create table "jobs".job (' in first.script("jobs")
    for wrong in ("", "x" * 64, "a$migration$b"):
        with pytest.raises(ConfigError, match="schema"):
            first.script(wrong)


@pytest.mark.parametrize("migration", [*pgqueue.migrations(), LATER], ids=lambda m: m.id)
def test_tools_read_it_as_it_is(migration: Migration) -> None:
    script = migration.script()
    statement = re.sub(r"^--.*\n", "", script, flags=re.MULTILINE).strip()
    assert re.fullmatch(r"do (\$pgqueue\$).*?\1;", statement, re.DOTALL), "it is one statement"
    assert "${" not in script, "Flyway would put a placeholder in"
    text = sqlalchemy.text(script)
    assert str(text.compile()) == script, "SQLAlchemy would see parameters"
    assert ":commands" not in script
    assert not re.search(r"^\s*(begin|commit|rollback)\s*;", script, re.MULTILINE | re.IGNORECASE)


async def test_each_command_is_one(empty_dsn: str) -> None:
    """The extended protocol takes one command at a time, and Citus no more either."""
    connection = await asyncpg.connect(empty_dsn)
    try:
        async with connection.transaction():
            await connection.execute("create schema one; set local search_path = ''")
            for migration in migrate.known():
                for command in commands(migration.sql):
                    await connection.fetch(render(command, "one"))
    finally:
        await connection.close()
    # Nothing is lost between them.
    for migration in (*migrate.known(), LATER):
        assert re.sub(r"\s|;", "", migration.sql).startswith(
            re.sub(r"\s|;", "", "".join(commands(migration.sql)))
        )


def test_a_server_with_citus_gets_its_tables_where_it_is(empty_dsn: str) -> None:
    """Where Citus would spread what is made, a migration says no, and says afterwards what was."""
    names = "citus.enable_schema_based_sharding", "citus.enable_ddl_propagation"
    with psycopg.connect(empty_dsn) as theirs:
        for name in names:
            theirs.execute(f"set {name} = on")
        theirs.execute("create function noted() returns event_trigger language plpgsql as $$ begin "
                       f"raise notice '%', current_setting('{names[0]}') || "
                       f"current_setting('{names[1]}'); end $$")  # fmt: skip
        theirs.execute("create event trigger noted on ddl_command_start execute function noted()")
        said: set[str | None] = set()
        theirs.add_notice_handler(lambda notice: said.add(notice.message_primary))
        run(theirs, migrate.plan("pgqueue"))
        assert said == {"offoff"}
        for name in names:
            assert run(theirs, f"show {name}") == [("on",)]


@pytest.mark.parametrize("schema", ["pgqueue", WEIRD])
@pytest.mark.parametrize("options", [["-1"], []], ids=["one transaction", "statement by statement"])
def test_psql_runs_it_twice_and_changes_nothing(
    empty_dsn: str, schema: str, options: list[str]
) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as look, with_later():
        table = sql.Identifier(schema, "migration")
        seen = sql.SQL("select xmin::text, m.* from {} as m").format(table)
        rows = []
        for _ in range(2):
            done = subprocess.run(
                [psql(), "-X", "-v", "ON_ERROR_STOP=1", *options, "-d", empty_dsn],
                input=migrate.plan(schema),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            rows.append(look.execute(seen).fetchall())
        assert rows[0] == rows[1]
        assert len(rows[0]) == len(ROWS) + 1
    with psycopg.connect(empty_dsn) as theirs:
        App(schema=schema).enqueue("x", connection=theirs)


def test_it_belongs_to_the_callers_transaction_and_leaves_its_path(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as theirs:
        run(theirs, "create schema mine; set local search_path = mine, public")
        run(theirs, migrate.plan("pgqueue"))
        run(theirs, "create table revision (n int)")  # as Alembic notes its own
        assert run(theirs, "select to_regclass('mine.revision') is not null") == [(True,)]
        theirs.rollback()
        assert run(theirs, "select to_regnamespace('pgqueue')") == [(None,)]
        run(theirs, "set search_path = public")
        run(theirs, migrate.plan("pgqueue"))
        theirs.commit()
        assert run(theirs, "show search_path") == [("public",)]
        assert run(theirs, VERSIONS) == ROWS


def test_an_upgrade_after_what_migrate_has_made(dsn: str) -> None:
    with psycopg.connect(dsn) as theirs, with_later():
        run(theirs, "insert into pgqueue.job (task) values ('x')")
        run(theirs, migrate.plan("pgqueue"))
        assert run(theirs, VERSIONS) == [*ROWS, (LATER.version, "later")]
        assert run(theirs, "select later from pgqueue.job") == [("100% new",)]
        assert App().migrate(connection=theirs) == []


def test_one_that_comes_too_early_is_refused(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as theirs:
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught:
            run(theirs, LATER.script())
        assert caught.value.diag.message_primary == (
            f"pgqueue: {LATER.id} comes after version {LATER.version - 1}, and this schema is at 0"
        )


def test_its_owner_need_not_be_allowed_to_make_schemas(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as theirs:
        run(theirs, "create role modest; create schema jobs authorization modest")
        run(theirs, "set local role modest")
        run(theirs, migrate.plan("jobs"))
        theirs.rollback()


def test_a_schema_without_the_rows_of_its_ledger_is_left_as_it_is(dsn: str) -> None:
    """As a dump that left them out: the comment of the table says what was applied."""
    with psycopg.connect(dsn) as theirs, with_later():
        run(theirs, "truncate pgqueue.migration")
        run(theirs, migrate.plan("pgqueue"))
        assert run(theirs, VERSIONS) == [(LATER.version, "later")]
        assert App().migrate(connection=theirs) == []


@pytest.mark.parametrize("isolation", [None, IsolationLevel.SERIALIZABLE], ids=str)
def test_who_comes_second_waits_for_the_first(
    empty_dsn: str, isolation: IsolationLevel | None
) -> None:
    """It finds all done; where its snapshot is older than that, it has to begin anew."""
    failed: list[Exception] = []
    with psycopg.connect(empty_dsn) as first, psycopg.connect(empty_dsn) as second:
        second.set_isolation_level(isolation)

        def follow() -> None:
            try:
                run(second, migrate.plan("pgqueue"))
            except psycopg.Error as exc:
                failed.append(exc)

        run(first, migrate.plan("pgqueue"))
        thread = threading.Thread(target=follow)
        thread.start()
        try:
            wait_until(lambda: waits(empty_dsn))
        finally:
            first.commit()
            thread.join()
        second.rollback()
        expected = [] if isolation is None else [errors.SerializationFailure]
        assert [type(exc) for exc in failed] == expected
        run(second, migrate.plan("pgqueue"))
        assert run(second, VERSIONS) == ROWS


def waits(dsn: str) -> bool:
    with psycopg.connect(dsn, autocommit=True) as look:
        return bool(
            run(
                look,
                "select pid from pg_locks join pg_database on pg_database.oid = database"
                " where locktype = 'advisory' and not granted and datname = current_database()",
            )
        )


def test_what_runs_with_its_owner_s_rights_still_does_after_a_migration(empty_dsn: str) -> None:
    """``create or replace`` takes them away: producers would be refused until roles are made."""
    doors = (
        "enqueue(jsonb)", "enqueue_checked(jsonb)",
        "enqueue_one(text, jsonb, text, integer, integer, boolean)",
        "enqueue_alike(text, jsonb, text, integer, integer)",
    )  # fmt: skip
    found = (
        "select proname, proconfig from pg_proc where prosecdef"
        " and pronamespace = 'pgqueue'::regnamespace order by 1"
    )
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        for migration in pgqueue.migrations()[:2]:
            run(connection, migration.script())
        for door in doors:
            run(connection, f"alter function pgqueue.{door} security definer")
        run(
            connection,
            f"alter function pgqueue.{doors[2]} set search_path = pg_catalog, pg_temp",
        )
        before = run(connection, found)
        for migration in pgqueue.migrations()[2:]:
            run(connection, migration.script())
        assert run(connection, found) == before
