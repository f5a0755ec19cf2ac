"""A worker runs in one process: what that forks, directly or not, is told so."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.alone

PREFORK = """
import asyncio, os, sys
from pgqueue import App, ConfigError, Worker

worker = Worker(App("postgresql://nowhere.invalid/none"))

def in_a_fork(function):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os._exit(function())
    finally:
        os._exit(1)

def ask():
    try:
        worker.statistics()
    except ConfigError as exc:
        return 7 if f"process {os.environ['OWNER']}" in str(exc) else 8
    return 9

async def run():
    running = asyncio.ensure_future(worker.run())
    await asyncio.sleep(0)
    assert worker._life.loop is not None
    os.environ["OWNER"] = str(os.getpid())
    return in_a_fork(FORKS)

sys.exit(in_a_fork(lambda: asyncio.run(run())))
"""


@pytest.mark.parametrize("forks", ["ask", "lambda: in_a_fork(ask)"], ids=["once", "twice"])
def test_a_worker_that_was_made_before_a_fork_and_runs_after_it(forks: str) -> None:
    program = PREFORK.replace("FORKS", forks)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert ended.returncode == 7, ended.stderr.decode()
