"""Retry and redrive: back to ready, with all attempts anew and the errors kept."""

from __future__ import annotations

import asyncio

from pgqueue.client import Client
from tests.admin.conftest import Session, add, add_dead, blocked


async def test_a_scheduled_job_is_ready_now_and_workers_are_woken(
    client: Client, other: Session, third: Session
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    channel = await third.value("select pgqueue.channel()")
    await third.connection.add_listener(channel, lambda *args: heard.put_nowait(args[-1]))
    await other.serve("mail")
    (job,) = await add(client, delay=3600, queue="mail")
    await other.run("raise_flags", ["mail"])
    (result,) = await client.aretry(job)
    assert (result.state, result.changed) == ("pending", True)
    assert await asyncio.wait_for(heard.get(), 60) == "q:mail"
    assert await other.claim("mail") == [job]
    await third.connection.reset()


async def test_a_job_between_attempts_keeps_its_attempt(client: Client, other: Session) -> None:
    (job,) = await add(client)
    await other.claim()
    await other.run("release_jobs", [job], [other.token], [600.0], [0], [None], 20)
    (result,) = await client.aretry(job)
    assert result.changed
    assert (await other.live(job))["attempt"] == 1
    assert await other.claim() == [job]


async def test_a_cancelled_job_comes_back_with_all_attempts(client: Client, other: Session) -> None:
    (job,) = await add(client, tags=["a"], metadata={"k": 1}, timeout=9, max_attempts=3, priority=2)
    await other.claim()
    await client.acancel(job)
    await other.finish(job, state="cancelled")
    (result,) = await client.aretry(job)
    assert (result.state, result.changed) == ("pending", True)
    row = await other.live(job)
    assert (row["attempt"], row["crash_count"], row["max_attempts"], row["priority"]) == (
        0,
        0,
        3,
        2,
    )
    assert (row["tags"], row["metadata"], row["timeout_seconds"]) == (["a"], '{"k": 1}', 9)
    assert not row["cancel_requested"]
    assert await other.value("select count(*) from pgqueue.history") == 0
    assert await other.claim() == [job]


async def test_a_dead_job_comes_back_with_all_attempts_and_its_errors(
    client: Client, other: Session
) -> None:
    (job,) = await add_dead(client, other)
    await other.sql("update pgqueue.dead set attempt = 25, crash_count = 3")
    (result,) = await client.aretry(job)
    assert (result.state, result.changed) == ("pending", True)
    row = await other.live(job)
    assert (row["attempt"], row["crash_count"]) == (0, 0)
    found = await client.aget_job(job)
    assert found is not None
    assert [error.type for error in found.errors] == ["ValueError"]
    assert await other.value("select count(*) from pgqueue.dead") == 0


async def test_others_are_left_as_they_are(client: Client, other: Session) -> None:
    running, done = await add(client, 2)
    await other.claim()
    await other.finish(done)
    (pending,) = await add(client)
    before = await other.live(pending)
    results = await client.aretry([running, done, pending, 10**15])
    assert [(r.state, r.changed) for r in results] == [
        ("running", False),
        ("completed", False),
        ("pending", False),
        ("missing", False),
    ]
    assert await other.live(pending) == before


async def test_redrive_leaves_what_is_not_dead(client: Client, other: Session) -> None:
    (waiting,) = await add(client, delay=60)
    result = await client.aredrive([waiting])
    assert [(r.state, r.changed) for r in result.jobs] == [("scheduled", False)]


async def test_a_key_that_a_live_job_has_is_reported(client: Client, other: Session) -> None:
    (dead,) = await add_dead(client, other, unique_key="k")
    (cancelled,) = await add(client, unique_key="c")
    await client.acancel(cancelled)
    (live,) = await add(client, unique_key="k")
    (live2,) = await add(client, unique_key="c")
    (free,) = await add_dead(client, other)
    results = await client.aretry([dead, cancelled, free])
    assert [(r.id, r.state, r.changed, r.holder) for r in results] == [
        (dead, "dead", False, live),
        (cancelled, "cancelled", False, live2),
        (free, "pending", True, None),
    ]
    assert await other.states(dead, cancelled) == ["dead", "cancelled"]


async def test_of_two_dead_jobs_with_one_key_one_comes_back(client: Client, other: Session) -> None:
    (first,) = await add_dead(client, other, unique_key="k")
    (second,) = await add_dead(client, other, unique_key="k")
    results = await client.aretry([first, second])
    assert [(r.state, r.changed, r.holder) for r in results] == [
        ("pending", True, None),
        ("dead", False, first),
    ]


async def test_a_redrive_that_waits_for_an_enqueue_of_its_key(
    client: Client, other: Session, third: Session
) -> None:
    (dead,) = await add_dead(client, other, unique_key="k")
    async with other.connection.transaction():
        live = await other.value(
            """select id from pgqueue.enqueue('{"task": "t", "unique_key": "k"}')"""
        )
        redriving = asyncio.create_task(client.aredrive(dead))
        await blocked(third)
    result = await redriving
    assert [(r.state, r.holder) for r in result.jobs] == [("dead", live)]
    assert await other.states(dead) == ["dead"]


async def test_two_redrives_of_the_same_jobs(client: Client, other: Session) -> None:
    ids = await add_dead(client, other, 50)
    answers = await asyncio.gather(*(client.aretry(ids) for _ in range(4)))
    assert sum(result.changed for answer in answers for result in answer) == 50
    assert all(result.state == "pending" for answer in answers for result in answer)
    assert await other.value("select count(*) from pgqueue.job") == 50
    assert await other.value("select count(*) from pgqueue.dead") == 0


async def test_redrive_by_filter_goes_on_past_what_it_cannot_move(
    client: Client, other: Session
) -> None:
    held = await add_dead(client, other, unique_key="k")
    await add(client, unique_key="k")
    mail = await add_dead(client, other, 5, queue="mail")
    crashed = await add(client, 2, queue="mail")
    await other.claim("mail")
    await other.bury(*crashed, reason="its worker DIED 3 times")
    dry = await client.aredrive(queue="mail", dry_run=True)
    assert (int(dry.matched), dry.redriven, dry.dry_run) == (7, 0, True)
    by_reason = await client.aredrive(reason="worker died")
    assert [r.id for r in by_reason.jobs] == crashed
    seen: list[int] = []
    after, more = None, True
    while more:
        step = await client.aredrive(task="t", limit=2, after_id=after)
        seen += [r.id for r in step.jobs]
        after, more = step.last_id, step.more
    assert sorted(seen) == sorted([*held, *mail])
    assert await other.states(*mail, *crashed) == ["pending"] * 7
    assert await other.states(*held) == ["dead"]
