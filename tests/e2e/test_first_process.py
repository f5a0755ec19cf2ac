"""A worker that is the first process of its container, as it is in an image without an init."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.harness.processes import Program
from tests.harness.waiting import wait_until

SLOW = """\
import pathlib, time
import pgqueue

app = pgqueue.App()

@app.task
def nothing() -> None: ...

pathlib.Path("importing").touch()
while {waits} and not pathlib.Path("go on").exists():
    time.sleep(0.05)
"""
APART = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(autouse=True)
def namespaces() -> None:
    done = subprocess.run([*APART, "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this account may not make a namespace of processes")


def worker(dsn: str, home: Path, *, waits: bool) -> Program:
    (home / "slow.py").write_text(SLOW.format(waits=waits))
    command = [sys.executable, "-c", "from pgqueue.cli import main; main()", "worker", "slow:app"]
    return Program([*APART, *command], home / "log", cwd=home, env={"PGQUEUE_DSN": dsn})


def tell(program: Program) -> None:
    """Send TERM to the process that is number 1 to itself."""
    (first,) = psutil.Process(program.pid).children()
    first.send_signal(signal.SIGTERM)


def test_term_ends_it_while_it_imports_the_app(dsn: str, tmp_path: Path) -> None:
    program = worker(dsn, tmp_path, waits=True)
    try:
        wait_until(lambda: (tmp_path / "importing").exists(), what="it imports")
        tell(program)
        assert program.wait(60) == 0, program.log()
    finally:
        program.clear_away()


def test_term_stops_it_in_order_when_it_runs(dsn: str, tmp_path: Path) -> None:
    program = worker(dsn, tmp_path, waits=False)
    try:
        wait_until(lambda: "worker started" in program.log(), what="it starts")
        tell(program)
        assert program.wait(60) == 0, program.log()
        assert "worker stopped" in program.log()
    finally:
        program.clear_away()
