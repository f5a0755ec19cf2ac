"""The command line: in this process for speed, as a real process for what the shell sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgqueue.cli.root import cli
from pgqueue.client import Client

Run = Callable[..., Result]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PGQUEUE_APP",
        "PGQUEUE_DSN",
        "PGQUEUE_SCHEMA",
        "PGQUEUE_TRACEBACK",
        "PYTHONSAFEPATH",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Run:
    """Run a command in this process."""

    def run(*args: object, **env: str | None) -> Result:
        return CliRunner().invoke(cli, [str(arg) for arg in args], env=env)

    return run


@pytest.fixture
def on(run: Run, dsn: str) -> Run:
    """Run a command on the test's database."""

    def on(*args: object) -> Result:
        return run(*args, PGQUEUE_DSN=dsn)

    return on


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a command as a process of its own, in an empty directory."""

    def shell(
        *args: object, env: dict[str, str] | None = None, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pgqueue.cli import main; main()"]
        if env and "PYTHONSAFEPATH" in env:
            command.insert(1, "-P")
        return subprocess.run(
            [*command, *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "300", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return shell


@pytest.fixture
def client(dsn: str) -> Iterator[Client]:
    client = Client(dsn)
    yield client
    client.close()


@pytest.fixture
def db(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def bury(db: psycopg.Connection, *ids: int, reason: str = "it failed") -> None:
    """Move waiting jobs to the dead letters."""
    db.execute(
        "with gone as (delete from pgqueue.job where id = any (%s) returning *)"
        " insert into pgqueue.dead (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
        " priority, crash_count, reason, queue, task, args, unique_key, errors)"
        " select id, now(), run_at, enqueued_at, 25, max_attempts, priority, crash_count, %s,"
        " queue, task, args, unique_key, errors from gone",
        (list(ids), reason),
    )


def one_line(result: Result | subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr that an error is."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("pgqueue: ")
    assert "Traceback" not in result.stderr
    return lines[0].removeprefix("pgqueue: ")
