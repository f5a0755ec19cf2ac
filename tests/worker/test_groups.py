"""What a task raises in a group, as asyncio.TaskGroup does, counts as if it had raised it alone."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pgqueue import App, Backoff, Discard, Retry, Snooze
from tests.worker.support import Eyes, working


class Permanent(Exception):
    pass


async def step(error: Exception | None) -> None:
    if error is not None:
        raise error
    await asyncio.Event().wait()


@pytest.mark.one_pg
async def test_verdicts_out_of_a_task_group(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    async def together(*errors: Exception | None) -> None:
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(step(error))

    @app.task
    async def discarded() -> None:
        await together(ValueError("beside"), Discard("card stolen"))

    @app.task(retry=Backoff(give_up_on=(Permanent,)))
    async def given_up() -> None:
        await together(Permanent("no such card"))

    @app.task(max_attempts=2)
    async def retried() -> None:
        await together(Retry(delay=3600))

    @app.task(max_attempts=1)
    async def snoozed() -> None:
        await together(Snooze(3600))

    @app.task(max_attempts=1, timeout=0.1)
    async def too_long() -> None:
        await together(None)

    tasks = [discarded, given_up, retried, snoozed, too_long]
    ids = [(await task.aenqueue()).id for task in tasks]
    with caplog.at_level(logging.WARNING, "pgqueue.worker"):
        async with working(app):
            await eyes.settled(dead=3, scheduled=2)
    jobs = {
        task.name.rpartition(".")[2]: await eyes.job(job_id)
        for task, job_id in zip(tasks, ids, strict=True)
    }
    assert jobs["discarded"]["reason"] == "discarded: card stolen"
    assert jobs["given_up"]["reason"].endswith("Permanent is not tried again")
    assert jobs["too_long"]["reason"].endswith("failed once, with TimeoutError")
    assert (jobs["retried"]["attempt"], jobs["snoozed"]["attempt"]) == (1, 0)
    (error,) = await eyes.errors(ids[0])
    assert (error["type"], error["message"]) == ("ValueError", "beside (and 1 more in its group)")
    assert "ValueError: beside (and 1 more in its group); dead: discarded: card st" in caplog.text
    assert "Permanent: no such card; dead: " in caplog.text
