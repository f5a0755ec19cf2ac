"""Family G, cancelling: the row is the truth, whatever a worker remembers of it."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue import App, Retry, Snooze, current_job
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

CHANGE = """
update pgqueue.job
set priority = 1, max_attempts = 9, tags = '{changed}', metadata = '{"by": "hand"}',
    args = '{"n": 2}', timeout_seconds = 77, unique_key = 'by hand'
where id = $1
"""


@pytest.mark.past_bug(109)
@pytest.mark.parametrize("how", ["retry", "snooze", "stop", "dead", "done"])
async def test_an_outcome_overwrites_nothing_that_changed_meanwhile(
    app: App, eyes: Eyes, how: str
) -> None:
    started: list[int] = []
    gate = asyncio.Event()
    ends = {
        "retry": Retry(delay=900),
        "snooze": Snooze(900),
        "dead": ValueError("no"),
        "done": None,
    }

    @app.task(max_attempts=1 if how == "dead" else 5)
    async def work(n: int) -> None:
        job = current_job()
        started.append(job.attempt)
        await gate.wait()
        error = ends[how]
        if error is not None:
            raise error

    job_id = (await work.aenqueue(1)).id
    async with working(app, grace=0.0 if how == "stop" else 5.0) as worker:
        await eventually(nth(started, 1))
        await eyes.sql(CHANGE, job_id)
        if how == "stop":
            await worker.stop()
        gate.set()
        want = {"retry": "scheduled", "snooze": "scheduled", "stop": "pending", "done": "completed"}
        row = await eyes.reaches(job_id, want.get(how, "dead"))
    assert (row["priority"], row["max_attempts"], row["tags"]) == (1, 9, ["changed"])
    assert (row["metadata"], row["args"]) == ('{"by": "hand"}', '{"n": 2}')
    assert (row["timeout_seconds"], row["unique_key"]) == (77, "by hand")


@pytest.mark.past_bug(109)
@pytest.mark.parametrize("how", ["retry", "snooze", "dead"])
async def test_a_request_to_stop_is_not_lost(app: App, eyes: Eyes, how: str) -> None:
    """It is written as the outcome is on its way, and no notification tells of it."""
    ends = {"retry": Retry(delay=0.0), "snooze": Snooze(0.0), "dead": ValueError("no")}

    @app.task(max_attempts=1 if how == "dead" else 5)
    async def work() -> None:
        job = current_job()
        await eyes.sql("update pgqueue.job set cancel_requested = true where id = $1", job.id)
        raise ends[how]

    job_id = (await work.aenqueue()).id
    async with working(app, heartbeat=0.5):
        await eyes.reaches(job_id, "cancelled")
    assert (await eyes.job(job_id))["attempt"] == 1
