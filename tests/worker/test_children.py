"""Jobs in child processes: what runs there, what kills one, and who is told what."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgqueue import App
from tests.harness.processes import Program, is_alive
from tests.harness.waiting import eventually
from tests.worker import in_children
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.alone


@pytest.fixture
def tasks(app: App, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    app.target = "tests.worker.in_children:app"
    return in_children.declare(app)


async def message(eyes: Eyes, job_id: int) -> str:
    """What its error says; its traceback is that of the handler, if there was any."""
    (error,) = await eyes.errors(job_id)
    assert re.findall(r"in (\w+)\n", error["traceback"]) == (
        ["refuse"] if error["type"] == "KeyError" else []
    )
    return f"{error['type']}: {error['message']}"


async def test_jobs_share_a_warm_child_that_logs_through_the_worker(
    app: App, eyes: Eyes, tasks: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ran"
    with caplog.at_level(logging.INFO):
        async with working(app, children=1):
            ids = [(await tasks.note.aenqueue(str(path))).id for _ in range(3)]
            await eyes.settled(completed=3)
    rows = [line.split() for line in path.read_text().splitlines()]
    assert {int(job_id) for *_, job_id in rows} == set(ids)
    assert len({pid for pid, *_ in rows}) == 1
    assert {int(parent) for _, parent, _ in rows} == {os.getpid()}
    said = [r for r in caplog.records if r.name == "shop"]
    assert {r.getMessage() for r in said} == {f"job {job_id}, attempt 1" for job_id in ids}
    assert {vars(r)["job_id"] for r in said} == set(ids)


async def test_what_a_job_forks_does_not_answer_for_it(
    app: App, eyes: Eyes, tasks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(app, children=1):
        for _ in range(3):
            await tasks.fork.aenqueue()
        await eyes.settled(completed=3)
    assert [r.getMessage() for r in caplog.records if r.name == "shop"] == ["a file caf?"] * 3


async def test_a_transaction_in_a_child_completes_the_job(app: App, eyes: Eyes, tasks: Any) -> None:
    await eyes.sql("create table effect (job bigint)")
    async with working(app, children=1) as worker:
        ids = [
            (await task.aenqueue()).id
            for task in (tasks.with_transaction, tasks.with_blocking_transaction)
        ]
        await eyes.settled(completed=2)
        await eventually(lambda: worker.statistics().completed == 2)
    assert [row["job"] for row in await eyes.sql("select job from effect order by 1")] == ids


async def test_what_a_child_dies_of_is_said_and_others_go_on(
    app: App, eyes: Eyes, tasks: Any, tmp_path: Path
) -> None:
    async with working(app, children=1):
        exits = (await tasks.crash.aenqueue("exit")).id
        faults = (await tasks.crash.aenqueue("fault")).id
        eats = (await tasks.eat.aenqueue()).id
        spins = (await tasks.spin.using(timeout=0.2).aenqueue(str(tmp_path / "spun"))).id
        refused = (await tasks.refuse.aenqueue()).id
        once = (await tasks.crash_once.aenqueue()).id
        again = (await tasks.again.aenqueue()).id
        await eyes.settled(dead=6, scheduled=1)
    assert await message(eyes, exits) == (
        "pgqueue.errors.ProcessDied: its process exited with code 7"
    )
    assert "exited with signal 11 (SIGSEGV)" in await message(eyes, faults)
    assert "MemoryError: used more than 200 MB" in await message(eyes, eats)
    assert await message(eyes, spins) == "TimeoutError: killed after 0.2 s, which is its timeout"
    assert 'exited with code 0, and on_crash is "dead"' in await message(eyes, once)
    assert await message(eyes, refused) == "KeyError: 'nothing of that name'"
    assert (await eyes.job(again))["state"] == "scheduled"


async def test_a_cancel_kills_the_child_and_a_stop_releases_its_job(
    app: App, eyes: Eyes, tasks: Any, tmp_path: Path
) -> None:
    path = tmp_path / "pid"

    def pids() -> list[int]:
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    async with working(app, children=1, grace=0.1) as worker:
        job_id = (await tasks.spin.aenqueue(str(path))).id
        await eventually(lambda: len(pids()) == 1)
        await app.acancel(job_id)
        await eyes.reaches(job_id, "cancelled")
        again = (await tasks.spin.aenqueue(str(path))).id
        await eventually(lambda: len(pids()) == 2)
        assert worker.statistics().running == 1
    assert (await eyes.job(again))["state"] == "pending"
    for pid in pids():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_worker_that_is_killed_leaves_no_child(
    eyes: Eyes, app: App, tasks: Any, dsn: str, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    command = [sys.executable, "-m", "pgqueue", "worker", "tests.worker.in_children:app"]
    program = Program(command, tmp_path / "log", env={"PGQUEUE_DSN": dsn})
    try:
        await tasks.spin.aenqueue(str(path))
        await eventually(lambda: path.exists() and path.read_text().endswith("\n"))
        child = psutil.Process(int(path.read_text()))
        program.send(signal.SIGKILL)
        await eventually(lambda: not is_alive(child))
    finally:
        program.clear_away()
