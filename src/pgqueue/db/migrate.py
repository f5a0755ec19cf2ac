"""Applies the numbered migrations, checks them, and refuses what this version cannot work with.

Every migration is one statement, ``migration.sql``, which also records it, under a lock that ends
with the transaction: a migrator that is killed at any moment leaves nothing behind, and many at
once take turns. It is the same statement on every connection and in the script for other tools.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue import failpoints
from pgqueue.db.commands import commands
from pgqueue.db.connect import open_connection
from pgqueue.db.statements import check_schema_name, quote_identifier, render, statement
from pgqueue.errors import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = [
    "LOCK",
    "Migration",
    "applied",
    "apply",
    "check",
    "known",
    "migrate",
    "migrations",
    "missing",
    "noted",
    "plan",
    "restore_ledger",
]

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
LOCK = "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 7585774586302733))"

# The catalogs themselves: what a session has remembered of names may be from before it waited for
# another migrator.
_FIND = """
select class.oid
from pg_catalog.pg_class as class
     join pg_catalog.pg_namespace as space on space.oid = class.relnamespace
where space.nspname = $1 and class.relname = 'migration'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, by its ``version`` (1, 2, ...) and its ``name``.

    ``breaking``: a pgqueue that does not know it must not run on it.
    ``sql``: its text, with ``:"schema"`` for the name of the schema; ``script`` is what to run.
    """

    version: int
    name: str
    breaking: bool
    sql: str

    @property
    def id(self) -> str:
        """Its number and its name, as errors and ``pgqueue migrate`` print them: ``0001_first``."""
        return f"{self.version:04d}_{self.name}"

    def script(self, schema: str = "pgqueue") -> str:
        """Return one statement that applies and records it, for any driver or tool.

        It belongs to the transaction that it runs in. A migration that was applied before is left
        as it is; the one before it must have been. Raises ConfigError for a wrong ``schema``.
        """
        text = _template()
        for name, value in (
            ("id", self.id),
            ("version", str(self.version)),
            ("name", self.name),
            ("breaking", str(self.breaking).lower()),
            ("commands", "\n".join(map(_execute, commands(self.sql)))),
        ):
            text = text.replace(f":{name}", value)
        return render(text, check_schema_name(schema))


def _execute(command: str) -> str:
    return f"execute $migration$\n{command}\n$migration$;"


@functools.cache
def _template() -> str:
    from importlib import resources

    return resources.files("pgqueue.db").joinpath("migration.sql").read_text("utf-8")


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


def migrations() -> tuple[Migration, ...]:
    """Return every migration of this version of pgqueue, oldest first.

    Which of them a database has: ``App.schema_status(connection=...)``.
    """
    return known()


def plan(schema: str, done: Iterable[int] = ()) -> str:
    """Return the SQL of what is missing: one statement for each migration, oldest first."""
    return "\n".join(migration.script(schema) for migration in missing(done))


async def applied(connection: Connection, schema: str) -> dict[int, tuple[str, bool]]:
    """Return version -> (name, breaking) of what is applied; empty if the schema is missing."""
    table = f"{quote_identifier(schema)}.migration"
    async with connection.transaction():
        if await connection.fetchval(_FIND, schema) is None:
            return {}
        rows = await connection.fetch(statement("schema_versions", schema))
        if not rows:
            sql = "select pg_catalog.obj_description(pg_catalog.to_regclass($1), 'pg_class')"
            return noted(await connection.fetchval(sql, table))
    recorded = {row["version"]: (row["name"], row["breaking"]) for row in rows}
    return {**_up_to(max(recorded)), **recorded}


def noted(comment: str | None) -> dict[int, tuple[str, bool]]:
    """Return what is applied, as the comment of a table without rows tells.

    A version that is not known here counts as one that breaks.
    """
    match = re.fullmatch(r"pgqueue version (\d+)", comment or "")
    if match is None:
        return {}
    version = int(match.group(1))
    return {**_up_to(version - 1), version: _up_to(version).get(version, ("unknown", True))}


def _up_to(version: int) -> dict[int, tuple[str, bool]]:
    """The known ones up to that version: each is applied after the one before it."""
    return {m.version: (m.name, m.breaking) for m in known() if m.version <= version}


async def restore_ledger(connection: Connection, schema: str) -> None:
    """Record again what is applied, where the rows are lost; within a transaction."""
    for version, (name, breaking) in (await applied(connection, schema)).items():
        await connection.execute(statement("record_migration", schema), version, name, breaking)


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
    fresh: list[Migration] = []
    for migration in missing(done):
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(LOCK, schema)
            if migration.version in await applied(connection, schema):
                continue
            await connection.execute(migration.script(schema))
            if failpoints.armed is not None:
                failpoints.armed.reach("migrate.applied", connection.terminate)
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
