"""A deployment is no crash: a worker that said that it is stopping may be killed."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, has_seen_enough, working

LONG: dict[str, Any] = {"lease": 600.0, "heartbeat": 0.3, "grace": 600.0}
WAYS: dict[str, dict[str, Any]] = {"session-vanished": LONG, "lease-over": LONG | {"listen": False}}
PASSES = "update pgqueue.worker set heartbeat_at = now() - interval '601 s'"


@pytest.fixture(autouse=True)
async def effects(eyes: Eyes) -> None:
    await eyes.sql(EFFECT)


@pytest.mark.parametrize("way", WAYS)
async def test_killed_while_it_stops_is_no_crash(dsn: str, eyes: Eyes, way: str) -> None:
    app = app_of(dsn)
    nap = app.tasks.get("nap")
    ids = [e.id for e in await app.aenqueue_many([nap.job(600)] * 3)]
    for _ in range(3):  # with three crashes they would be dead
        with child(dsn, **WAYS[way]) as victim:
            await eventually(
                lambda pid=victim.pid: eyes.value(
                    "select count(*) = 3 from effect where what = 'began' and pid = $1", pid
                ),
                timeout_s=60,
            )
            victim.send(signal.SIGTERM)
            await eventually(
                lambda: eyes.value("select bool_and(stopping) from pgqueue.worker"), timeout_s=60
            )
            victim.kill()
        if way == "lease-over":
            await eyes.sql(PASSES)
        async with working(app, **(WAYS[way] | {"queues": ["none"]})) as other:
            has_seen_enough(other)
            await eventually(
                lambda: eyes.value("select bool_and(worker_id is null) from pgqueue.job"),
                timeout_s=60,
            )
        rows = await eyes.sql("select id, attempt, crash_count, errors from pgqueue.job order by 1")
        assert [tuple(row) for row in rows] == [(job_id, 0, 0, None) for job_id in ids]
    await app.aclose()


async def test_the_heartbeat_that_says_so_goes_first(dsn: str, eyes: Eyes) -> None:
    """Not after what the stop waits for: here a claim that does not return."""
    app = app_of(dsn)
    async with working(app, heartbeat=0.3, lease=60.0) as worker:
        at_it, go_on = asyncio.Event(), asyncio.Event()
        real = worker.machines.claimer.looks.store.claim

        async def claim(*args: Any, **options: Any) -> Any:
            at_it.set()
            await go_on.wait()
            return await real(*args, **options)

        worker.machines.claimer.looks.store.claim = claim  # type: ignore[method-assign]
        worker.machines.claimer.look_everywhere()
        await asyncio.wait_for(at_it.wait(), 60)
        worker.request_stop()
        await eventually(
            lambda: eyes.value("select bool_and(stopping) from pgqueue.worker"), timeout_s=60
        )
        go_on.set()
    await app.aclose()
