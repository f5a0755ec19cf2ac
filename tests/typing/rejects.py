"""What a strict type checker must reject: each line with # E, and no other. Never run."""

from __future__ import annotations

import pgqueue

app = pgqueue.App("postgresql://h/d")


@app.task
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(queue="mail")
async def send(to: str, *, urgent: bool = False) -> None: ...


@app.task
async def settle(order_id: int) -> None: ...


@app.task(batch=500, batch_wait=0.05)
async def index(items: list[int]) -> None: ...


@app.task(batch=10)  # E
async def no_list(item: int) -> None: ...


index.enqueue("one")  # E
index.enqueue([1])  # E
index(1)  # E
app.task(batch="10")  # E
app.task(batch_wait=0.1)  # E


def no_hook(job: pgqueue.RunningJob) -> None: ...


pgqueue.App(around=[no_hook])  # E
pgqueue.App(around=no_hook)  # E
pgqueue.App(around=["hook"])  # E
pgqueue.Worker(app, threads="4")  # E


pgqueue.Flow("crm", concurrency="5")  # E
pgqueue.Flow("crm", rate=5)  # E
pgqueue.Flow("crm", key=5, fair=True)  # E
pgqueue.Flow("crm", ordered=True, on_dead="stop")  # E
app.task(flow="crm")  # E


def from_plain_code(running: pgqueue.RunningJob) -> None:
    add.enqueue()  # E
    add.enqueue("1")  # E
    add.enqueue(1, 2, 3)  # E
    add.enqueue(1, c=3)  # E
    add("1")  # E
    add.job("1")  # E
    send.enqueue(to=5)  # E
    send.enqueue("x", True)  # E
    send.enqueue("x", urgent="yes")  # E
    settle.enqueue()  # E
    settle.enqueue("7")  # E
    settle.enqueue(running, 7)  # E
    add.using(delay=60).enqueue("1")  # E
    add.using(delay=60).job()  # E
    settle.using(priority=1).enqueue(running, 7)  # E
    add.using(prority=1)  # E
    add.using(priority="high")  # E
    add.using(run_at="tomorrow")  # E
    add.using(tags=[1])  # E
    add.using(delay=60)(1)  # E
    app.enqueue(add)  # E
    app.enqueue("add", [1])  # E
    app.enqueue("add", {"a": 1}, prority=1)  # E
    app.enqueue("add", {"a": 1}, queue=5)  # E
    app.enqueue_many([add])  # E
    app.enqueue_many([add.enqueue])  # E
    add.job(1).using(prority=1)  # E
    pgqueue.Backoff(base="5")  # E
    pgqueue.App(5)  # E
    app.cancel()  # E
    app.cancel("1")  # E
    app.list_jobs("pending")  # E
    app.list_jobs(qeue="mail")  # E
    app.status(1)  # E
    pgqueue.Worker(app, leese=3)  # E
    pgqueue.Worker(app, lease="long")  # E
    pgqueue.Worker(app, concurrency=2.5)  # E
    pgqueue.Worker(5)  # E
    running.attempt = 5  # E
    settle.enqueue(7, job=running)  # E


@app.task(priorty=1)  # E
def misspelt() -> None: ...


@app.task(retry=lambda attempt: 5.0)  # E
def one_parameter() -> None: ...


async def from_async_code() -> None:
    await add.enqueue(1)  # E
    await send.aenqueue()  # E
    await send.aenqueue(5)  # E
    await settle.using(priority=1).aenqueue("7")  # E
    one: int = await add.aenqueue(1)  # E
    print(one)
    await app.acancel()  # E
    await app.acancel("1")  # E
    await app.alist_jobs(qeue="mail")  # E
    await app.alist_jobs(limit="1")  # E
    app.acancel(1)  # E
    await app.schedules.aset("a", corn="@daily")  # E
    await app.flows.aset("crm", rate=5)  # E
    await app.flows.aset("crm", concurency=5)  # E
    await app.flows.apause()  # E


app.schedule("a", add, corn="@daily")  # E
app.schedule("a", add, cron=5)  # E
app.schedule("a", add, cron="@daily", misfire="never")  # E
app.schedule("a", add, cron="@daily", args=lambda: {"a": 1})  # E
