"""``pgqueue worker`` as a service: a real process, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgqueue.cli.root import cli
from pgqueue.client import Client
from tests.harness.waiting import wait_until

APP = """
from pgqueue.app import App

app = App()

@app.task
async def t(n: int) -> None: ...
"""


def start(tmp_path: Path, *args: str) -> subprocess.Popen[str]:
    (tmp_path / "jobs.py").write_text(APP)
    return subprocess.Popen(
        [
            sys.executable, "-c", "from pgqueue.cli import main; main()", "worker", "jobs:app",
            "--log-format", "json", *args,
        ],
        cwd=tmp_path,
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def stop(process: subprocess.Popen[str]) -> list[str]:
    """Send TERM, and return the messages that were logged, once it has ended well."""
    try:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    return [json.loads(line)["message"] for line in stderr.splitlines()]


@pytest.mark.parametrize("uvloop", ["--uvloop", "--no-uvloop"])
def test_it_runs_jobs_and_stops_on_term(
    tmp_path: Path, dsn: str, client: Client, uvloop: str
) -> None:
    job = client.enqueue("t", {"n": 1}).id
    process = start(tmp_path, "--dsn", dsn, "--concurrency", "3", uvloop)
    try:
        wait_until(lambda: client.list_jobs(state="completed"))
        (worker,) = client.workers()
        assert (worker.pid, worker.concurrency, worker.state) == (process.pid, 3, "alive")
    finally:
        messages = stop(process)
    assert any("worker started" in message for message in messages)
    assert client.workers() == []
    assert [one.id for one in client.list_jobs(state="completed")] == [job]


def test_several_processes_under_a_supervisor(tmp_path: Path, dsn: str, client: Client) -> None:
    process = start(tmp_path, "--dsn", dsn, "--processes", "2", "--queue", "default")
    try:
        wait_until(lambda: len(client.workers()) == 2)
        assert process.pid not in {worker.pid for worker in client.workers()}
    finally:
        stop(process)
    assert client.workers() == []


def test_the_supervisor_of_an_app_behind_pgbouncer_does_without_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pooled_jobs.py").write_text(APP.replace("App()", "App(pgbouncer=True)"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    seen: dict[str, object] = {}

    def supervise(target: str, settings: dict[str, object], **_: object) -> int:
        seen.update(settings)
        return 0

    monkeypatch.setattr("pgqueue.cli.worker._supervise", supervise)
    monkeypatch.setattr("pgqueue.cli.worker.be_heard", lambda *_: None)
    monkeypatch.setattr("pgqueue.cli.worker.defer", lambda: None)
    args = ["worker", "pooled_jobs:app", "--dsn", "postgresql://nowhere/x", "--processes", "2"]
    assert CliRunner(env={"PGQUEUE_DSN": None}).invoke(cli, args).exit_code == 0
    assert seen["listen"] is False


def test_a_worker_of_a_script_that_its_own_tasks_import_says_so(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import asyncio, pgqueue\n"
        "app = pgqueue.App()\n"
        "@app.task\n"
        "async def here(): ...\n"
        "if __name__ == '__main__':\n"
        "    import more\n"
        "    async def run():\n"
        "        async with pgqueue.Worker(app): pass\n"
        "    asyncio.run(run())\n"
    )
    (tmp_path / "more.py").write_text("from script import app\n@app.task\nasync def there(): ...\n")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PGQUEUE_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (
        "serves that of __main__ (tasks here); that of script has tasks here, there" in done.stderr
    )
