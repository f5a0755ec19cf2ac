"""Workers that are killed while they have permits: others go on, and never above the limit."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, Child, child
from tests.worker.support import Eyes

pytestmark = [pytest.mark.alone, pytest.mark.one_pg]

SETTINGS = {"lease": 2.0, "heartbeat": 0.5, "concurrency": 8}
HOLDER = """
select worker.pid
from pgqueue.permit
     join pgqueue.worker on worker.id = permit.worker_id
     join public.effect on effect.pid = worker.pid
where permit.n > 0
order by effect.at desc
limit 1
"""
BEGAN_ELSEWHERE = """
select exists (select from public.effect where what = 'began' and pid <> $1 and at > $2)
"""


def most_at_once(events: list[Any], killed: dict[int, Any]) -> int:
    """How many jobs ran at once; those of a process that was killed, up to its kill."""
    running: set[tuple[int, int]] = set()
    most = 0
    for event in events:
        gone = {pid for pid, at in killed.items() if at <= event["at"]}
        running = {(pid, job) for pid, job in running if pid not in gone}
        one = (event["pid"], event["job"])
        if event["what"] == "began":
            running.add(one)
            most = max(most, len(running))
        else:
            running.discard(one)
    return most


@pytest.mark.fault("F1")
@pytest.mark.parametrize("limit", [1, 3])
async def test_permits_of_workers_that_are_killed_are_others(
    app: App, dsn: str, eyes: Eyes, limit: int
) -> None:
    await eyes.sql(EFFECT)
    await app.queue_limits.aset("default", concurrency=limit)
    await app.aenqueue_many([app.job("nap", {"seconds": 0.2})] * 24)
    killed: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
        children: dict[int, Child] = {}
        for _ in range(3):
            one = stack.enter_context(child(dsn, **SETTINGS))
            children[one.pid] = one
        for one in children.values():
            await one.ready(eyes)
        for _ in range(2):
            pid = await eventually(lambda: eyes.value(HOLDER), what="somebody has a permit")
            at = await eyes.value("select clock_timestamp()")
            children.pop(pid).kill()
            killed[pid] = at
            await eventually(
                lambda pid=pid, at=at: eyes.value(BEGAN_ELSEWHERE, pid, at),
                what="another worker goes on",
            )
        await eventually(lambda: eyes.value("select count(*) = 0 from pgqueue.job"))
        assert await eyes.value("select count(*) = 24 from pgqueue.history")
        # A worker that is off the list has none.
        assert not await eyes.value(
            "select count(*) from pgqueue.permit where worker_id not in"
            " (select id from pgqueue.worker)"
        )
    events = await eyes.sql("select pid, job, what, at from public.effect order by at")
    assert 0 < most_at_once(events, killed) <= limit
