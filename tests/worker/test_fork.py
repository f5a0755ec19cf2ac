"""A job that forks: its child keeps nobody from seeing that the worker died, and is no worker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT
from tests.worker.forker import app_of
from tests.worker.support import Eyes, has_seen_enough, working

LONG = {"lease": 3600.0, "heartbeat": 0.3}  # no lease runs out in these tests


@pytest.fixture
async def app(dsn: str, eyes: Eyes) -> App:
    await eyes.sql(EFFECT)
    return app_of(dsn)


@contextlib.contextmanager
def forker(
    dsn: str, loop: str = "asyncio", **settings: object
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [dsn, json.dumps(LONG | settings), loop]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.forker", *arguments], start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it has forked
        process.wait()


async def said(eyes: Eyes, job_id: int) -> list[str]:
    rows = await eyes.sql("select what from effect where job = $1 order by at", job_id)
    return [row["what"] for row in rows]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("task", ["fork_async", "fork_thread"])
@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
async def test_a_child_that_lives_on_does_not_delay_the_rescue(
    dsn: str, app: App, eyes: Eyes, task: str, how: str, loop: str
) -> None:
    job_id = (await app.tasks.get(task).aenqueue(how)).id
    with forker(dsn, loop) as victim:
        await eventually(lambda: said(eyes, job_id), timeout_s=60)
        (child,) = await said(eyes, job_id)
        async with working(app, **LONG, queues=["none"]) as other:
            victim.kill()
            has_seen_enough(other)
            await eventually(
                lambda: eyes.value("select bool_and(worker_id is null) from pgqueue.job"),
                timeout_s=60,
            )
        os.kill(int(child.removeprefix("child ")), 0)  # it lives
    row = await eyes.job(job_id)
    assert (row["state"], row["crash_count"]) == ("pending", 1)
    await app.aclose()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("task", ["come_back_async", "come_back_thread", "fork_in_transaction"])
async def test_a_child_that_comes_back_from_its_task_ends(
    dsn: str, app: App, eyes: Eyes, task: str, loop: str
) -> None:
    note = app.tasks.get("note")
    job_id = (await app.tasks.get(task).aenqueue()).id
    await app.aenqueue_many([note.job(n) for n in range(50)])  # claimed and waiting as it forks
    with forker(dsn, loop, concurrency=1):
        await eventually(
            lambda: eyes.value("select count(*) = 51 from pgqueue.history"), timeout_s=60
        )
        whats = await said(eyes, job_id)
        assert [what for what in whats if what.startswith("exit")] == ["exit 1"]
        assert whats.count("tx") == (task == "fork_in_transaction")
        notes = await eyes.sql("select what from effect where what like 'note%'")
        assert sorted(row["what"] for row in notes) == sorted(f"note {n}" for n in range(50))
        assert len(await eyes.worker_ids()) == 1
    await app.aclose()


async def test_what_a_child_may_do_and_what_it_is_told(dsn: str, app: App, eyes: Eyes) -> None:
    job_id = (await app.tasks.get("ask_in_a_child").aenqueue()).id
    with forker(dsn) as worker:
        await eventually(
            lambda: eyes.value("select count(*) = 4 from pgqueue.history"), timeout_s=60
        )
        *refusals, end = await said(eyes, job_id)
        assert end == "asked"
        runs_in = f"ConfigError: this worker runs in process {worker.pid}, which forked this one"
        assert [text.startswith(runs_in) for text in refusals] == [True, True, False]
        assert refusals[2].startswith(
            f"ConfigError: this process was forked from the worker, process {worker.pid}: "
            "job.transaction() belongs there"
        )
        notes = await eyes.sql("select what from effect where what like 'note%'")
        assert sorted(row["what"] for row in notes) == ["note 1", "note 2"]
        # Nothing of the child's reached the worker, which goes on.
        assert len(await eyes.worker_ids()) == 1
        await app.tasks.get("note").aenqueue(3)
        await eventually(
            lambda: eyes.value("select count(*) = 5 from pgqueue.history"), timeout_s=60
        )
    await app.aclose()
