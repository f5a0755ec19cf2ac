"""Databases that one test after the other is given, each time as they were when they were new.

To make a database and to drop it costs more than most tests do in it. So where a test has only
added rows, these are removed, and the next test is given the same database. All else is compared
with what there was in the beginning. A database in which anything differs is not used again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.harness.waiting import remaining

if TYPE_CHECKING:
    from tests.harness.servers import Server

__all__ = ["Reused"]

# What a database consists of. A row that is newer than the database, or one less, is a difference.
_CATALOGS = (
    "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_event_trigger",
    "pg_extension", "pg_largeobject_metadata", "pg_namespace", "pg_operator", "pg_policy",
    "pg_proc", "pg_publication", "pg_rewrite", "pg_trigger", "pg_type",
)  # fmt: skip
_COME_WITH_THE_SCHEMA = ("duty", "home", "migration")  # the rows of these tables
_COUNT = (
    "select count(*), count(*) filter (where age(t.xmin) <= age(%(born)s::text::xid)) from {} as t"
)
_OF_THE_SERVER = """
select datdba, datacl::text, datconnlimit, datallowconn,
       array(select (setrole, setconfig)::text from pg_db_role_setting where setdatabase = d.oid),
       (select count(*) from pg_prepared_xacts where database = datname),
       (select count(*) from pg_replication_slots where database = datname),
       (select count(*) from pg_subscription where subdbid = d.oid)
from pg_database as d where datname = current_database()
"""
_TABLES = """
select nspname, relname, nspname = 'pgqueue' and relname = any (%s)
from pg_class join pg_namespace as n on n.oid = relnamespace
where relkind in ('r', 'p') and not relispartition
  and nspname not in ('pg_catalog', 'information_schema')
"""
_SEQUENCES = "select schemaname, sequencename, start_value, last_value from pg_sequences"
_SESSIONS_END_SECONDS = 5.0  # of those that were closed


@dataclass(frozen=True, slots=True)
class _New:
    """A database when it was new: the next transaction, its definitions, and how to get there."""

    born: str
    state: list[Any]
    look: sql.Composed
    clear: sql.Composed


class Reused:
    """The databases of one server that are there to be given to the next test, by kind."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: dict[object, list[str]] = defaultdict(list)
        self._new: dict[str, _New] = {}

    def take(self, kind: object) -> str | None:
        """A database of that kind, if there is one."""
        free = self._free[kind]
        return free.pop() if free else None

    def take_all(self) -> list[str]:
        """All that are there, so that they can be dropped."""
        return [name for free in self._free.values() for name in free]

    def add(self, name: str) -> None:
        """Remember what this database is like, which is new."""
        with self._connect(name) as connection:
            self._new[name] = _describe(connection)

    def release(self, kind: object, name: str) -> bool:
        """Make it as new and keep it for the next test; False if that cannot be."""
        new = self._new[name]
        if remaining(lambda: self._server.sessions(name), timeout_s=_SESSIONS_END_SECONDS):
            return False
        try:
            with self._connect(name) as connection:
                connection.execute(new.clear)
                same = _state(connection, new.look, new.born) == new.state
        except psycopg.Error:
            return False
        if same:
            self._free[kind].append(name)
        return same

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._server.dsn_for(name), autocommit=True, options="-c search_path=pg_catalog"
        )


def _describe(connection: psycopg.Connection[Any]) -> _New:
    tables = connection.execute(_TABLES, (list(_COME_WITH_THE_SCHEMA),)).fetchall()
    ours = [(schema, table) for schema, table, comes_with_it in tables if comes_with_it]
    counted = [*(("pg_catalog", catalog) for catalog in _CATALOGS), *ours]
    counts = [sql.SQL(_COUNT).format(sql.Identifier(*one)) for one in counted]
    clear = [sql.SQL("set session_replication_role = replica")]  # no trigger, no order
    clear += [
        sql.SQL("delete from {}").format(sql.Identifier(schema, table))
        for schema, table, comes_with_it in tables
        if not comes_with_it
    ]
    for schema, sequence, start, last in connection.execute(_SEQUENCES).fetchall():
        clear.append(
            sql.SQL("select setval({}::regclass, {}, {})").format(
                sql.Literal(sql.Identifier(schema, sequence).as_string()),
                sql.Literal(start if last is None else last),
                sql.Literal(last is not None),
            )
        )
    rows = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchall()
    born = rows[0][0]
    look = sql.SQL(" union all ").join(counts)
    return _New(born, _state(connection, look, born), look, sql.SQL("; ").join(clear))


def _state(connection: psycopg.Connection[Any], look: sql.Composed, born: str) -> list[Any]:
    """How many rows each catalog has, and how many of them are newer than the database."""
    state: list[Any] = connection.execute(look, {"born": born}).fetchall()
    return state + connection.execute(_OF_THE_SERVER).fetchall()
