"""Jobs with a delay start when they are due, whether or not anybody told the worker of them.

Neither poll nor heartbeat comes round while these tests wait.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue import App, Worker
from pgqueue.db.store import Store
from pgqueue.worker.claim.due_floor import DueFloor
from pgqueue.worker.timings import DueTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, at_rest, eyes_on, working

pytestmark = pytest.mark.one_turn

# Nor does the look at all, which finds what nobody told of.
_SELDOM: dict[str, Any] = {
    "poll_interval": 600.0,
    "heartbeat": 100.0,
    "lease": 301.0,
    "timings": Timings(due=DueTimings(from_ever_every=3600.0)),
}
_ENQUEUE = 'select pgqueue.enqueue(\'[{"task": "note", "delay": 0.3}]\'::jsonb)'


async def told(worker: Worker) -> None:
    """Wait until the worker's promoter has no look to come."""
    await at_rest(worker)
    promoter = worker.machines.promoter
    times = promoter.times
    await eventually(
        lambda: (
            times.notified
            and times.look_again_at == math.inf
            and times.look_at == math.inf
            and not worker.machines.session.store.turn.locked()
        )  # nor one under way
    )


async def test_a_delay_read_before_the_flag_was_up(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[bool] = []
    original = Store.raise_flags

    async def raise_flags(self: Store, queues: Sequence[str]) -> dict[str, bool]:
        if not await eyes.value("select count(*) from pgqueue.job") and not ran:
            await eyes.sql("begin")
            await eyes.sql("set local pgqueue.notify = off")
            await eyes.sql(_ENQUEUE)
            await eyes.sql("commit")
        return await original(self, queues)

    monkeypatch.setattr(Store, "raise_flags", raise_flags)

    @app.task
    async def note() -> None:
        ran.append(True)

    async with working(app, **_SELDOM):
        await eyes.settled(completed=1)


async def test_a_delay_committed_after_the_look_that_follows_the_flag(
    app: App, eyes: Eyes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float | None] = []
    original = Store.next_due

    async def next_due(self: Store, since: Any) -> tuple[float | None, Any]:
        answer = await original(self, since)
        if not looks:
            await other.sql("commit")
        looks.append(answer[0])
        return answer

    monkeypatch.setattr(Store, "next_due", next_due)

    @app.task
    async def note() -> None: ...

    async with eyes_on(dsn) as other:
        await other.sql("begin")
        await other.sql("set local pgqueue.notify = off")
        await other.sql(_ENQUEUE)
        async with working(app, **_SELDOM):
            await eyes.settled(completed=1)
    assert looks[0] is None


async def test_many_delays_that_come_together(app: App, eyes: Eyes) -> None:
    """The shortest alone is told."""

    @app.task
    async def note() -> None: ...

    async def enqueue(*delays: float) -> list[int]:
        jobs = [{"task": note.name, "delay": delay} for delay in delays]
        rows = await eyes.sql("select id from pgqueue.enqueue($1::text::jsonb)", json.dumps(jobs))
        return [row["id"] for row in rows]

    async with working(app, **_SELDOM) as worker:
        await told(worker)
        await enqueue(0.8, 0.2, 0.4, 0.6)
        await eyes.settled(completed=4)
        await told(worker)
        await enqueue(0.0, 0.3)
        await eyes.settled(completed=6)
        await told(worker)
        first, _ = await enqueue(0.3, 0.6)
        assert await app.acancel(first)
        await eyes.settled(completed=7, cancelled=1)


async def test_the_look_a_second_after_a_flag_is_kept_whatever_is_due_before(
    app: App, eyes: Eyes, dsn: str
) -> None:
    @app.task
    async def note() -> None: ...

    async with working(app, **_SELDOM) as worker, eyes_on(dsn) as other:
        promoter = worker.machines.promoter
        await told(worker)
        await other.sql("begin")
        await other.sql("set local pgqueue.notify = off")
        await other.sql(_ENQUEUE)
        promoter.on_flags(up=True, raised=True)
        promoter.times.look_again_at += 1.0
        await note.using(delay=0.1).aenqueue()
        await eyes.settled(completed=1)
        await eventually(
            lambda: (
                not worker.machines.session.store.turn.locked()
                and promoter.times.look_at > time.monotonic() + 0.1
            )
        )
        await other.sql("commit")
        await eyes.settled(completed=2)


async def test_a_row_that_somebody_holds_is_tried_now_and_then(
    app: App, eyes: Eyes, dsn: str
) -> None:
    @app.task
    async def note() -> None: ...

    async with working(app, **_SELDOM) as worker, eyes_on(dsn) as other:
        await told(worker)
        await note.using(delay=0.2).aenqueue()
        await other.sql("begin")
        await other.sql("select from pgqueue.job for update")
        times = worker.machines.promoter.times
        await eventually(lambda: times.none_promoted and len(times) == 1)
        await other.sql("commit")
        await eyes.settled(completed=1)


async def test_a_look_under_way_takes_no_look_from_the_start_away(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its moment comes, and a heartbeat reads from another thread, while a look is under way."""

    @app.task
    async def note() -> None: ...

    original = Store.next_due
    asked: list[datetime] = []

    async def next_due(self: Store, since: datetime) -> tuple[float | None, Any]:
        asked.append(since)
        answer = await original(self, since)
        if len(asked) == 2:
            promoter.times.floor.from_ever_at = -math.inf
            assert await asyncio.to_thread(lambda: promoter.since) == since
        return answer

    async with working(app, **_SELDOM) as worker:
        promoter = worker.machines.promoter
        await told(worker)
        monkeypatch.setattr(Store, "next_due", next_due)
        for turn in (1, 2, 3):
            promoter.on_flags(up=True, raised=True)
            promoter.times.look_again_at = math.inf
            await eventually(lambda turn=turn: len(asked) == turn)
            await told(worker)
    assert asked[2] < asked[1]


async def test_all_is_looked_at_again_though_nobody_is_told_of_a_job(app: App, eyes: Eyes) -> None:
    """The heartbeats look from there then."""
    often = {"timings": Timings(due=DueTimings(from_ever_every=0.3))}

    @app.task
    async def note() -> None: ...

    async with working(app, **{**_SELDOM, **often}) as worker:
        promoter = worker.machines.promoter
        start = DueFloor().moment
        await told(worker)
        promoter.times.floor.clear_until(datetime.now(UTC))
        assert promoter.since > start
        await eventually(lambda: promoter.since == start)


async def test_looks_do_not_keep_a_due_job_waiting(app: App, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    async with working(app, **_SELDOM) as worker:
        promoter = worker.machines.promoter
        await told(worker)
        promoter.times.look_every = 0.0  # as if each took longer than until the next
        promoter.on_flags(up=False)
        await note.using(delay=0.2).aenqueue()
        await eyes.settled(completed=1)


async def test_a_delay_while_every_worker_is_busy(app: App, eyes: Eyes) -> None:
    ran: list[bool] = []

    @app.task
    async def work() -> None: ...

    @app.task(priority=0)
    async def note() -> None:
        ran.append(True)

    async def more_work() -> None:
        if await eyes.value("select count(*) from pgqueue.job") < 20_000:
            await app.aenqueue_many([work.job() for _ in range(20_000)])

    async def is_busy() -> bool:
        await more_work()
        return state.flag is False

    async def has_run() -> bool:
        await more_work()
        return bool(ran)

    async with working(app, **_SELDOM) as worker:
        state = worker.machines.claimer.states["default"]
        await eventually(is_busy)
        await note.using(delay=0.2).aenqueue()
        await eventually(has_run)
