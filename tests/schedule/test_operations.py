"""What operators do with schedules, and what code declares beside them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import App, Client, ConfigError, PayloadError, Unique, UnknownTask
from pgqueue.admin.schedules import Actor, declare_schedules
from tests.worker.support import Eyes
from tests.worker.test_callers_transaction import ASYNC, BLOCKING, begun, begun_blocking

DEPLOY = Actor("host:1", "code")


async def deploy(app: App) -> list[str]:
    """What a worker of this app does first."""
    declared = {one.name: one for one in app.declared}
    return await app.pool.arun(lambda c: declare_schedules(c, app.schema, declared, DEPLOY))


async def only(app: Client) -> Any:
    (found,) = await app.schedules.alist()
    return found


async def test_a_row_is_made_changed_paused_resumed_and_removed(app: App, eyes: Eyes) -> None:
    schedules = app.schedules.by("ann", reason="a new customer")
    assert await schedules.aset(
        "acme", task="report", cron="0 8 * * MON-FRI", zone="America/New_York",
        args={"tenant": "acme"}, queue="mail",
    )  # fmt: skip
    found = await only(app)
    assert (found.name, found.state, found.task, found.queue) == (
        "acme", "active", "report", "mail",
    )  # fmt: skip
    assert (found.when, found.zone, found.in_code) == ("0 8 * * MON-FRI", "America/New_York", False)
    assert found.next_at > datetime.now(UTC) - timedelta(minutes=1)
    assert found.changed_by == "ann"
    assert "args" not in found.settings

    assert not await schedules.aset("acme", jitter=60)
    assert (await only(app)).when == "0 8 * * MON-FRI", "what is not given stays"
    assert not await schedules.aset("acme", every=3600)
    assert (await only(app)).when == "every 3600 s", "one takes the place of the other"

    assert await schedules.apause("acme")
    assert not await schedules.apause("acme")
    assert (await only(app)).state == "paused"
    assert await schedules.aresume("acme")
    assert not await schedules.aresume("acme")
    await schedules.aremove("acme")
    assert await app.schedules.alist() == []

    rows = await eyes.sql("select * from pgqueue.audit order by id")
    assert [row["action"] for row in rows] == [
        "schedule.set", "schedule.set", "schedule.set", "schedule.pause", "schedule.resume",
        "schedule.remove",
    ]  # fmt: skip
    assert {(row["actor"], row["via"], row["reason"]) for row in rows} == {
        ("ann", "python", "a new customer")
    }
    target = json.loads(rows[1]["target"])
    assert (target["before"].get("jitter"), target["after"]["jitter"]) == (None, 60)
    assert "args" not in target["after"]


async def test_the_verbs_have_blocking_forms(dsn: str) -> None:
    def work() -> None:
        with Client(dsn) as client:
            assert client.schedules.set("a", task="t", every=60)
            assert [one.name for one in client.schedules.list()] == ["a"]
            assert len(client.schedules.preview("a", 3)) == 3
            assert client.schedules.pause("a")
            assert client.schedules.resume("a")
            assert client.schedules.run("a") is not None
            assert client.schedules.history("a") == []
            client.schedules.remove("a")

    await asyncio.to_thread(work)


async def test_slots_of_a_pause_are_never_due(app: App, eyes: Eyes) -> None:
    await app.schedules.aset("a", task="report", cron="* * * * *", misfire="all")
    await app.schedules.apause("a")
    await eyes.sql("update pgqueue.schedule set next_at = now() - interval '1 day'")
    await app.schedules.aresume("a")
    assert await eyes.value("select next_at > now() from pgqueue.schedule")


async def test_an_operators_change_wins_over_code_until_reset(app: App, eyes: Eyes) -> None:
    report = app.tasks.get("report")
    app.schedule("nightly", report, cron="30 2 * * *", zone="Europe/Berlin")
    assert await deploy(app) == ["nightly"]
    assert await deploy(app) == [], "nothing new is said"
    await app.schedules.aset("nightly", cron="0 5 * * *", queue="slow")
    await app.schedules.apause("nightly")

    later = App(app.pool.source.dsn)
    later.task(report.function, name="report")
    later.schedule("nightly", "report", cron="45 2 * * *", zone="Europe/Berlin", priority=2)
    assert await deploy(later) == ["nightly"]
    found = await only(app)
    assert (found.when, found.queue, found.state) == ("0 5 * * *", "slow", "paused")
    assert found.settings["priority"] == 2, "what the operator left alone follows the code"
    assert found.declared["when"] == {"cron": "45 2 * * *"}, "both values are shown"
    assert found.changed == {"when": {"cron": "0 5 * * *"}, "queue": "slow"}

    assert await app.schedules.areset("nightly")
    assert not await app.schedules.areset("nightly")
    found = await only(app)
    assert (found.when, found.changed, found.state) == ("45 2 * * *", None, "paused")
    await later.aclose()


async def test_a_deploy_that_changes_no_time_keeps_the_next_slot(app: App, eyes: Eyes) -> None:
    app.schedule("hourly", "report", cron="0 * * * *")
    await deploy(app)
    await eyes.sql("update pgqueue.schedule set next_at = now() - interval '3 hours'")
    same = App(app.pool.source.dsn)
    same.task(app.tasks.get("report").function, name="report")
    same.schedule("hourly", "report", cron="0 * * * *", priority=1)
    await deploy(same)
    assert await eyes.value("select next_at < now() from pgqueue.schedule"), "it is still due"
    other = App(app.pool.source.dsn)
    other.task(app.tasks.get("report").function, name="report")
    other.schedule("hourly", "report", cron="30 * * * *", priority=1)
    await deploy(other)
    assert await eyes.value("select next_at > now() from pgqueue.schedule"), "counted from now"
    for one in (same, other):
        await one.aclose()


@pytest.mark.past_bug(91)
async def test_twenty_deploys_at_once_make_one_row(dsn: str, eyes: Eyes) -> None:
    apps: list[App] = []
    for _ in range(20):
        app = App(dsn)

        @app.task()
        async def report() -> None: ...

        for n in range(3):
            app.schedule(f"s{n}", report, every=3600)
        apps.append(app)
    await asyncio.gather(*[deploy(app) for app in apps])
    assert await eyes.value("select count(*) from pgqueue.schedule") == 3
    assert await eyes.value("select count(*) from pgqueue.audit") == 3
    assert await eyes.value("select max(revision) from pgqueue.schedule") == 1
    for app in apps:
        await app.aclose()


async def test_a_job_is_run_now_and_the_slots_stay(app: App, eyes: Eyes) -> None:
    await app.schedules.aset(
        "acme", task="report", cron="@daily", args={"tenant": "acme"}, jitter=3600, priority=3
    )
    before = (await only(app)).next_at
    made = await app.schedules.arun("acme")
    assert made is not None
    job = await eyes.job(made.id)
    assert (job["state"], job["task"], job["priority"]) == ("pending", "report", 3)
    assert json.loads(job["args"]) == {"tenant": "acme"}
    assert json.loads(job["metadata"]) == {"schedule": "acme", "slot": None}
    assert (await only(app)).next_at == before
    assert await app.schedules.ahistory("acme") == []
    (row,) = await eyes.sql("select target from pgqueue.audit where action = 'schedule.run'")
    assert json.loads(row["target"]) == {"schedule": "acme", "job": made.id}


async def test_arguments_that_code_gives_need_that_code_to_run_now(app: App, dsn: str) -> None:
    app.schedule("nightly", "report", cron="@daily", args=lambda slot: {"day": f"{slot:%z}"})
    await deploy(app)
    made = await app.schedules.arun("nightly")
    assert made is not None
    async with Client(dsn) as client:
        with pytest.raises(ConfigError, match="come from code"):
            await client.schedules.arun("nightly")
        with pytest.raises(ConfigError, match="give args as well"):
            await client.schedules.aset("nightly", task="other")
        await client.schedules.aset("nightly", args={"day": "today"})
        assert await client.schedules.arun("nightly") is not None


async def test_the_preview_has_the_slots_the_jitter_and_the_jumps(app: App) -> None:
    await app.schedules.aset(
        "half", task="report", cron="30 2 * 3,10 SUN", zone="Europe/Berlin", jitter=300
    )
    slots = await app.schedules.apreview("half", 60)
    assert len({slot.due_at - slot.at for slot in slots}) > 10
    assert all(slot.wall.astimezone(UTC) == slot.at for slot in slots)
    skipped = [slot for slot in slots if "skipped" in slot.note]
    twice = [slot for slot in slots if "twice; this is the first" in slot.note]
    assert skipped
    assert twice
    assert all(slot.wall.hour == 3 and slot.wall.minute == 0 for slot in skipped)
    assert all(slot.wall.hour == 2 and slot.wall.fold == 0 for slot in twice)


async def test_a_name_that_is_not_there_gets_the_nearest(app: App) -> None:
    await app.schedules.aset("nightly", task="report", cron="@daily")
    for call in (
        app.schedules.apause("nigthly"), app.schedules.aresume("nigthly"),
        app.schedules.apreview("nigthly"), app.schedules.arun("nigthly"),
        app.schedules.aremove("nigthly"), app.schedules.ahistory("nigthly"),
        app.schedules.areset("nigthly"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r'"nigthly".*nightly'):
            await call


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "nothing is given"),
        ({"task": "report"}, "needs cron or every"),
        ({"cron": "@daily"}, "needs a task"),
        ({"task": "report", "cron": "61 * * * *"}, "minute"),
        ({"task": "report", "cron": "@daily", "zone": "Berlin"}, "time zone"),
        ({"task": "report", "cron": "@daily", "delay": 3}, "takes no delay"),
    ],
)
async def test_what_makes_no_schedule_is_refused(
    app: App, eyes: Eyes, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        await app.schedules.aset("a", **given)
    assert await eyes.value("select count(*) from pgqueue.schedule") == 0
    assert await eyes.value("select count(*) from pgqueue.audit") == 0


async def test_arguments_are_checked_where_the_task_is_known(app: App) -> None:
    with pytest.raises(PayloadError, match="tenat"):
        await app.schedules.aset("a", task="report", cron="@daily", args={"tenat": "acme"})
    with pytest.raises(PayloadError, match="tenat"):
        app.schedule("a", "report", cron="@daily", args={"tenat": "acme"})
    assert await app.schedules.aset("a", task="elsewhere", cron="@daily", args={"tenat": 1})


def test_what_code_declares_is_checked_at_once() -> None:
    app, other = App("postgresql:///nowhere"), App("postgresql:///nowhere")

    @app.task()
    async def report(tenant: str = "all") -> None: ...

    @other.task(name="report")
    async def stranger() -> None: ...

    with pytest.raises(UnknownTask, match="report"):
        app.schedule("a", "repport", cron="@daily")
    with pytest.raises(ConfigError, match="no task of this app"):
        app.schedule("a", stranger, cron="@daily")
    with pytest.raises(ConfigError, match="give a task of this app, or its name, got 3"):
        app.schedule("a", 3, cron="@daily")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r'by names "tenat".*did you mean "tenant"'):
        app.schedule("a", report, cron="@daily", unique=Unique(by=["tenat"]))
    with pytest.raises(ConfigError, match='by names "tenant", which this call'):
        app.schedule("a", report, cron="@daily", unique=Unique(by=["tenant"]))
    with pytest.raises(ConfigError, match="needs cron or every"):
        app.schedule("a", report)

    async def slow(slot: datetime) -> dict[str, Any]:
        return {}

    with pytest.raises(ConfigError, match="without async"):
        app.schedule("a", report, cron="@daily", args=slow)  # type: ignore[arg-type]
    app.schedule("a", report, cron="@daily")
    app.schedule("a", report, cron="@daily")  # a module that is imported twice
    with pytest.raises(ConfigError, match='two schedules are named "a"'):
        app.schedule("a", report, cron="@hourly")


@pytest.mark.parametrize("kind", ASYNC)
async def test_verbs_belong_to_the_callers_transaction(
    app: App, eyes: Eyes, dsn: str, kind: str
) -> None:
    """A customer and their schedule come together, or not at all."""
    async with ASYNC[kind](dsn) as connection:
        async with begun(connection):
            on: dict[str, Any] = {"connection": connection}
            schedules = app.schedules
            assert await schedules.aset("a", task="report", cron="@daily", args={}, **on)
            assert not await schedules.aset("a", every=3600, queue="mail", **on)
            assert [one.queue for one in await schedules.alist(**on)] == ["mail"]
            assert await schedules.apause("a", **on)
            assert await schedules.aresume("a", **on)
            assert len(await schedules.apreview("a", 2, **on)) == 2
            assert await schedules.ahistory("a", **on) == []
            assert await schedules.arun("a", **on) is not None
            assert await eyes.value("select count(*) from pgqueue.schedule") == 0
        if getattr(connection, "commit", None):
            await connection.commit()
    assert await eyes.value("select count(*) from pgqueue.schedule") == 1
    assert await eyes.value("select count(*) from pgqueue.audit") == 5


@pytest.mark.parametrize("kind", BLOCKING)
async def test_verbs_work_on_connections_that_block(
    app: App, eyes: Eyes, dsn: str, kind: str
) -> None:
    def work() -> None:
        with BLOCKING[kind](dsn) as connection, begun_blocking(connection):
            on: dict[str, Any] = {"connection": connection}
            assert app.schedules.set("a", task="report", every=60, **on)
            assert app.schedules.pause("a", **on)
            assert [one.state for one in app.schedules.list(**on)] == ["paused"]
            app.schedules.remove("a", **on)
            assert app.schedules.list(**on) == []

    await asyncio.to_thread(work)


@pytest.mark.past_bug("N22")
@pytest.mark.parametrize("order", ["code first", "operator first", "older code first"])
async def test_what_counts_does_not_depend_on_who_was_first(app: App, order: str) -> None:
    app.schedule("s", "report", cron="@daily", misfire="all", queue="mail")
    older = App(app.pool.dsn)
    older.task(app.tasks.get("report").function, name="report")
    older.schedule("s", "report", cron="@hourly", misfire="last", tags=["old"])

    async def operate() -> None:
        await app.schedules.aset("s", task="report", cron="@daily", misfire="skip")

    if order == "operator first":
        await operate()
    if order == "older code first":
        await deploy(older)
    await deploy(app)
    if order != "operator first":
        await operate()
    found = await only(app)
    assert found.settings["misfire"] == "skip"
    assert (found.when, found.queue, found.settings.get("tags")) == ("0 0 * * *", "mail", None)
    assert found.declared["misfire"] == "all"
    await older.aclose()
