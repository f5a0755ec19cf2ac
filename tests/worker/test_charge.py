"""What a job says that it used, and the breaks that it asks for, come with its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from pgqueue import App, Discard, Flow, Retry, Snooze, current_job
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, eyes_on, working

ADMIT = "select * from pgqueue.admit('crm', 100, 0, 0, '-infinity')"
# What a ticket says, or what the admission made of it that took the ticket.
TOLD = """
select used, weight, holds_flow, held_until - clock_timestamp() > interval '3000 s' as held
from pgqueue.ticket where flow = 'crm' and (used is not null or held_until is not null)
union all
select used, null, null, null from pgqueue.flow_usage
union all
select null, null, true, held_until - clock_timestamp() > interval '3000 s'
from pgqueue.flow where held_until is not null
union all
select null, null, false, held_until - clock_timestamp() > interval '3000 s'
from pgqueue.flow_key where held_until is not null
"""


def in_its_own_commit(dsn: str) -> Callable[[], Awaitable[None]]:
    async def task() -> None:
        job = current_job()
        async with job.transaction():
            job.charge(8)

    return task


def on_a_connection_of_its_own(dsn: str) -> Callable[[], None]:
    def task() -> None:
        job = current_job()
        with psycopg.connect(dsn) as connection:
            job.charge(8)
            job.complete(connection)

    return task


def plainly(dsn: str) -> Callable[[], Awaitable[None]]:
    async def task() -> None:
        current_job().charge(5)
        current_job().charge(tokens=3)

    return task


def in_a_thread(dsn: str) -> Callable[[], None]:
    def task() -> None:
        with current_job().transaction():
            current_job().charge(8)

    return task


def raising(error: BaseException) -> Callable[[str], Callable[[], Awaitable[None]]]:
    def make(dsn: str) -> Callable[[], Awaitable[None]]:
        async def task() -> None:
            current_job().charge(8)
            raise error

        return task

    return make


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(plainly, id="plain"),
        pytest.param(in_its_own_commit, id="own commit"),
        pytest.param(in_a_thread, id="own commit in a thread"),
        pytest.param(on_a_connection_of_its_own, id="complete"),
        pytest.param(raising(ValueError("no")), id="fails"),
        pytest.param(raising(Discard("no")), id="dies"),
        pytest.param(raising(Retry(delay=60)), id="comes back"),
    ],
)
async def test_what_a_job_used_is_told(dsn: str, make: Callable[[str], Any]) -> None:
    rows = await told(dsn, make(dsn))
    assert [row["used"] for row in rows] == [8.0]


@pytest.mark.parametrize("which", ["flow", "key"])
@pytest.mark.parametrize("kind", [Retry, Snooze])
async def test_a_break_is_told(dsn: str, kind: Any, which: Any) -> None:
    async def task() -> None:
        raise kind(delay=3600, pause=which)

    (row,) = await told(dsn, task)
    assert (row["used"], row["holds_flow"], row["held"]) == (None, which == "flow", True)


async def test_without_a_flow_nothing_is_told(dsn: str) -> None:
    app = App(dsn)

    @app.task
    async def task() -> None:
        current_job().charge(5)
        raise Retry(delay=60, pause="flow")

    async with eyes_on(dsn) as eyes, working(app):
        done = await task.aenqueue()
        await eyes.reaches(done.id, "scheduled")
        assert await eyes.sql("select from pgqueue.ticket") == []


async def test_a_break_of_a_key_holds_its_jobs_alone(dsn: str) -> None:
    app = App(dsn)
    ran: list[str] = []

    @app.task(flow=Flow("crm", key="tenant", key_concurrency=1))
    async def ask(tenant: str) -> None:
        ran.append(tenant)
        if tenant == "busy":
            raise Snooze(3600, pause="key")

    async with working(app):
        await ask.aenqueue("busy")
        await eventually(lambda: _held_keys(app), what="held")
        waits = await ask.aenqueue("busy")
        await ask.aenqueue("other")
        await eventually(lambda: "other" in ran, what="another key goes on")
        assert ran == ["busy", "other"]
        assert await app.flows.aresume("crm", key="busy")
        await eventually(lambda: len(ran) == 3, what="an operator ends the break")
        assert waits.state == "blocked"
    await app.aclose()


async def _held_keys(app: App) -> list[str]:
    return [one.key for one in await app.flows.akeys("crm") if one.held_until is not None]


async def test_what_was_used_beyond_the_weight_is_waited_for(dsn: str) -> None:
    app = App(dsn)
    ran: list[int] = []

    @app.task(flow=Flow("model", rate="1/s", burst=5))
    async def ask(n: int) -> None:
        ran.append(n)
        current_job().charge(3600)

    async def tokens() -> bool:
        (flow,) = await app.flows.alist()
        return flow.tokens is not None and flow.tokens < -3000

    async with working(app):
        await ask.using(weight=5).aenqueue(1)
        await eventually(tokens, what="overdrawn")
        await ask.aenqueue(2)
        (usage,) = await app.flows.ausage("model")
        assert (usage.jobs, usage.used) == (1, 3600.0)
        assert ran == [1]
        assert await app.flows.aset("model", rate=None)
        await eventually(lambda: ran == [1, 2], what="an operator lifts the rate")
    await app.aclose()


async def told(dsn: str, function: Callable[..., Any]) -> list[Any]:
    """Run the function as a job of a flow; return what its ticket says, if it says anything."""
    app = App(dsn)
    task = app.task(name="task", flow=Flow("crm", concurrency=5))(function)
    async with eyes_on(dsn) as eyes:
        await eyes.sql("insert into pgqueue.flow (name, declared) values ('crm', '{}')")
        done = await task.using(weight=2).aenqueue()
        await eyes.sql(ADMIT)
        async with working(app):
            rows = await eventually(lambda: eyes.sql(TOLD), what="told")
            await over(eyes, done.id)
        return rows


async def over(eyes: Eyes, job_id: int) -> None:
    async def is_over() -> bool:
        row = await eyes.job(job_id)
        return row["state"] not in ("pending", "running")

    await eventually(is_over)
