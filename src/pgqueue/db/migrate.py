"""Applies the numbered migrations, checks them, and refuses what this version cannot work with.

Every migration runs in one transaction together with the row that records it, under a lock that
ends with the transaction: a migrator that is killed at any statement leaves nothing behind, and
many at once take turns.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue import failpoints
from pgqueue.db.connect import open_connection
from pgqueue.db.statements import check_schema_name, quote_identifier, render, statement
from pgqueue.errors import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = [
    "LEDGER",
    "LOCK",
    "Migration",
    "applied",
    "apply",
    "check",
    "known",
    "migrate",
    "missing",
    "noted",
    "plan",
    "restore_ledger",
]

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
LEDGER = """\
create table if not exists :"schema".migration (
    version    integer primary key,
    name       text not null,
    breaking   boolean not null,
    applied_at timestamptz not null default statement_timestamp()
)"""
_COMMENT = "pgqueue version "
_PATH = "set local search_path = ''"
LOCK = "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 7585774586302733))"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. ``breaking``: versions that do not know it must not run on it."""

    version: int
    name: str
    breaking: bool
    sql: str


@functools.cache
def known() -> tuple[Migration, ...]:
    """Every migration of this version, oldest first."""
    from importlib import resources

    found: list[Migration] = []
    for file in resources.files("pgqueue.db").joinpath("migrations").iterdir():
        match = _FILE.match(file.name)
        if match is None:
            continue
        sql = file.read_text("utf-8")
        breaking = re.search(r"^-- breaking: (yes|no)$", sql, re.MULTILINE)
        if breaking is None:
            raise SchemaError(f'{file.name} has no "-- breaking: yes|no" line')
        found.append(
            Migration(int(match.group(1)), match.group(2), breaking.group(1) == "yes", sql)
        )
    found.sort(key=lambda m: m.version)
    return tuple(found)


def plan(schema: str, done: Iterable[int] = ()) -> str:
    """Return the SQL that would be run, valid in psql as it stands, one transaction each."""
    check_schema_name(schema)
    applied = set(done)
    parts: list[str] = []
    if not applied:
        parts.append(
            f"create schema if not exists {quote_identifier(schema)};\n{render(LEDGER, schema)};\n"
        )
    for migration in missing(applied):
        body = f"{_PATH};\n{render(migration.sql, schema)}\n{_record(migration, schema)};"
        parts.append(f"begin;\n{body}\ncommit;\n")
    return "\n".join(parts)


def _record(migration: Migration, schema: str) -> str:
    """The row, and the same as a comment, which is there where a dump left the rows out."""
    return (
        # A quoted identifier and constants of ours.
        f"insert into {quote_identifier(schema)}.migration (version, name, breaking) "  # noqa: S608
        f"values ({migration.version}, '{migration.name}', {str(migration.breaking).lower()});\n"
        f"comment on table {quote_identifier(schema)}.migration "
        f"is '{_COMMENT}{migration.version}'"
    )


async def applied(connection: Connection, schema: str) -> dict[int, tuple[str, bool]]:
    """Return version -> (name, breaking) of what is applied; empty if the schema is missing."""
    table = f"{quote_identifier(schema)}.migration"
    async with connection.transaction():
        if await connection.fetchval("select pg_catalog.to_regclass($1)", table) is None:
            return {}
        rows = await connection.fetch(statement("schema_versions", schema))
        if not rows:
            sql = "select pg_catalog.obj_description(pg_catalog.to_regclass($1), 'pg_class')"
            return noted(await connection.fetchval(sql, table))
    return {row["version"]: (row["name"], row["breaking"]) for row in rows}


def noted(comment: str | None) -> dict[int, tuple[str, bool]]:
    """Return what is applied, as the comment of a table without rows tells.

    A version that is not known here counts as one that breaks.
    """
    match = re.fullmatch(rf"{_COMMENT}(\d+)", comment or "")
    if match is None:
        return {}
    version = int(match.group(1))
    found = {m.version: (m.name, m.breaking) for m in known() if m.version <= version}
    return found if version in found else {**found, version: ("unknown", True)}


async def restore_ledger(connection: Connection, schema: str) -> None:
    """Record again what is applied, where the rows are lost; within a transaction."""
    done = await applied(connection, schema)
    for migration in known():
        if migration.version in done:
            await connection.execute(_record(migration, schema))


def missing(done: Iterable[int]) -> list[Migration]:
    """Return the migrations that are still to be applied, oldest first."""
    have = set(done)
    return [migration for migration in known() if migration.version not in have]


def check(done: dict[int, tuple[str, bool]], schema: str) -> None:
    """Raise SchemaError unless this version can work with what is applied."""
    newest = known()[-1].version
    if not done:
        raise SchemaError(f'schema "{schema}" has no pgqueue tables; run: {_command(schema)}')
    lacking = missing(done)
    if lacking:
        raise SchemaError(
            f'schema "{schema}" is at version {max(done)}, this pgqueue needs {newest}; '
            f"run: {_command(schema)}"
        )
    breaking = [version for version, (_, breaks) in done.items() if breaks and version > newest]
    if breaking:
        raise SchemaError(
            f'schema "{schema}" is at version {max(breaking)}, which this pgqueue (up to {newest}) '
            "cannot work with; upgrade with: pip install --upgrade pgqueue-py"
        )


def _command(schema: str) -> str:
    return "pgqueue migrate" + ("" if schema == "pgqueue" else f" --schema {shlex.quote(schema)}")


async def apply(connection: Connection, schema: str) -> list[Migration]:
    """Apply what is missing; return it. Safe when many start at once."""
    check_schema_name(schema)
    done = await applied(connection, schema)
    if done and not missing(done):
        check(done, schema)
        return []
    fresh: list[Migration] = []
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(_PATH)
        await connection.execute(LOCK, schema)
        exists = await connection.fetchval(
            "select exists (select from pg_catalog.pg_namespace where nspname = $1)", schema
        )
        if not exists:
            await connection.execute(f"create schema {quote_identifier(schema)}")
        await connection.execute(
            f"set local client_min_messages = warning;{render(LEDGER, schema)}"
        )
    if failpoints.armed is not None:
        failpoints.armed.reach("migrate.created", connection.terminate)
    for migration in known():
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(_PATH)
            await connection.execute(LOCK, schema)
            if migration.version in await applied(connection, schema):
                continue
            await connection.execute(render(migration.sql, schema))
            if failpoints.armed is not None:
                failpoints.armed.reach("migrate.applied", connection.terminate)
            await connection.execute(_record(migration, schema))
            if failpoints.armed is not None:
                failpoints.armed.reach("migrate.recorded", connection.terminate)
            fresh.append(migration)
    if failpoints.armed is not None:
        failpoints.armed.reach("migrate.committed", connection.terminate)
    check(await applied(connection, schema), schema)
    return fresh


async def migrate(dsn: str, schema: str = "pgqueue") -> list[Migration]:
    """Connect, apply what is missing, disconnect; return what was applied."""
    connection = await open_connection(dsn, name="pgqueue migrate", seconds=60.0, settings={})
    try:
        return await apply(connection, schema)
    finally:
        await connection.close()
