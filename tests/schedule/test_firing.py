"""Workers fire schedules: one job a slot, whoever fires, and whatever happens meanwhile.

Slots are moved into the past in the database: no test waits for one, but the one of a notification.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from pgqueue import App, Debounce, Replace, Worker
from pgqueue.db.link import Link, Watch
from pgqueue.db.statements import statement
from pgqueue.db.store import Store
from pgqueue.worker.events import NextSlot
from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.firing import Firing
from pgqueue.worker.timings import FiringTimings, Timings
from tests.harness.fakes import Said
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

# Neither poll nor heartbeat comes round while these tests wait.
SELDOM: dict[str, Any] = {"poll_interval": 600.0, "heartbeat": 100.0, "lease": 301.0}
MINUTE = timedelta(minutes=1)
JOBS = (
    "select id, args, metadata, run_at, priority, queue, unique_key from pgqueue.jobs"
    " where metadata ? 'schedule' order by metadata ->> 'slot', id"
)


async def jobs(eyes: Eyes) -> list[Any]:
    return await eyes.sql(JOBS)


async def slots(eyes: Eyes) -> list[str]:
    return [json.loads(row["metadata"])["slot"] for row in await jobs(eyes)]


async def move(eyes: Eyes, back: str, name: str = "%") -> None:
    """Have a schedule wait for the slot of so long ago."""
    await eyes.sql(
        "update pgqueue.schedule set next_at = date_trunc('minute', now() - $1::text::interval)"
        " where name like $2",
        back, name,
    )  # fmt: skip


class Machines:
    """Firing by itself, as the heartbeat threads of several workers have it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.links: list[Link] = []
        self.background = Background()
        self.said = Said[Any]()

    def one(self, app: App, **timings: float) -> Firing:
        link = Link(self._dsn, role="duties", watch=Watch(), deadline=8.0, pooled=False)
        self.links.append(link)
        return Firing(
            Store(link, "pgqueue"), app, app.declared.names, actor="host:1",
            view=cast("Any", SimpleNamespace(watches=True)), background=self.background,
            events=self.said, timings=FiringTimings(**timings),
        )  # fmt: skip


@pytest.fixture
async def machines(dsn: str) -> AsyncIterator[Machines]:
    made = Machines(dsn)
    yield made
    await made.background.cancel(5.0)
    for link in made.links:
        await link.close()


@pytest.mark.past_bug(92)
async def test_a_schedule_that_is_due_at_once_does_not_wait_for_the_poll(
    app: App, eyes: Eyes
) -> None:
    async with working(app, **SELDOM) as worker:
        await eventually(lambda: worker.machines.claimer.seating.seat.rank is not None)
        now = await eyes.value("select clock_timestamp()")
        anchor = now + timedelta(milliseconds=300)
        await app.schedules.aset("soon", task="report", every=86_400, anchor=anchor)

        async def fired() -> bool:
            return bool(await slots(eyes))

        await eventually(fired)
        assert await slots(eyes) == [anchor.isoformat()]
        assert await eyes.value("select bool_and(enqueued_at >= run_at) from pgqueue.jobs")


async def test_a_worker_declares_fires_and_goes_on_after_a_restart(app: App, eyes: Eyes) -> None:
    app.schedule("nightly", "report", cron="30 2 * * *", zone="Europe/Berlin", args={"day": "x"})
    async with working(app):
        (row,) = await eyes.sql("select * from pgqueue.schedule")
        assert row["next_at"] > datetime.now(UTC) - timedelta(minutes=1)
        assert await eyes.value("select schedules from pgqueue.worker") == ["nightly"]
    await move(eyes, "1 day")
    async with working(app):

        async def fired() -> bool:
            return len(await jobs(eyes)) == 1

        await eventually(fired)
    (job,) = await jobs(eyes)
    assert json.loads(job["args"]) == {"day": "x"}
    assert await eyes.value("select next_at from pgqueue.schedule") == row["next_at"]


