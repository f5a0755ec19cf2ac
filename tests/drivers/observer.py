"""The statement under test, and another session that looks at what came of it."""

from __future__ import annotations

from typing import Any

import psycopg

from pgqueue.db.statements import quote_identifier

__all__ = ["BAD", "JOB", "ONE", "SQL", "Observer", "enqueue_in"]


def enqueue_in(schema: str) -> str:
    return (
        "select id, duplicate, state "
        f"from {quote_identifier(schema)}.enqueue_checked(cast(cast($1 as text) as jsonb))"
    )


SQL = enqueue_in("pgqueue")
JOB = '{"task": "t"}'
ONE = f"[{JOB}]"
BAD = '[{"task": null}]'


class Observer:
    """Another session."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    def jobs(self, schema: str = "pgqueue") -> list[tuple[Any, ...]]:
        table = psycopg.sql.Identifier(schema, "job")
        query = psycopg.sql.SQL("select id, args from {} order by id").format(table)
        return self.connection.execute(query).fetchall()

    def state(self, pid: int) -> str:
        row = self.connection.execute(
            "select state from pg_stat_activity where pid = %s", (pid,)
        ).fetchone()
        assert row
        return str(row[0])

    def waits(self, pid: int) -> bool:
        row = self.connection.execute(
            "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", (pid,)
        ).fetchone()
        return bool(row and row[0])

    def sessions(self) -> set[int]:
        """Return the pids of the sessions here; some may be about to end."""
        rows = self.connection.execute(
            "select pid from pg_stat_activity"
            " where datname = current_database() and backend_type = 'client backend'"
        )
        return {pid for (pid,) in rows}

    def kill(self, pid: int) -> None:
        self.connection.execute("select pg_terminate_backend(%s, 10000)", (pid,))
