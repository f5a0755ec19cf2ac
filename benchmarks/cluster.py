"""The PostgreSQL that everything is measured on, and one new database for each run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.procs import tree_cpu
from pgqueue.client import Client
from pgqueue.embedded import Cluster
from pgqueue.embedded.binaries import find

__all__ = ["SETTINGS", "Database", "Server", "own_server"]

# Durable as PostgreSQL is by default. The rest keeps checkpoints, which would fall into one
# system's run and not into another's, out of the measured time.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "max_connections": "1200",
    "jit": "off",
}
_READER = "the held snapshot"


class Database:
    """One run's database."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.dsn = server.cluster.dsn_for(name)
        self._probe: psycopg.Connection[Any] | None = None
        self._asked = 0

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)

    def count(self, query: str) -> int:
        """Ask on one connection: a new one for each look would be most of the server's CPU."""
        if self._probe is None:
            self._probe = self.connect()
        row = self._probe.execute(query.encode()).fetchone()
        assert row is not None
        self._asked += 1
        return int(row[0])

    def leave(self) -> None:
        """End the session of ``count``."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def execute(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement.encode())

    @contextmanager
    def held_snapshot(self) -> Iterator[None]:
        """Keep a reader's snapshot open for the body: nothing dead can be removed meanwhile."""
        with psycopg.connect(self.dsn, application_name=_READER) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("select count(*) from pg_class")
            yield
            connection.rollback()

    def transactions(self) -> int:
        """Transactions ended here so far but ours; a session reports its last when it ends."""
        row = self.server.query(
            "select xact_commit + xact_rollback from pg_stat_database where datname = %s", self.name
        )
        return int(row[0]) - self._asked

    def wait_until_left(self, seconds: float = 10.0) -> None:
        """Wait until no session is left here but the one that holds a snapshot."""
        self.leave()
        deadline = time.monotonic() + seconds
        while self.server.query(
            "select count(*) from pg_stat_activity where datname = %s and application_name <> %s",
            self.name,
            _READER,
        )[0]:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)


class Server:
    """A running server, with a template database for each system."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._connection = psycopg.connect(cluster.dsn, autocommit=True)
        self._templates: dict[str, str] = {}
        self._made = 0

    @property
    def version(self) -> str:
        return str(self.query("show server_version")[0])

    @property
    def wal(self) -> int:
        """Bytes of WAL written so far."""
        return int(self.query("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0])

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the server has used, all its processes together."""
        pid = self.cluster.pid
        return tree_cpu([pid]) if pid else 0.0

    def set(self, name: str, value: str | None) -> None:
        """Set something for all sessions, also those that are open; None: its default again."""
        to = sql.SQL("set {} = {}" if value is not None else "reset {}")
        parts = [sql.Identifier(name), *([sql.Literal(value)] if value is not None else [])]
        self._connection.execute(sql.SQL("alter system ") + to.format(*parts))
        self._connection.execute("select pg_reload_conf()")

    def restart(self) -> float:
        """Restart it in order; return the moment at which it was up again."""
        self._connection.close()
        self.cluster.restart()
        up = time.monotonic()
        self._connection = psycopg.connect(self.cluster.dsn, autocommit=True)
        return up

    def query(self, statement: str, *parameters: object) -> tuple[Any, ...]:
        row = self._connection.execute(statement.encode(), parameters or None).fetchone()
        assert row is not None
        return row

    @contextmanager
    def database(
        self, key: str, install: Callable[[str], None], *, settled: bool = True
    ) -> Iterator[Database]:
        """A copy of the database that ``install(dsn)`` has filled, for the body."""
        if key not in self._templates:
            name = "template_" + "".join(c if c.isalnum() else "_" for c in key)
            self._create(name, "template0")
            try:
                install(self.cluster.dsn_for(name))
            except BaseException:
                self._drop(name)
                raise
            self._templates[key] = name
        self._made += 1
        name = f"run_{self._made}"
        Database(self, self._templates[key]).wait_until_left()
        self._create(name, self._templates[key])
        self._adopt(name)
        # The pages copied from the template are written in full at their first change after a
        # checkpoint: all runs start behind one of their own.
        if settled:
            self.checkpoint()
        database = Database(self, name)
        try:
            yield database
        finally:
            database.leave()
            self._drop(name)

    def checkpoint(self) -> None:
        self._connection.execute("checkpoint")

    def _create(self, name: str, template: str) -> None:
        self._connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

    def _adopt(self, name: str) -> None:
        """Tell a schema of pgqueue that it belongs here: on a copy no worker of it starts."""
        dsn = self.cluster.dsn_for(name)
        with psycopg.connect(dsn) as connection:
            row = connection.execute("select to_regclass('pgqueue.home') is not null").fetchone()
        if row == (True,):
            with Client(dsn) as client:
                client.adopt()

    def _drop(self, name: str) -> None:
        self._connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )

    def close(self) -> None:
        self._connection.close()


@contextmanager
def own_server() -> Iterator[Server]:
    """A new cluster on disk, gone with its data at the end."""
    parent = os.environ.get("PGQUEUE_BENCH_DIR") or "/var/tmp"
    home = Path(tempfile.mkdtemp(prefix="pgqueue-bench-", dir=parent))
    home.chmod(0o755)
    cluster = Cluster(home / "data", find(18), settings=SETTINGS)
    try:
        cluster.initdb()
        cluster.start()
        server = Server(cluster)
        try:
            yield server
        finally:
            server.close()
    finally:
        cluster.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)
