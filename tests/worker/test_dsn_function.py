"""A dsn that is a function: asked in each process for each new connection, never before."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue import App, Client, ConfigError, Unreachable, current_job
from tests.harness.waiting import eventually, wait_until
from tests.worker.support import Eyes, working

_numbers = itertools.count(1)


class Secrets:
    """The login of an app, which is changed now and then; the old one is no good any more."""

    def __init__(self, dsn: str) -> None:
        self._admin = psycopg.connect(dsn, autocommit=True)
        self._dsn = dsn
        self._roles: list[str] = []
        self.asked: list[int] = []
        self.rotate()

    def __call__(self) -> str:
        self.asked.append(threading.get_ident())
        return self.current

    def rotate(self) -> None:
        for old in self._roles[-1:]:
            self._admin.execute(f"alter role {old} nologin")  # type: ignore[arg-type]
        role = f"rotated_{os.getpid()}_{next(_numbers)}"
        self._admin.execute(f"create role {role} superuser login")  # type: ignore[arg-type]
        self._roles.append(role)
        given = {**conninfo_to_dict(self._dsn), "user": role}
        self.current = make_conninfo(**given)  # type: ignore[arg-type]

    def end_sessions(self) -> None:
        """As a failover would: afterwards their sockets are closed."""
        ended = self._admin.execute(
            "select pid, pg_terminate_backend(pid) from pg_stat_activity where usename = any (%s)",
            [self._roles],
        ).fetchall()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid, _ in ended))

    def close(self) -> None:
        self.end_sessions()
        for role in self._roles:
            self._admin.execute(f"drop owned by {role}")  # type: ignore[arg-type]
            self._admin.execute(f"drop role {role}")  # type: ignore[arg-type]
        self._admin.close()


@pytest.fixture
def secrets(dsn: str) -> Iterator[Secrets]:
    secrets = Secrets(dsn)
    try:
        yield secrets
    finally:
        secrets.close()


def test_nobody_asks_before_a_connection_is_needed(secrets: Secrets) -> None:
    with Client(secrets) as client:
        assert "Secrets" in repr(client.pool) or "function" in repr(client.pool)
        assert secrets.asked == []
        client.enqueue("x")
        client.enqueue("x")
        assert len(secrets.asked) == 1


def test_blocking_calls_ask_again_for_the_next_connection(secrets: Secrets) -> None:
    with Client(secrets) as client:
        client.enqueue("x")
        secrets.rotate()
        secrets.end_sessions()
        client.enqueue("x")
        assert len(secrets.asked) == 2


async def test_async_calls_ask_again_in_a_thread(secrets: Secrets) -> None:
    async with Client(secrets) as client:
        await client.aenqueue("x")
        secrets.rotate()
        secrets.end_sessions()
        await eventually(
            lambda: all(c.is_closed() for s in client.pool.opened.loops.values() for c in s.idle)
        )
        await client.aenqueue("x")
        assert len(secrets.asked) == 2
        assert threading.get_ident() not in secrets.asked


async def test_a_worker_goes_on_with_a_rotated_login(secrets: Secrets, eyes: Eyes) -> None:
    async with App(secrets) as app:
        done: list[str] = []

        @app.task
        async def plain() -> None:
            done.append("plain")

        @app.task
        async def together() -> None:
            job = current_job()
            async with job.transaction() as tx:
                done.append(await tx.fetchval("select session_user"))

        @app.task
        def in_thread() -> None:
            job = current_job()
            with job.transaction() as tx:
                row = tx.execute("select session_user").fetchone()
                done.append(row[0])

        async with working(app):
            for n in range(2):
                for task in (plain, together, in_thread):
                    await task.aenqueue()
                await eventually(lambda n=n: len(done) == 3 * (n + 1))
                secrets.rotate()
                secrets.end_sessions()
        users = {user for user in done if user != "plain"}
        assert len(users) == 2
        assert sorted(done[:3])[1] == sorted(done[:3])[2]


async def test_a_function_that_hangs_does_not_block_the_loop() -> None:
    gate = threading.Event()

    def hang() -> str:
        gate.wait(60)
        return "postgresql://h/d"

    client = Client(hang)
    client.pool.deadline = 0.2
    call = asyncio.create_task(client.aenqueue("x"))
    try:
        with pytest.raises(Unreachable, match="has not returned within"):
            await call
    finally:
        gate.set()


def fail() -> str:
    raise LookupError("no such secret")


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (fail, Unreachable, "given as dsn failed: LookupError: no such secret"),
        (lambda: None, ConfigError, "must return a string"),
        (lambda: "mysql://h/d", ConfigError, "is not understood"),
    ],
)
def test_a_function_that_gives_no_dsn(function: Any, error: type[Exception], said: str) -> None:
    with Client(function) as client, pytest.raises(error, match=said):
        client.enqueue("x")


def test_a_coroutine_function_is_refused() -> None:
    async def later() -> str:
        return ""

    with pytest.raises(ConfigError, match="plain function"):
        Client(later)  # type: ignore[arg-type]


def _where() -> str:
    return os.environ["PGQUEUE_TEST_WHERE"]


forked_app = App(_where)


def _enqueue_in_child() -> None:
    with forked_app:
        forked_app.enqueue("x")


@pytest.mark.parametrize("how", ["spawn", "fork"])
async def test_each_process_asks_for_itself(
    how: str, dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGQUEUE_TEST_WHERE", "postgresql://nowhere/none")
    assert "nowhere" in forked_app.pool.dsn  # the parent's is no good
    monkeypatch.setenv("PGQUEUE_TEST_WHERE", dsn)
    process = multiprocessing.get_context(how).Process(target=_enqueue_in_child)
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == 0
    assert await eyes.connection.fetchval("select count(*) from pgqueue.job") == 1
    forked_app.pool.source._last = None
