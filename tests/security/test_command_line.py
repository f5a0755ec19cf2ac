"""S20, S21: what the command line imports, and what it asks before it destroys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from pgqueue import Client
from pgqueue.cli.root import cli
from pgqueue.demo.names import QUEUE_SCHEMA
from tests.harness.waiting import wait_until

RUN = "from pgqueue.cli import main; main()"


@pytest.mark.rule("S20")
@pytest.mark.parametrize(
    "command", ["status", "jobs list", "migrate", "migrate --sql", "roles", "--help"]
)
def test_no_command_but_the_worker_imports_from_the_current_directory(
    dsn: str, tmp_path: Path, command: str
) -> None:
    """A file named as a module that we import does nothing; the interpreter is started as the
    installed script starts it, without the current directory on its path."""
    for name in ("asyncpg", "json", "rich", "pgqueue", "click", "logging", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w')")
    script = tmp_path / "bin" / "pgqueue"
    script.parent.mkdir()
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, str(script), *command.split()],
        cwd=tmp_path, env={**os.environ, "PGQUEUE_DSN": dsn}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()


@pytest.mark.rule("S20")
def test_a_safe_path_keeps_the_current_directory_out_of_the_worker(
    dsn: str, tmp_path: Path
) -> None:
    (tmp_path / "jobs.py").write_text("open('canary', 'w')")
    for options, env in ((["-P"], {}), ([], {"PYTHONSAFEPATH": "1"})):
        done = subprocess.run(
            [sys.executable, *options, "-c", RUN, "worker", "jobs:app"],
            cwd=tmp_path, env={**os.environ, "PGQUEUE_DSN": dsn, **env}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert 'no module "jobs"' in done.stderr
        assert not (tmp_path / "canary").exists()


@pytest.mark.rule("S20")
@pytest.mark.parametrize("flags", [["-P"], ["-I"], []], ids=["-P", "-I", "PYTHONSAFEPATH"])
def test_child_processes_have_the_safe_path_of_their_supervisor(
    dsn: str, tmp_path: Path, flags: list[str]
) -> None:
    """They are started with -m, which puts the current directory before all modules."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "jobs.py").write_text(
        "import pgqueue\napp = pgqueue.App()\n@app.task\ndef t() -> None: ...\n"
    )
    (tmp_path / "asyncpg.py").write_text("open('canary', 'w')")
    env = {**os.environ, "PGQUEUE_DSN": dsn, "PYTHONPATH": str(library)}
    target = "jobs:app"
    if flags == ["-I"]:  # PYTHONPATH is left out
        target = "pgqueue.demo.tasks:app"
        env["PGQUEUE_SCHEMA"] = QUEUE_SCHEMA
        with Client(dsn, schema=QUEUE_SCHEMA) as client:
            client.migrate()
    if not flags:
        env["PYTHONSAFEPATH"] = "1"
    process = subprocess.Popen(
        [sys.executable, *flags, "-c", RUN, "worker", target, "--processes", "2"],
        cwd=tmp_path,
        env=env,
    )
    try:
        with Client(dsn, schema=QUEUE_SCHEMA if flags == ["-I"] else None) as client:
            wait_until(lambda: len(client.workers()) == 2 or (tmp_path / "canary").exists())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert not (tmp_path / "canary").exists()


DESTRUCTIVE = [
    "jobs cancel --all", "jobs cancel --queue default", "jobs cancel --state pending",
    "jobs cancel --task t", "jobs cancel --tag a", "dead purge --all", "dead purge --queue default",
    "dead purge 2", "dead purge --older-than 0", "dead redrive --all", "dead redrive --task t",
]  # fmt: skip


@pytest.mark.rule("S21")
@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_without_yes_it_says_how_many_and_does_nothing(
    dsn: str, root: psycopg.Connection, command: str
) -> None:
    root.execute('select * from pgqueue.enqueue(\'{"task": "t", "tags": ["a"]}\')')
    root.execute(
        "insert into pgqueue.dead (id, queue, task, args, reason, run_at, finished_at, enqueued_at,"
        " attempt, max_attempts, priority, crash_count)"
        " values (2, 'default', 't', '{}', 'x', now(), now(), now(), 1, 1, 1, 0)"
    )
    before = everything(root)
    for extra in ([], ["--json"]):
        result = CliRunner().invoke(cli, ["--dsn", dsn, *command.split(), *extra])
        assert result.exit_code == 0, result.output
        assert "1" in result.stdout
        assert ("would be" in result.stdout) or ('"dry_run": true' in result.stdout)
    assert everything(root) == before


def everything(root: psycopg.Connection) -> list[tuple[object, ...]]:
    return root.execute("select id, state, run_at from pgqueue.jobs order by id").fetchall()


@pytest.mark.rule("S21")
@pytest.mark.parametrize("command", ["jobs cancel", "dead purge", "dead redrive"])
def test_everything_is_never_meant_by_leaving_something_out(dsn: str, command: str) -> None:
    result = CliRunner().invoke(cli, ["--dsn", dsn, *command.split(), "--yes"])
    assert result.exit_code == 2
    assert "--all" in result.stderr
