"""on_crash="dead": what was interrupted does not run again by itself."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import App, ConfigError
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, has_seen_enough, working

BEGAN = "select count(*) from effect where what = 'began'"


@pytest.fixture(autouse=True)
async def effects(eyes: Eyes) -> None:
    await eyes.sql(EFFECT)


async def test_a_killed_worker_leaves_a_dead_letter_and_the_rest_runs(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    charge = app.tasks.get("charge")
    with child(dsn, concurrency=1) as victim:
        hit = await charge.aenqueue(seconds=600)
        await eventually(lambda: eyes.value(BEGAN))
        waiting = await charge.aenqueue()
        victim.kill()
    async with working(app) as other:
        has_seen_enough(other)
        row = await eyes.reaches(hit.id, "dead")
        await eyes.reaches(waiting.id, "completed")
    assert 'on_crash is "dead"' in row["reason"]
    assert await eyes.value(f"{BEGAN} and job = $1", hit.id) == 1
    await app.aclose()


async def test_a_stop_that_interrupts_leaves_a_dead_letter(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    job = await app.tasks.get("charge").aenqueue(seconds=600)
    async with working(app, grace=0):
        await eventually(lambda: eyes.value(BEGAN))
    assert (await eyes.job(job.id))["state"] == "pending"
    async with working(app):
        await eyes.reaches(job.id, "dead")
    assert await eyes.value(BEGAN) == 1
    await app.aclose()


async def test_a_failure_is_tried_again(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    job = await app.tasks.get("charge").aenqueue(fails=2)
    async with working(app):
        await eyes.reaches(job.id, "completed")
    assert await eyes.value(BEGAN) == 3
    await app.aclose()


async def test_one_that_was_redriven_runs(dsn: str, eyes: Eyes) -> None:
    app = app_of(dsn)
    job = await app.tasks.get("charge").aenqueue()
    await eyes.sql("update pgqueue.job set began_at = now()")
    async with working(app):
        await eyes.reaches(job.id, "dead")
        assert await eyes.value(BEGAN) == 0
        await app.aredrive(job.id)
        await eyes.reaches(job.id, "completed")
    await app.aclose()


@pytest.mark.parametrize("on_crash", ["never", None, True])
def test_other_words_are_refused(on_crash: Any) -> None:
    with pytest.raises(ConfigError, match='on_crash must be "retry" or "dead", got'):
        App("postgresql://x").task(on_crash=on_crash)(print)
