"""PostgreSQL servers for the tests, and their databases."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from pgqueue.embedded import Cluster, installed, locks, postmaster
from tests.harness.databases import Reused

__all__ = ["Server", "chosen", "missing", "own_server", "sweep", "theirs", "with_database"]

# Nothing here survives a power loss, and nothing has to.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "5",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "autovacuum_naptime": "5s",
    "jit": "off",
    "log_line_prefix": "%m [%p] %d ",
}


# A copy of a database is one on which no worker starts, unless it is adopted.
ADOPT = """
do $$
begin
    if to_regclass('pgqueue.home') is not null then
        delete from pgqueue.home;
        insert into pgqueue.home (system_id, database_oid) select * from pgqueue.here();
    end if;
end
$$
"""


def _root() -> Path:
    """In memory where there is room: a new database is some 300 new files, slow on many disks."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    parent = memory if roomy and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    return parent / f"pgqueue-tests-{os.getuid()}"


ROOT = _root()


class Server:
    """A running server: ``dsn`` is its superuser's; ``cluster`` is None if it is not ours."""

    def __init__(self, dsn: str, cluster: Cluster | None = None) -> None:
        self.dsn = dsn
        self.cluster = cluster
        with self.connect() as connection:
            self.version_num = connection.info.server_version
        self.major = self.version_num // 10000
        self._prefix = f"pgqueue_test_{os.getpid()}"
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}
        self._session: psycopg.Connection[Any] | None = None
        self._turn = threading.Lock()
        self.reused = Reused(self)

    def __repr__(self) -> str:
        return f"<Server {self.major}>"

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """A blocking superuser connection in autocommit mode."""
        return psycopg.connect(self.dsn_for(database) if database else self.dsn, autocommit=True)

    def dsn_for(self, database: str) -> str:
        return with_database(self.dsn, database)

    def create(self, template: str = "template0") -> str:
        """Make a database and return its name."""
        name = self.new_name()
        # The other strategy writes each page into the log: it takes twice the processor time.
        self.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        if template != "template0":
            with self.connect(name) as connection:
                connection.execute(ADOPT)
        return name

    def new_name(self) -> str:
        """A name that no database has."""
        return f"{self._prefix}_{next(self._numbers)}"

    def drop(self, database: str) -> None:
        self.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database))
        )

    def template(self, key: str, fill: Callable[[str], Coroutine[Any, Any, object]]) -> str:
        """The database filled by ``await fill(dsn)``, once for each key, to make others from."""
        if key not in self._templates:
            name = self.create()
            run_apart(fill(self.dsn_for(name)))
            self._templates[key] = name
        return self._templates[key]

    def sessions(self, database: str, like: str = "%") -> list[str]:
        """The other sessions of a database whose application_name is like that."""
        rows = self.execute(
            "select application_name, state, left(query, 100) from pg_stat_activity"
            " where datname = %s and application_name like %s and pid <> pg_backend_pid()",
            (database, like),
        )
        return [f"{name} ({state}): {query}" for name, state, query in rows]

    def execute(self, query: Any, params: tuple[str, ...] | None = None) -> list[Any]:
        """Run a statement in a session that is kept: most tests need some."""
        with self._turn:
            try:
                return self._did(query, params)
            except psycopg.OperationalError:
                if self._session is not None and not self._session.closed:
                    raise
                return self._did(query, params)  # the server was started anew

    def _did(self, query: Any, params: tuple[str, ...] | None) -> list[Any]:
        if self._session is None or self._session.closed:
            self._session = self.connect()
        done = self._session.execute(query, params)
        return done.fetchall() if done.description else []

    def close(self) -> None:
        """Drop what is there to be used again, and end the session that was kept."""
        for name in (*self.reused.take_all(), *self._templates.values()):
            self.drop(name)
        self.leave()

    def leave(self) -> None:
        """End the session that was kept."""
        if self._session is not None:
            self._session.close()


def with_database(dsn: str, database: str) -> str:
    """Return this dsn with another database in it."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


@functools.cache
def _majors() -> frozenset[int]:
    """What is installed; each collected test wants to know."""
    return frozenset(binaries.major for binaries in installed())


def chosen() -> list[int | None]:
    """The majors of PGQUEUE_TEST_PG; the newest that is there by default; None for their dsn."""
    if theirs():
        return [None]
    words = os.environ.get("PGQUEUE_TEST_PG", "").replace(",", " ").split()
    if words == ["all"]:
        return sorted(_majors())
    if words:
        return [int(word) for word in words]
    return [max(_majors(), default=18)]


def theirs() -> str | None:
    """The dsn of a server that is there already, and not ours to stop."""
    return os.environ.get("PGQUEUE_TEST_DSN") or None


def missing(what: str) -> Any:
    """A service that was asked for is not there: a failure on CI, at home a skip."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"{what}; CI must have it", pytrace=False)
    pytest.skip(what)


@contextmanager
def own_server(major: int, *, settings: dict[str, str] | None = None) -> Iterator[Server]:
    """A new cluster of that version, gone with its data at the end."""
    found = [binaries for binaries in installed() if binaries.major == major]
    if not found:
        missing(f"PostgreSQL {major} is not installed")
    ROOT.mkdir(mode=0o755, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{major}-", dir=ROOT))
    home.chmod(0o755)
    with locks.held(home / "used.lock"):
        cluster = Cluster(home / "data", found[0], settings={**SETTINGS, **(settings or {})})
        server = None
        try:
            cluster.initdb(sync=False)
            cluster.start()
            server = Server(cluster.dsn, cluster)
            yield server
        finally:
            if server is not None:
                server.leave()
            cluster.stop("immediate")
            shutil.rmtree(home, ignore_errors=True)


def sweep() -> None:
    """Stop and remove what test runs that were killed have left behind."""
    for used in ROOT.glob("*-*/used.lock"):  # without one it is just being made
        home = used.parent
        try:
            lock = locks.open_lock(used)
        except OSError:
            continue
        try:
            if locks.try_exclusive(lock):
                postmaster.stop(home / "data", "immediate")
                shutil.rmtree(home, ignore_errors=True)
        finally:
            os.close(lock)


def run_apart(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine to its end in an event loop and a thread of its own."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=run, name="test-run-apart")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
