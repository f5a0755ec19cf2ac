"""Cancel, and every race that it can be in."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue.client import Client
from pgqueue.errors import ConfigError
from tests.admin.conftest import Session, add, add_dead, blocked


async def test_waiting_jobs_are_cancelled_at_once(client: Client, other: Session) -> None:
    ids = [*await add(client), *await add(client, delay=3600)]
    results = await client.acancel(ids)
    assert [(r.id, r.state, r.changed) for r in results] == [(i, "cancelled", True) for i in ids]
    assert await other.states(*ids) == ["cancelled", "cancelled"]
    assert await other.value("select count(*) from pgqueue.job") == 0


async def test_a_running_job_is_asked_and_workers_are_told(
    client: Client, other: Session, third: Session
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    channel = await third.value("select pgqueue.channel()")
    await third.connection.add_listener(channel, lambda *args: heard.put_nowait(args[-1]))
    (job,) = await add(client)
    assert await other.claim() == [job]
    (result,) = await client.acancel(job)
    assert (result.state, result.changed) == ("requested", True)
    assert await asyncio.wait_for(heard.get(), 60) == "c"
    assert (await other.live(job))["cancel_requested"]
    (again,) = await client.acancel(job)
    assert (again.state, again.changed) == ("requested", False)
    # The worker may not release it any more, only end it.
    assert await other.run("release_jobs", [job], [other.token], [None], [0], [None], 20) == []
    assert await other.finish(job, state="cancelled") is None
    assert await other.states(job) == ["cancelled"]
    await third.connection.reset()


async def test_what_is_over_or_unknown_is_said_truthfully(client: Client, other: Session) -> None:
    done, gone = await add(client, 2)
    await other.claim()
    await other.finish(done)
    await other.bury(gone)
    (cancelled,) = await add(client)
    await client.acancel(cancelled)
    results = await client.acancel([done, gone, cancelled, 10**15])
    assert [(r.state, r.changed) for r in results] == [
        ("completed", False),
        ("dead", False),
        ("cancelled", False),
        ("missing", False),
    ]
    assert await client.acancel([]) == []


async def test_a_cancel_that_waits_for_a_completion_says_completed(
    client: Client, other: Session, third: Session
) -> None:
    (job,) = await add(client)
    await other.claim()
    async with other.connection.transaction():
        await other.finish(job)
        cancelling = asyncio.create_task(client.acancel(job))
        await blocked(third)
    (result,) = await cancelling
    assert (result.state, result.changed) == ("completed", False)


async def test_a_cancel_that_waits_for_a_claim_asks_the_worker(
    client: Client, other: Session, third: Session
) -> None:
    (job,) = await add(client)
    async with other.connection.transaction():
        assert await other.claim() == [job]
        cancelling = asyncio.create_task(client.acancel(job))
        await blocked(third)
    (result,) = await cancelling
    assert (result.state, result.changed) == ("requested", True)
    row = await other.live(job)
    assert row["cancel_requested"]
    assert row["claim_token"] == other.token


async def test_a_cancel_that_waits_for_a_return_cancels_at_once(
    client: Client, other: Session, third: Session
) -> None:
    (job,) = await add(client)
    await other.claim()
    async with other.connection.transaction():
        await other.run("release_jobs", [job], [other.token], [60.0], [0], [None], 20)
        cancelling = asyncio.create_task(client.acancel(job))
        await blocked(third)
    (result,) = await cancelling
    assert (result.state, result.changed) == ("cancelled", True)
    assert await other.live(job) is None


async def test_a_completion_that_waits_for_a_cancel_is_honoured(
    client: Client, other: Session, third: Session
) -> None:
    (job,) = await add(client)
    await other.claim()
    async with third.connection.transaction():
        await third.run("cancel_jobs", [job])
        finishing = asyncio.create_task(other.finish(job))
        await asyncio.sleep(0.05)
    assert await finishing is None
    assert await third.states(job) == ["completed"]


async def test_a_claim_does_not_take_what_is_being_cancelled(
    client: Client, other: Session, third: Session
) -> None:
    (job,) = await add(client)
    async with third.connection.transaction():
        await third.run("cancel_jobs", [job])
        assert await other.claim() == []
    assert await other.claim() == []
    assert await other.states(job) == ["cancelled"]


async def test_a_cancel_sees_a_redrive_once_it_is_committed(client: Client, other: Session) -> None:
    (job,) = await add_dead(client, other)
    async with other.connection.transaction():
        await other.run("redrive_jobs", [job])
        (result,) = await client.acancel(job)
        assert result.state == "dead"
    (result,) = await client.acancel(job)
    assert result.state == "cancelled"


async def test_two_cancels_of_the_same_jobs_do_not_deadlock(client: Client, other: Session) -> None:
    ids = await add(client, 200)
    answers = await asyncio.gather(*(client.acancel(ids if n % 2 else ids[::-1]) for n in range(4)))
    changed = [sum(result.changed for result in answer) for answer in answers]
    assert sum(changed) == 200
    assert all(result.state == "cancelled" for answer in answers for result in answer)


async def test_a_missing_partition_is_made(client: Client, other: Session) -> None:
    (job,) = await add(client)
    for row in await other.sql(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'pgqueue.history'::regclass"
    ):
        await other.sql(f"drop table {row['name']}")
    (result,) = await client.acancel(job)
    assert (result.state, result.changed) == ("cancelled", True)


@pytest.mark.parametrize("wrong", ["1", [1, "2"], 1.0, True, None, 2**63])
async def test_wrong_ids_are_refused_before_anything_connects(wrong: object) -> None:
    with pytest.raises(ConfigError, match="job id"):
        await Client("postgresql://nobody@127.0.0.1:1/x").acancel(wrong)  # type: ignore[arg-type]
