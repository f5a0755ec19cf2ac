"""What a strict type checker must accept. Never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import assert_type

from flask import Flask

import pgqueue
from pgqueue.hooks.flask import around

app = pgqueue.App("postgresql://h/d")


@app.task
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(queue="mail", priority=1, max_attempts=8, timeout=timedelta(seconds=30))
async def send(to: str, *, urgent: bool = False) -> None: ...


@app.task
async def settle(order_id: int) -> None:
    job = pgqueue.current_job()
    async with job.transaction() as tx:
        await tx.execute("update orders set settled = true where id = $1", order_id)


@app.task(retry=pgqueue.Backoff(base=5, give_up_on=(ValueError,)))
async def settle_too(order_id: int, *, note: str = "") -> str:
    job = assert_type(pgqueue.current_job(), pgqueue.RunningJob)
    return f"{job.id} {order_id} {note}"


@app.task(retry=lambda attempt, error: attempt * 2.0 if isinstance(error, OSError) else None)
def sometimes(*numbers: int, **more: str) -> None: ...


crm = pgqueue.Flow("crm", key="customer", key_concurrency=2, key_rate="60/min", key_burst=5)


@app.task(flow=crm)
async def sync(customer: str) -> None: ...


@app.task(flow=pgqueue.Flow("docs", key=lambda tenant, region: f"{tenant}/{region}", fair=True))
def index(tenant: str, region: str) -> None: ...


@app.task(flow=pgqueue.Flow("ledger", key=lambda account: account, ordered=True, on_dead="skip"))
def book(account: int) -> None: ...


def sync_hook(job: pgqueue.RunningJob, call_next: Callable[[], object]) -> object:
    return call_next()


async def async_hook(job: pgqueue.RunningJob, call_next: Callable[[], Awaitable[object]]) -> object:
    return await call_next()


class Hook:
    def __call__(self, job: pgqueue.RunningJob, call_next: Callable[[], str]) -> str:
        return call_next()


hooked = pgqueue.App(around=[sync_hook, async_hook, Hook()])
flask_app = pgqueue.App(around=[*around(Flask("shop")), sync_hook])


def in_a_thread() -> None:
    with pgqueue.Worker(hooked, concurrency=200, threads=4).start_in_thread(timeout=5) as thread:
        assert_type(thread.is_alive, bool)
    assert_type(thread.stop(timeout=1.5), None)


def from_plain_code() -> None:
    assert_type(add(1), int)
    assert_type(add.enqueue(1), pgqueue.Enqueued)
    add.enqueue(a=1, b=3)
    send.enqueue("x", urgent=True)
    settle.enqueue(7)
    settle.enqueue(order_id=7)
    settle_too.enqueue(7, note="x")
    sometimes.enqueue(1, 2, 3, x="y")
    assert_type(add.job(1), pgqueue.NewJob)
    later = add.using(delay=60, priority=0, unique_key="k", tags=["a"], metadata={"x": 1})
    later.enqueue(1, b=2)
    add.using(run_at=datetime.now(UTC), connection=object()).enqueue(1)
    settle.using(queue="slow", timeout=5.5, max_attempts=3).enqueue(7)
    sync.using(weight=5, flow_key="acme").enqueue("other")
    add.using(unique=pgqueue.Unique(["a"], until="started")).enqueue(1)
    add.using(unique=pgqueue.Replace("args", "run_at", by=("a",))).enqueue(1)
    wait = pgqueue.Debounce(2, max_wait=timedelta(seconds=9))
    replaced: bool = add.using(unique=wait).enqueue(1).replaced
    add.job(1).using(unique=pgqueue.Throttle(60) if replaced else None)
    app.enqueue("sync", {"customer": "acme"}, flow="crm", flow_key="acme", weight=2)
    assert_type(app.enqueue_many([add.job(1), send.job("x")]), list[pgqueue.Enqueued])
    app.enqueue_many(add.job(n) for n in range(3))
    app.enqueue("anything", {"a": 1}, queue="mail", delay=timedelta(minutes=1))
    add.job(1).using(priority=1, delay=5)
    one = add.enqueue(1)
    assert_type(one.id, int)
    assert_type(one.duplicate, bool)
    assert_type(one.state, pgqueue.JobState)
    assert_type(app.cancel(1), list[pgqueue.CancelResult])
    assert_type(app.redrive(queue="mail", dry_run=True), pgqueue.RedriveResult)
    assert_type(app.get_job(job_id=1), pgqueue.JobInfo | None)
    assert_type(app.list_jobs(limit=1).before_id, int | None)
    assert_type(pgqueue.Client().migrate(), list[str])
    assert_type(app.status(), pgqueue.Status)
    pgqueue.Worker(app, queues=["mail"], lease=timedelta(seconds=30), max_jobs=None)
    settings: pgqueue.WorkerOptions = {"concurrency": 5, "grace": 2.5}
    assert_type(pgqueue.Worker(app, **settings).settings, pgqueue.WorkerSettings)
    options: pgqueue.Options = {"queue": "mail", "delay": 5}
    app.enqueue("anything", **options)


@app.task(batch=500, batch_wait=0.05, queue="index")
async def write_all(items: list[int]) -> None:
    batch: pgqueue.Batch = pgqueue.current_batch()
    async with batch.transaction() as tx:
        await tx.execute("select 1")
    batch.fail(0, pgqueue.Retry(delay=5))


async def to_a_batch() -> None:
    write_all.enqueue(1)
    await write_all.using(priority=1).aenqueue(2)
    await app.aenqueue_many([write_all.job(3)])
    await write_all([1, 2])


def below_a_task() -> None:
    job = pgqueue.current_job()
    assert_type(job, pgqueue.RunningJob)
    assert_type(job.transaction(), pgqueue.JobTransaction)
    with job.transaction() as tx:
        tx.execute("select 1")


async def from_async_code() -> None:
    assert_type(await send("x"), None)
    assert_type(await settle_too.aenqueue(7), pgqueue.Enqueued)
    await send.aenqueue(to="x", urgent=True)
    await send.using(unique_key="k").aenqueue("x")
    assert_type(await app.aenqueue_many([settle.job(7)]), list[pgqueue.Enqueued])
    await app.aenqueue("anything", tags=("a", "b"))
    assert_type(await app.acancel([1, 2]), list[pgqueue.CancelResult])
    assert_type(await app.aredrive(queue="mail", dry_run=True), pgqueue.RedriveResult)
    assert_type(await app.aget_job(job_id=1), pgqueue.JobInfo | None)
    assert_type(await pgqueue.Client().amigrate(), list[str])
    assert_type(await app.schedules.aset("a", task="send", every=60), bool)
    assert_type(await app.schedules.alist(), list[pgqueue.ScheduleInfo])
    assert_type(await app.schedules.apreview("a"), list[pgqueue.ScheduleSlot])
    assert_type(await app.flows.aset("crm", concurrency=5, key_rate="60/min", rate=None), bool)
    assert_type(await app.flows.aset("crm", key="acme", weight=2.5, new=True), bool)
    assert_type(await app.flows.alist(), list[pgqueue.FlowInfo])
    assert_type(await app.flows.akeys("crm", stopped=True), list[pgqueue.FlowKey])
    assert_type(app.flows.usage("crm", days=30), list[pgqueue.FlowUsage])


app.schedule("a", send, cron="@daily", zone="Europe/Berlin", args={"to": "x"}, queue="mail")
app.schedule("b", "send", every=5.0, misfire="all", args=lambda slot: {"to": str(slot.date())})
app.schedule("c", send, every=5, overlap="skip", args=lambda slot: None)
