"""Outages so long that no wait between two tries grows any more, and setups that fail."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from typing import Any

import pytest

from pgqueue import App, PgQueueError, Unreachable, Worker
from pgqueue.db.link import Link, Watch
from pgqueue.db.listener import Listener
from pgqueue.db.retry_delay import RetryDelay
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually
from tests.worker.support import ROLES, Eyes, Runs, quick, working

POOL = 3
ALL_SESSIONS = {**{f"pgqueue {role}": 1 for role in ROLES}, "pgqueue client": POOL}


@pytest.fixture
def at_cap(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Those that wait as long between two tries as they will ever wait."""
    seen: dict[int, RetryDelay] = {}
    there: set[int] = set()
    delay = RetryDelay.delay

    def noted(self: RetryDelay) -> float:
        seen[id(self)] = self  # so that no other gets this id
        assert self._cap <= 5.0
        if self._next >= self._cap:
            there.add(id(self))
        return delay(self)

    monkeypatch.setattr(RetryDelay, "delay", noted)
    return there


@pytest.mark.past_bug(35, 48)
async def test_after_a_long_outage_all_is_as_before(
    eyes: Eyes, proxy: Proxy, at_cap: set[int]
) -> None:
    """Whether it takes a minute or five: from its bound on, no wait grows any more.

    No more sessions than before; fewer, once some were idle for a while. What ended meanwhile is
    written, and work goes on.
    """
    app = App(proxy.dsn, pool_size=POOL)
    runs = Runs()
    gate = asyncio.Event()

    @app.task
    async def count(n: int, waits: bool = False) -> None:
        with runs.of(n):
            if waits:
                await gate.wait()

    async def burst(start: int) -> None:
        await asyncio.gather(*[count.aenqueue(start + n) for n in range(30)])

    async def no_more() -> bool:
        return Counter(name for name, _ in await eyes.sessions()) <= Counter(ALL_SESSIONS)

    worker = Worker(app, **quick(lease=60.0, heartbeat=0.3, deadline=1.0))
    await worker.start()
    try:
        await burst(0)
        await app.aenqueue_many([count.job(1000 + n, True) for n in range(5)])
        await eventually(lambda: len(runs.seen) == 35)
        await eventually(lambda: worker.statistics().completed == 30, what="30 are written")
        await eventually(no_more)
        proxy.refuse()
        proxy.cut()
        gate.set()
        for _ in range(100):
            with pytest.raises(Unreachable):
                await count.aenqueue(-1)
        await eventually(lambda: len(at_cap) >= 3, what="waits at their bounds")
        assert worker.statistics().unwritten == 5
        proxy.heal()
        await burst(30)
        await eyes.settled(completed=65)
        await eventually(no_more)
        await eventually(lambda: proxy.connections <= sum(ALL_SESSIONS.values()))
    finally:
        await worker.stop()
        await app.aclose()
    assert not runs.twice()


@pytest.mark.past_bug(37)
async def test_what_is_asked_after_a_connect_fails_a_hundred_times(dsn: str, eyes: Eyes) -> None:
    watch = Watch()

    def ignore(*_: str) -> None: ...

    link = Link(
        dsn, role="claim", watch=watch, deadline=3.0, pooled=False,
        listener=Listener("select 1 / 0", ignore),
    )  # fmt: skip

    async def none() -> bool:
        return not await eyes.sessions()

    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        with pytest.raises(PgQueueError):
            await link.fetch("select 1")
        assert not link.connected
    await eventually(none)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert watch.overdue(float("inf")) == []


@pytest.mark.past_bug(37)
async def test_a_worker_that_cannot_listen_for_a_while(app: App, eyes: Eyes) -> None:
    """Its claims fail meanwhile; it leaves no session behind, and comes back."""
    runs = Runs()

    @app.task
    async def count(n: int) -> None:
        with runs.of(n):
            pass

    (source,) = await eyes.sql("select pg_get_functiondef('pgqueue.channel'::regproc)")
    broken = (
        "create or replace function pgqueue.channel() returns text language plpgsql as"
        " $$ begin raise exception 'not now'; end $$"
    )
    worker: Any
    async with working(app, lease=30.0, heartbeat=0.3) as worker:
        await count.aenqueue(1)
        await eyes.settled(completed=1)
        await eyes.sql(broken)
        connects = worker.machines.claimer.looks.store.link.connects
        await eyes.terminate("claim")
        await eventually(lambda: worker.machines.claimer.looks.store.link.connects > connects + 4)
        names = [name for name, _ in await eyes.sessions()]
        assert len(names) == len(set(names))
        await eyes.sql(source[0])
        await eyes.sql(
            "select * from pgqueue.enqueue($1::text::jsonb)", '{"task": "count", "args": {"n": 2}}'
        )
        await eyes.settled(completed=2)
    assert runs.seen == [1, 2]
