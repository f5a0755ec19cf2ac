"""Schedules with whole workers: killed ones, ones behind a pooler, ones that have no schedule."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from pgqueue import App
from pgqueue.db.store import Store
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

PROGRAM = """
import asyncio, os
from pgqueue import App, Worker

app = App(os.environ["PGQUEUE_DSN"])

@app.task()
async def report(slot: str = "") -> None: ...

app.schedule("plain", report, every=1, misfire="all")
app.schedule("computed", report, cron="* * * * * *", misfire="all",
             args=lambda slot: {"slot": slot.isoformat()})
asyncio.run(Worker(app, heartbeat=0.3, lease=5.0, concurrency=5).run(signals=True))
"""
SLOTS = (
    "select metadata ->> 'schedule' as name, metadata ->> 'slot' as slot from pgqueue.jobs"
    " where metadata ? 'schedule' order by 1, 2"
)


@pytest.mark.long
@pytest.mark.past_bug(82, 83)
async def test_no_slot_is_lost_or_doubled_while_workers_are_killed(dsn: str, eyes: Eyes) -> None:
    rng = random.Random(82)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env={**os.environ, "PGQUEUE_DSN": dsn},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    fleet = [start() for _ in range(4)]
    try:
        kills = 0

        async def enough() -> bool:
            nonlocal kills
            rows = await eyes.sql(SLOTS)
            if rows and rng.random() < 0.1:
                n = rng.randrange(len(fleet))
                fleet[n].kill()
                await asyncio.to_thread(fleet[n].wait)
                fleet[n] = start()
                kills += 1
            return (
                kills >= 8
                and min(sum(row["name"] == name for row in rows) for name in ("plain", "computed"))
                >= 20
            )

        await eventually(enough)
    finally:
        for worker in fleet:
            worker.kill()
        for worker in fleet:
            worker.wait()
    for name in ("plain", "computed"):
        slots = [
            datetime.fromisoformat(row["slot"]) for row in await eyes.sql(SLOTS)
            if row["name"] == name
        ]  # fmt: skip
        assert slots == [slots[0] + n * timedelta(seconds=1) for n in range(len(slots))], name
        following = await eyes.value("select next_at from pgqueue.schedule where name = $1", name)
        assert following == slots[-1] + timedelta(seconds=1)


async def test_a_schedule_fires_through_a_pooler(bouncer_dsn: str, eyes: Eyes) -> None:
    app = App(bouncer_dsn, pgbouncer=True)

    @app.task()
    async def report() -> None: ...

    app.schedule("s", report, cron="* * * * *", args=lambda slot: {})
    await eyes.sql("select 1")
    async with working(app, listen=False):
        await eyes.sql("update pgqueue.schedule set next_at = now() - interval '1 minute'")

        async def fired() -> bool:
            return bool(await eyes.sql(SLOTS))

        await eventually(fired)
    await app.aclose()


async def test_a_fleet_without_schedules_sends_no_statement_for_them(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    for name in ("find_slots", "fire_slots", "orphan_schedules"):

        async def note(self: Store, *_: Any, name: str = name) -> list[Any]:
            sent.append(name)
            return []

        monkeypatch.setattr(Store, name, note)
    async with working(app) as worker:
        thread = worker.machines.heartbeat_thread
        await eventually(lambda: thread.heartbeats > 5)
    assert sent == []


async def test_one_worker_on_watch_knows_of_a_slot_that_it_did_not_fire(
    app: App, eyes: Eyes
) -> None:
    """Every second has its job, though heartbeats are far apart: each fire knows the next slot."""
    async with working(app, heartbeat=100.0, lease=301.0, poll_interval=600.0) as worker:
        await eventually(lambda: worker.machines.claimer.seating.seat.rank is not None)
        await app.schedules.aset("s", task="report", every=1)

        async def three() -> bool:
            return len(await eyes.sql(SLOTS)) >= 3

        await eventually(three)
        assert json.loads(await eyes.value("select fires from pgqueue.schedule"))
