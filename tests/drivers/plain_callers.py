"""The callers without Python in between: psql, and a trigger."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.drivers.blocking_callers import over_psycopg
from tests.drivers.caller import SAVEPOINT, TRANSACTION, Caller, by_sql, caller


class PsqlError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.sqlstate = message.split()[1].rstrip(":")


class Psql:
    """A psql that is talked to through its pipes."""

    def __init__(self, dsn: str) -> None:
        try:
            self._process = subprocess.Popen(
                ["psql", "-XAtq", "-v", "VERBOSITY=verbose", dsn],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                bufsize=1,
            )
        except FileNotFoundError:
            pytest.skip("psql is not installed")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{sql};\n\\echo ~end~\n")
        self._process.stdin.flush()
        lines: list[str] = []
        while (line := self._process.stdout.readline().rstrip("\n")) != "~end~":
            assert line or self._process.poll() is None, lines
            lines.append(line)
        for line in lines:
            if line.startswith(("ERROR:", "FATAL:")):
                raise PsqlError(line)
        return [tuple(line.split("|")) for line in lines]

    def run(self, sql: str, text: str) -> list[tuple[Any, ...]]:
        before, _, after = sql.replace("enqueue_checked(", "enqueue(").rpartition("$1")
        literal = "'" + text.replace("'", "''") + "'"
        rows = self.execute(f"{before}{literal}{after}")
        return [(int(job_id), duplicate == "t", state) for job_id, duplicate, state in rows]

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait(timeout=60)


@caller("psql")
def psql(dsn: str) -> Iterator[Caller]:
    session = Psql(dsn)
    try:
        yield Caller(
            execute=session.execute,
            transaction=lambda: by_sql(session.execute, *TRANSACTION),
            savepoint=lambda: by_sql(session.execute, *SAVEPOINT),
            run=session.run,
            autocommit=True,
        )
    finally:
        session.close()


TRIGGER = """
create table if not exists public.orders (doc jsonb, job_id bigint, duplicate boolean, state text);

create or replace function public.enqueue_order() returns trigger language plpgsql as $$
begin
    select answer.id, answer.duplicate, answer.state
      into new.job_id, new.duplicate, new.state
    from pgqueue.enqueue(new.doc) as answer;
    return new;
end
$$;

create or replace trigger enqueue_order before insert on public.orders
for each row execute function public.enqueue_order();
"""


@caller("trigger")
def trigger(dsn: str) -> Iterator[Caller]:
    with psycopg.connect(dsn) as connection:
        connection.execute(TRIGGER)
        connection.commit()
        theirs = over_psycopg(connection)

        def run(sql: str, text: str) -> list[tuple[Any, ...]]:
            return connection.execute(
                "insert into public.orders (doc) values (%s) returning job_id, duplicate, state",
                (text,),
            ).fetchall()

        theirs.run = run
        theirs.run_all = None
        yield theirs