@pytest.mark.past_bug(83)
async def test_twenty_racing_workers_make_one_job_a_slot(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    for n in range(5):
        await app.schedules.aset(f"s{n}", task="report", cron="* * * * *", misfire="all")
    firings = [machines.one(app) for _ in range(20)]
    total = "select sum(extract(epoch from next_at) / 60)::int from pgqueue.schedule"
    for ago in (30, 20, 10):
        await move(eyes, f"{ago} minutes")
        waited, made = await eyes.value(total), len(await jobs(eyes))
        for _ in range(2):
            await asyncio.gather(*[firing.step(called=True) for firing in firings])
        passed = await eyes.value(total) - waited
        assert passed >= 5 * (ago + 1)
        assert len(await jobs(eyes)) - made == passed, "one job for each minute that has passed"
        await eyes.sql("delete from pgqueue.job")
    assert await eyes.value("select bool_and(next_at > now()) from pgqueue.schedule")


@pytest.mark.past_bug(82, 84)
async def test_a_firer_that_dies_leaves_the_slot_to_the_others(
    app: App, eyes: Eyes, dsn: str, machines: Machines
) -> None:
    await app.schedules.aset("s", task="report", cron="@daily")
    await move(eyes, "0 minutes")
    (row,) = await eyes.sql("select next_at, revision from pgqueue.schedule")
    dying = await asyncpg.connect(dsn)
    await dying.execute("begin")
    notes = json.dumps([{"slot": row["next_at"].isoformat(), "job": {"task": "report"}}])
    taken = await dying.fetch(
        statement("fire_slots", "pgqueue"), ["s"], [row["next_at"]], [row["revision"]],
        [row["next_at"] + timedelta(minutes=1)], [notes],
    )  # fmt: skip
    assert [one["name"] for one in taken] == ["s"]
    other = machines.one(app)
    assert 0 < await other.step(called=True) <= 1.0, "it looks again: the other may die over it"
    assert await jobs(eyes) == []
    dying.terminate()

    async def fired() -> bool:
        await other.step(called=True)
        return len(await jobs(eyes)) == 1

    await eventually(fired)
    await other.step(called=True)
    assert len(await jobs(eyes)) == 1


@pytest.mark.past_bug(79, 81)
async def test_a_timer_that_is_early_and_a_clock_that_went_back_fire_nothing(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    """A clock that went back a minute and a half is one by which the next slot is so far off."""
    await app.schedules.aset("s", task="report", cron="* * * * *", misfire="all")
    await move(eyes, "0 minutes")
    await machines.one(app).step(called=True)
    made = len(await jobs(eyes))
    (row,) = await eyes.sql(
        "update pgqueue.schedule set next_at = clock_timestamp() + interval '90 s'"
        " returning next_at, revision"
    )
    assert 80 < await machines.one(app).step(called=True) <= 90
    notes = json.dumps([{"slot": row["next_at"].isoformat(), "job": {"task": "report"}}])
    early = (["s"], [row["next_at"]], [row["revision"]], [row["next_at"] + MINUTE], [notes])
    assert await eyes.sql(statement("fire_slots", "pgqueue"), *early) == []
    assert len(await jobs(eyes)) == made


@pytest.mark.past_bug(80, 85)
@pytest.mark.parametrize("misfire", ["last", "skip", "all"])
async def test_an_hour_without_a_database_follows_the_policy(
    app: App, eyes: Eyes, machines: Machines, caplog: pytest.LogCaptureFixture, misfire: Any
) -> None:
    await app.schedules.aset("s", task="report", cron="* * * * *", misfire=misfire)
    await move(eyes, "60 minutes")
    first = await eyes.value("select next_at from pgqueue.schedule")
    wait = await machines.one(app).step(called=True)
    assert 0 <= wait <= 60
    following = await eyes.value("select next_at from pgqueue.schedule")
    due = [first + n * MINUTE for n in range((following - first) // MINUTE)]
    assert len(due) >= 61
    wanted = due if misfire == "all" else due[-1:]
    assert await slots(eyes) == [slot.isoformat() for slot in wanted]
    if misfire != "all":
        assert f"{len(due) - 1} slots" in caplog.text
        fires = await app.schedules.ahistory("s")
        assert [fire.missed for fire in fires] == [0, len(due) - 1]


@pytest.mark.past_bug(87)
async def test_the_time_zone_of_a_session_changes_no_slot(
    app: App, eyes: Eyes, dsn: str, machines: Machines
) -> None:
    await eyes.sql(
        f"alter database {await eyes.value('select current_database()')}"
        " set timezone = 'America/Bogota'"
    )
    there = App(dsn)
    there.task(app.tasks.get("report").function, name="report")
    await there.schedules.aset("s", task="report", cron="0 3 * * *", zone="Europe/Berlin")
    before = await eyes.value("select next_at from pgqueue.schedule")
    assert before.astimezone(UTC).minute == 0
    await eyes.sql("update pgqueue.schedule set next_at = next_at - interval '1 day'")
    await machines.one(there).step(called=True)
    assert await eyes.value("select next_at from pgqueue.schedule") == before
    (slot,) = await slots(eyes)
    assert slot == (before - timedelta(days=1)).isoformat()
    (fire,) = await there.schedules.ahistory("s")
    assert fire.slot == before - timedelta(days=1)
    await there.aclose()


@pytest.mark.past_bug(89)
async def test_a_function_gives_the_arguments_of_each_slot_or_no_job(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    asked: list[datetime] = []

    def day(slot: datetime) -> Mapping[str, Any] | None:
        asked.append(slot)
        return None if slot.minute % 2 else {"day": slot.isoformat()}

    app.schedule("s", "report", cron="* * * * *", zone="Asia/Kathmandu", misfire="all", args=day)
    async with working(app):
        pass
    await move(eyes, "10 minutes")
    firing = machines.one(app)
    await firing.step(called=True)

    async def moved_on() -> bool:
        return bool(await eyes.value("select next_at > now() from pgqueue.schedule"))

    await eventually(moved_on)
    assert {slot.utcoffset() for slot in asked} == {timedelta(hours=5, minutes=45)}
    wanted = [slot.isoformat() for slot in asked if slot.minute % 2 == 0]
    assert [json.loads(row["args"])["day"] for row in await jobs(eyes)] == wanted
    fires = await app.schedules.ahistory("s")
    assert [fire.job_id is None for fire in reversed(fires)] == [s.minute % 2 == 1 for s in asked]
    await eventually(lambda: NextSlot(0.0) in machines.said)


async def test_a_function_that_fails_keeps_its_slot_and_holds_up_no_other(
    app: App, eyes: Eyes, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    works = False

    def args(slot: datetime) -> dict[str, Any]:
        if not works:
            raise LookupError("no tenant")
        return {"tenant": "acme"}

    app.schedule("broken", "report", cron="@daily", args=args)
    app.schedule("whole", "report", cron="@daily")
    async with working(app):
        pass
    await move(eyes, "2 minutes")
    firing = machines.one(app, left_out=0.0)
    await firing.step(called=True)
    await eventually(lambda: "no tenant" in caplog.text)
    (job,) = await jobs(eyes)
    assert json.loads(job["metadata"])["schedule"] == "whole"
    works = True

    async def both() -> bool:
        await firing.step(called=True)
        return len(await jobs(eyes)) == 2

    await eventually(both)


async def test_a_bad_row_stops_no_other(
    app: App, eyes: Eyes, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c", "d"):
        await app.schedules.aset(name, task="report", cron="* * * * *")
    await eyes.sql("""update pgqueue.schedule set changed = '{"task": "x"}' where name = 'a'""")
    await eyes.sql(
        """update pgqueue.schedule set changed = changed || '{"args": {"tenat": 1}}'
           where name = 'b'"""
    )
    await eyes.sql("create function no() returns trigger language plpgsql as"
                   " $$ begin raise 'no c'; end $$")  # fmt: skip
    await eyes.sql(
        "create trigger no before insert on pgqueue.job for each row"
        " when (new.metadata ->> 'schedule' = 'c') execute function no()"
    )
    await move(eyes, "1 minute")
    await machines.one(app).step(called=True)
    (job,) = await jobs(eyes)
    assert json.loads(job["metadata"])["schedule"] == "d"
    for said in ('"a" cannot be fired', "tenat", "no c"):
        assert said in caplog.text
    assert await eyes.value("select count(*) from pgqueue.schedule where next_at < now()") == 3


@pytest.mark.past_bug(66, 90)
async def test_a_duplicate_is_skipped_logged_and_noted(
    app: App, eyes: Eyes, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await app.schedules.aset("s", task="report", cron="* * * * *", overlap="skip", priority=1,
                             queue="slow", tags=["a"], expires=3600)  # fmt: skip
    firing = machines.one(app)
    await move(eyes, "2 minutes")
    await firing.step(called=True)
    (job,) = await jobs(eyes)
    assert (job["priority"], job["queue"], job["unique_key"]) == (1, "slow", "cron:s")
    assert (await eyes.job(job["id"]))["expires_at"] is not None
    assert (await eyes.job(job["id"]))["tags"] == ["a"]
    await move(eyes, "1 minutes")
    await firing.step(called=True)
    assert len(await jobs(eyes)) == 1
    assert f"job {job['id']} has its unique key" in caplog.text
    fires = await app.schedules.ahistory("s")
    assert [(fire.job_id, fire.duplicate) for fire in fires if not fire.missed] == [
        (job["id"], True), (job["id"], False),
    ]  # fmt: skip


@pytest.mark.past_bug(69)
async def test_the_modes_of_unique_jobs_hold_for_slots(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    await app.schedules.aset("r", task="report", cron="* * * * *", priority=2, queue="slow",
                             unique=Replace("priority"))  # fmt: skip
    await app.schedules.aset("d", task="report", cron="* * * * *", queue="d",
                             unique=Debounce(3600), unique_key="d")  # fmt: skip
    firing = machines.one(app)
    for _ in range(2):
        await move(eyes, "2 minutes")
        await firing.step(called=True)
        await app.schedules.aset("r", priority=1)
    first, second = [await eyes.job(row["id"]) for row in await jobs(eyes)]
    if first["queue"] == "slow":
        first, second = second, first
    assert (first["queue"], first["state"]) == ("d", "scheduled")
    assert (second["queue"], second["priority"]) == ("slow", 1)


async def test_the_jobs_of_a_slot_with_jitter_are_due_later(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    await app.schedules.aset("s", task="report", cron="* * * * *", jitter=86_400, misfire="all")
    await move(eyes, "9 minutes")
    await machines.one(app).step(called=True)
    waits = [row["run_at"] - datetime.fromisoformat(json.loads(row["metadata"])["slot"])
             for row in await jobs(eyes)]  # fmt: skip
    assert len(set(waits)) == len(waits) >= 10
    assert all(timedelta(0) <= wait < timedelta(days=1) for wait in waits)


async def test_history_keeps_the_last_twenty_slots(
    app: App, eyes: Eyes, machines: Machines
) -> None:
    await app.schedules.aset("s", task="report", cron="* * * * *", misfire="all")
    await move(eyes, "30 minutes")
    await machines.one(app).step(called=True)
    found = await slots(eyes)
    fires = await app.schedules.ahistory("s")
    assert [fire.slot.isoformat() for fire in fires] == found[::-1][:20]
    assert [fire.job_id for fire in fires] == [row["id"] for row in await jobs(eyes)][::-1][:20]


async def test_neither_a_pause_nor_a_change_is_overtaken_by_a_firer(
    app: App, eyes: Eyes, dsn: str
) -> None:
    """What was read before a change is not fired after it."""
    await app.schedules.aset("s", task="report", cron="* * * * *")
    await move(eyes, "1 minute")
    (row,) = await eyes.sql("select next_at, revision from pgqueue.schedule")
    asked = (["s"], [row["next_at"]], [row["revision"]], [row["next_at"]], ["[]"])
    await app.schedules.aset("s", priority=1)
    await move(eyes, "1 minute")
    assert await eyes.sql(statement("fire_slots", "pgqueue"), *asked) == []
    revision = await eyes.value("select revision from pgqueue.schedule")
    await app.schedules.apause("s")
    await move(eyes, "1 minute")
    assert await eyes.sql(statement("fire_slots", "pgqueue"), *asked[:2], [revision + 1],
                          *asked[3:]) == []  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"priority": 1}, {"cron": "*/2 * * * *"}, {"every": 60}], ids=str
)
async def test_a_change_does_not_undo_a_fire(
    app: App, eyes: Eyes, dsn: str, machines: Machines, change: Any
) -> None:
    """It was decided by what was there before the fire, and is decided anew."""
    await app.schedules.aset("s", task="report", cron="* * * * *")
    await move(eyes, "0 minutes")
    (row,) = await eyes.sql("select next_at, revision from pgqueue.schedule")
    slot, following = row["next_at"], row["next_at"] + MINUTE
    firing = await asyncpg.connect(dsn)
    await firing.execute("begin")
    notes = json.dumps([{"slot": slot.isoformat(), "job": {"task": "report"}}])
    await firing.fetch(
        statement("fire_slots", "pgqueue"), ["s"], [slot], [row["revision"]], [following], [notes]
    )
    changing = asyncio.ensure_future(app.schedules.aset("s", **change))

    async def waits() -> bool:
        return bool(await eyes.value("select count(*) from pg_locks where not granted"))

    await eventually(waits)
    await firing.execute("commit")
    await firing.close()
    assert not await changing
    assert await eyes.value("select next_at > $1 from pgqueue.schedule", slot)
    assert await eyes.value("select revision from pgqueue.schedule") == row["revision"] + 1


@asynccontextmanager
async def fleet_of(dsn: str, *schedules: str) -> AsyncIterator[Worker]:
    """A worker of a version of the code that declares these."""
    app = App(dsn)

    @app.task()
    async def report() -> None: ...

    for name in schedules:
        app.schedule(name, report, cron="* * * * *", misfire="all")
    timings = Timings(firing=FiringTimings(orphans_every=0.0, orphan_after=30.0))
    async with working(app, timings=timings) as worker:
        yield worker
    await app.aclose()


async def test_a_schedule_that_no_code_declares_any_more_does_not_fire(
    app: App, eyes: Eyes, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet_of(dsn, "old", "kept"):
        pass
    found = {one.name: one.state for one in await app.schedules.alist()}
    assert found == {"kept": "active", "old": "active"}, "nobody runs, so nobody has left it out"
    async with fleet_of(dsn, "kept"):
        states = {one.name: one.state for one in await app.schedules.alist()}
        assert states == {"kept": "active", "old": "orphaned"}
        await move(eyes, "5 minutes")

        async def marked() -> bool:
            return bool(
                await eyes.value(
                    "select count(*) = 1 from pgqueue.schedule where orphaned_at is not null"
                )
            )

        await eventually(marked)
        said = '"old" was declared by code, and is not any more'
        await eventually(lambda: said in caplog.text)
        names = {json.loads(row["metadata"])["schedule"] for row in await jobs(eyes)}
        assert names == {"kept"}
        with pytest.raises(Exception, match="would come back"):
            await app.schedules.aremove("kept")
    async with fleet_of(dsn, "kept", "old"):

        async def made_up() -> bool:
            rows = await jobs(eyes)
            return sum(json.loads(row["metadata"])["schedule"] == "old" for row in rows) >= 5

        await eventually(made_up)
    async with fleet_of(dsn, "kept"):
        await app.schedules.aremove("old")


async def test_one_that_was_forgotten_for_a_day_begins_anew(app: App, eyes: Eyes, dsn: str) -> None:
    async with fleet_of(dsn, "old"):
        pass
    await move(eyes, "2 days")
    await eyes.sql("update pgqueue.schedule set orphaned_at = now() - interval '25 hours'")
    async with fleet_of(dsn, "old"):
        assert await eyes.value(
            "select next_at > now() - interval '1 minute' from pgqueue.schedule"
        )


async def test_a_function_that_does_not_return_holds_up_neither_others_nor_the_end(
    app: App, eyes: Eyes, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()

    def args(slot: datetime) -> dict[str, Any]:
        go_on.wait(60)
        return {}

    app.schedule("slow", "report", cron="* * * * *", args=args)
    app.schedule("quick", "report", cron="* * * * *")
    async with working(app):
        pass
    firing = machines.one(app, code_slow=0.01)
    try:
        for _ in range(2):
            await move(eyes, "2 minutes")
            await firing.step(called=True)
        await eventually(lambda: "its slots wait" in caplog.text)
        names = [json.loads(row["metadata"])["schedule"] for row in await jobs(eyes)]
        assert names == ["quick", "quick"]
        await machines.background.cancel(5.0)
    finally:
        go_on.set()
