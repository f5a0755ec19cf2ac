"""Servers with several users: who starts them, and that they stop with the last one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psycopg
import pytest
import sqlalchemy
from tests.embedded.conftest import User, kill_keepers
from tests.harness.waiting import wait_until

from pgqueue.embedded import is_embedded, join, leave, postmaster, resolve
from pgqueue.errors import ConfigError, EmbeddedError

New = Callable[[], User]
Ask = Callable[[], bool]


def select_1(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select 1").fetchone()
        assert row is not None
        return row[0]


def test_only_embedded_dsns_are_resolved() -> None:
    assert resolve("postgresql://host/db") == "postgresql://host/db"
    assert is_embedded("embedded:x")
    assert not is_embedded("postgresql://host/embedded:x")
    with pytest.raises(ConfigError, match="embedded:DIR"):
        resolve("embedded:")


async def test_every_driver_understands_the_dsn(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    dsn = resolve(f"embedded:{directory}")
    assert select_1(dsn) == 1
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("show timezone") == "UTC"
    assert await connection.fetchval("show fsync") == "on"
    await connection.close()
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as bound:
        assert bound.scalar(sqlalchemy.text("select 1")) == 1
    engine.dispose()
    from sqlalchemy.ext.asyncio import create_async_engine

    async_engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
    async with async_engine.connect() as async_bound:
        assert await async_bound.scalar(sqlalchemy.text("select 1")) == 1
    await async_engine.dispose()


def test_the_server_stops_with_the_last_leave_and_keeps_its_data(
    directory: Path, running: Ask
) -> None:
    dsn = join(directory)
    assert join(directory) == dsn
    with psycopg.connect(dsn) as connection:
        connection.execute("create table t as select 42 as x")
    leave(directory)
    assert running()
    leave(directory)
    assert not running()
    leave(directory)

    with psycopg.connect(join(directory)) as connection:
        assert connection.execute("select x from t").fetchone() == (42,)


def test_processes_share_a_server(new_user: New, running: Ask, kept: Ask) -> None:
    first, second = new_user(), new_user()
    assert select_1(first.read()) == 1
    assert select_1(second.read()) == 1
    first.quit()
    assert running()
    second.quit()
    assert not running()
    wait_until(lambda: not kept(), what="the keeper's end")


def test_eight_processes_join_at_once(new_user: New, running: Ask) -> None:
    users = [new_user() for _ in range(8)]
    assert len({user.read() for user in users}) == 1
    for user in users[1:]:
        user.kill()
    assert running()
    assert select_1(users[0].do("print(join(sys.argv[1]))")) == 1
    users[0].kill()
    wait_until(lambda: not running(), what="the server's end")


def test_killing_the_last_user_stops_the_server(new_user: New, running: Ask, kept: Ask) -> None:
    user = new_user()
    user.read()
    user.kill()
    wait_until(lambda: not running(), what="the server's end")
    wait_until(lambda: not kept(), what="the keeper's end")


def test_a_user_killed_while_it_starts_the_server(
    directory: Path, new_user: New, running: Ask
) -> None:
    user = new_user()
    wait_until(lambda: (directory / "keeper.lock").exists() or None, what="the start's beginning")
    user.kill()
    assert select_1(join(directory)) == 1
    leave(directory)
    assert not running()


def test_join_while_the_keeper_stops_the_server(directory: Path, new_user: New) -> None:
    for _ in range(3):
        user = new_user()
        user.read()
        user.kill()
        assert select_1(join(directory)) == 1
        leave(directory)


def test_after_everything_was_killed(directory: Path, new_user: New, running: Ask) -> None:
    user = new_user()
    user.read()
    server = postmaster.read(directory / "data")
    assert server is not None
    assert kill_keepers(directory)
    user.kill()
    os.kill(server.pid, signal.SIGKILL)

    assert select_1(join(directory)) == 1
    leave(directory)
    assert not running()


def test_a_killed_keeper_is_replaced_by_the_next_join(
    directory: Path, new_user: New, running: Ask
) -> None:
    user = new_user()
    user.read()
    assert kill_keepers(directory)
    user.kill()
    assert running()

    other = new_user()
    other.read()
    other.kill()
    wait_until(lambda: not running(), what="the server's end")


def test_a_killed_server_is_started_by_the_next_resolve(directory: Path) -> None:
    dsn = join(directory)
    server = postmaster.read(directory / "data")
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    assert join(directory) == dsn
    assert select_1(dsn) == 1
    leave(directory)


@pytest.mark.parametrize("whose", ["init", "ours"])
def test_a_reused_pid_does_not_block(directory: Path, running: Ask, whose: str) -> None:
    join(directory)
    pid = 1 if whose == "init" else os.getpid()
    pid_file = directory / "data/postmaster.pid"
    socket_lock = directory / "data/.s.PGSQL.5432.lock"
    left = {path: path.read_text().splitlines() for path in (pid_file, socket_lock)}
    leave(directory)
    for path, lines in left.items():
        path.write_text("\n".join([str(pid), *lines[1:]]) + "\n")
    assert not running()
    assert select_1(join(directory)) == 1


def test_a_forked_child_is_a_user(directory: Path, running: Ask) -> None:
    join(directory)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        ours.close()
        theirs.recv()
        theirs.send(select_1(join(directory)))

    process = context.Process(target=child)
    process.start()
    theirs.close()
    leave(directory)
    assert running()
    ours.send("go")
    assert ours.recv() == 1
    process.join()
    wait_until(lambda: not running(), what="the server's end")


def test_a_program_that_we_start_is_not_a_user(directory: Path, running: Ask) -> None:
    join(directory)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
    ) as other:
        leave(directory)
        wait_until(lambda: not running(), what="the server's end")
        other.communicate(b"\n")


def test_a_directory_removed_under_a_server(directory: Path) -> None:
    join(directory)
    server = postmaster.read(directory / "data")
    assert server is not None
    directory.rename(directory.with_name("moved"))
    leave(directory)
    os.kill(server.pid, signal.SIGQUIT)
    assert select_1(join(directory)) == 1


def test_a_data_directory_is_not_a_home(directory: Path) -> None:
    directory.mkdir()
    (directory / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="is a PostgreSQL data directory itself"):
        join(directory)
