"""One live job for each key, whoever asks for it and however many at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.harness.waiting import eventually

import pgqueue.client
from pgqueue.client import Client

ERROR = {"type": "ValueError", "message": "no", "worker": "w", "traceback": ""}


def keyed(key: str, **options: Any) -> dict[str, Any]:
    return {"task": "t", "unique_key": key, **options}


@pytest.mark.past_bug(63)
async def test_a_key_is_taken_until_its_job_is_over(hands: Hands) -> None:
    (first,) = await hands.enqueue(keyed("k"))
    assert len(await hands.claim()) == 1
    (running,) = await hands.enqueue(keyed("k"))
    assert (running["id"], running["duplicate"], running["state"]) == (first["id"], True, "running")
    await hands.finish(first["id"])
    (fresh,) = await hands.enqueue(keyed("k"))
    assert not fresh["duplicate"]
    assert fresh["id"] != first["id"]


@pytest.mark.parametrize("size", [3, 20], ids=["one by one", "many at once"])
async def test_a_bulk_call_starts_in_its_own_order(producer: Hands, size: int) -> None:
    """Positions follow the list; rows are inserted by their keys, which run against it."""
    keys = [f"k{n:02}" for n in reversed(range(size))]
    jobs = [keyed(key, delay=3600 if n == 1 else 0) for n, key in enumerate(keys)]
    await producer.enqueue(*jobs)
    rows = await producer.sql("select unique_key, position from @.job order by position")
    assert [row["unique_key"] for row in rows] == [keys[0], *keys[2:], keys[1]]
    assert rows[-1]["position"] is None
    assert None not in [row["position"] for row in rows[:-1]]


async def test_jobs_of_a_bulk_call_that_are_not_due_take_no_position(producer: Hands) -> None:
    newest = "select last_value, is_called from @.position_seq"
    before = await producer.sql(newest)
    for size in (3, 20):
        await producer.enqueue(*[keyed(f"{size}-{n}", delay=3600) for n in range(size)])
    assert await producer.sql(newest) == before


@pytest.mark.parametrize("name", ["redrive_jobs", "revive_jobs"])
async def test_what_is_ready_again_starts_in_the_order_of_ids(hands: Hands, name: str) -> None:
    for key in "cabd":
        await hands.enqueue(keyed(key))
    ids = [row["id"] for row in await hands.claim()]
    await (hands.bury(*ids) if name == "redrive_jobs" else hands.finish(*ids, state="cancelled"))
    await hands.run(name, ids)
    rows = await hands.sql("select id from @.job order by position")
    assert [row["id"] for row in rows] == sorted(ids)


@pytest.mark.past_bug(64)
async def test_a_retried_job_is_not_in_its_own_way(hands: Hands) -> None:
    (job,) = await hands.enqueue(keyed("k"))
    for _ in range(5):
        assert [row["id"] for row in await hands.claim()] == [job["id"]]
        assert await hands.release(job["id"], delay=60.0, change=0, error=ERROR) == [job["id"]]
        (again,) = await hands.enqueue(keyed("k"))
        assert (again["id"], again["state"]) == (job["id"], "scheduled")
        await hands.run("ready_jobs", [job["id"]])
    assert len(await hands.claim()) == 1
    assert await hands.finish(job["id"]) == [job["id"]]


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
async def test_a_key_twice_in_a_call_and_its_former_job_is_over_meanwhile(
    hands: Hands, producer: Hands, isolation: Any
) -> None:
    """An older snapshot shows that job beside the new one: there is one answer all the same."""
    await hands.enqueue(keyed("k"))
    await hands.claim()
    (old,) = await hands.sql("select id from @.job")
    async with producer.connection.transaction(isolation=isolation):
        await producer.sql("select from @.history")
        await hands.finish(old["id"])
        rows = await producer.enqueue(*[keyed(key) for key in ("k", "a", "k", "b")])
    assert [row["duplicate"] for row in rows] == [False, False, True, False]
    assert rows[2]["id"] == rows[0]["id"] != old["id"]
    assert len({row["id"] for row in rows}) == 3


@pytest.mark.parametrize("end", ["completed", "cancelled", "dead", "cancel"])
async def test_a_key_is_free_again_once_its_job_is_over(hands: Hands, end: str) -> None:
    (job,) = await hands.enqueue(keyed("k"))
    if end == "cancel":
        await hands.run("cancel_jobs", [job["id"]])
    else:
        await hands.claim()
        await (hands.bury(job["id"]) if end == "dead" else hands.finish(job["id"], state=end))
    (fresh,) = await hands.enqueue(keyed("k"))
    assert not fresh["duplicate"]


async def test_a_redriven_job_does_not_take_a_key_that_is_taken(hands: Hands) -> None:
    (job,) = await hands.enqueue(keyed("k"))
    await hands.claim()
    await hands.bury(job["id"])
    (other,) = await hands.enqueue(keyed("k"))
    assert await hands.run("redrive_jobs", [job["id"]]) == []
    assert await hands.state(job["id"]) == "dead"
    await hands.claim()
    await hands.finish(other["id"])
    assert len(await hands.run("redrive_jobs", [job["id"]])) == 1
    (again,) = await hands.enqueue(keyed("k"))
    assert (again["id"], again["duplicate"]) == (job["id"], True)


@pytest.mark.past_bug(67)
async def test_keys_are_compared_as_they_are(hands: Hands) -> None:
    """What counts is in the key; arguments are not compared, so their order cannot matter."""
    keys = ["a", "A", "a ", " a", "ä", "a\u0308", "{}", '{"a":1}', '{"a": 1}', "%", "null", "0"]
    rows = await hands.enqueue(*[keyed(key) for key in keys])
    assert not any(row["duplicate"] for row in rows)
    again = await hands.enqueue(
        *[keyed(key, args={"b": 1, "a": {}}) for key in reversed(keys)], {"task": "t"}
    )
    assert [row["duplicate"] for row in again] == [True] * len(keys) + [False]
    assert [row["id"] for row in again[:-1]] == [row["id"] for row in reversed(rows)]


@pytest.mark.past_bug(68)
async def test_every_duplicate_is_told_in_bulk(hands: Hands) -> None:
    (owner,) = await hands.enqueue(keyed("k"))
    rows = await hands.enqueue(keyed("k"), keyed("l"), {"task": "t"}, keyed("l"), keyed("k"))
    assert [row["duplicate"] for row in rows] == [True, False, False, True, True]
    assert rows[0]["id"] == rows[4]["id"] == owner["id"]
    assert rows[1]["id"] == rows[3]["id"]
    assert await hands.count("job") == 3


async def test_the_first_of_a_batch_wins(hands: Hands) -> None:
    rows = await hands.enqueue(*[keyed("k", priority=n) for n in (3, 1, 2)])
    job = await hands.live(rows[0]["id"])
    assert job is not None
    assert job["priority"] == 3


@pytest.mark.past_bug(70)
async def test_a_scheduled_job_holds_its_own_key_only(hands: Hands) -> None:
    """The same key is the same job, so the second is told; without a key they do not meet."""
    (later,) = await hands.enqueue(keyed("k", delay=3600))
    (now,) = await hands.enqueue(keyed("k"))
    assert (now["id"], now["state"]) == (later["id"], "scheduled")
    await hands.enqueue({"task": "t", "delay": 3600})
    await hands.enqueue({"task": "t"})
    assert len(await hands.claim()) == 1


@pytest.mark.past_bug(43)
async def test_many_enqueuers_of_one_key(dsn: str, hands: Hands) -> None:
    async with Client(dsn, pool_size=64) as client:
        for _ in range(5):
            done = await asyncio.gather(*[client.aenqueue("t", unique_key="k") for _ in range(64)])
            assert len({one.id for one in done}) == 1
            assert sum(not one.duplicate for one in done) == 1
            claimed = await hands.claim()
            assert [row["id"] for row in claimed] == [done[0].id]
            assert await hands.finish(done[0].id) == [done[0].id]
        assert await hands.count("history") == 5


async def test_enqueuers_of_a_key_whose_job_ends_all_the_time(
    dsn: str, hands: Hands, more_hands: Connect
) -> None:
    """Each answer names a job that was alive when it was given."""
    stop = asyncio.Event()
    finished: list[int] = []

    async def work() -> None:
        worker = await more_hands()
        while not stop.is_set():
            for row in await worker.claim():
                finished.extend(await worker.finish(row["id"]))

    working = asyncio.create_task(work())
    async with Client(dsn, pool_size=8) as client:

        async def produce() -> list[Any]:
            return [await client.aenqueue("t", unique_key="k") for _ in range(60)]

        done = [
            one for many in await asyncio.gather(*[produce() for _ in range(8)]) for one in many
        ]
    stop.set()
    await working
    fresh = {one.id for one in done if not one.duplicate}
    assert {one.id for one in done} == fresh
    assert sum(not one.duplicate for one in done) == len(fresh)
    assert len(finished) == len(set(finished))
    assert set(finished) <= fresh


async def test_a_duplicate_waits_for_the_first_and_takes_its_place_if_that_rolls_back(
    hands: Hands, producer: Hands, more_hands: Connect
) -> None:
    other = await more_hands(worker=False)
    transaction = producer.connection.transaction()
    await transaction.start()
    (first,) = await producer.enqueue(keyed("k"))
    waiting = asyncio.create_task(other.enqueue(keyed("k")))
    await eventually(lambda: hands.value("select count(*) from pg_locks where not granted"))
    await transaction.rollback()
    (second,) = await waiting
    assert not second["duplicate"]
    assert second["id"] != first["id"]


async def test_bulk_calls_in_opposite_order_do_not_deadlock(dsn: str) -> None:
    keys = [f"k{n}" for n in range(400)]
    async with Client(dsn, pool_size=4) as client:
        for turn in range(5):
            jobs = [client.job("t", unique_key=f"{turn}{key}") for key in keys]
            there, back = await asyncio.gather(
                client.aenqueue_many(jobs), client.aenqueue_many(jobs[::-1])
            )
            assert [one.id for one in there] == [one.id for one in back[::-1]]
            assert sum(one.duplicate for one in there + back) == len(keys)


async def test_bulk_calls_of_several_statements_do_not_deadlock_either(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgqueue.calls, "CHUNK", 10)
    async with Client(dsn, pool_size=4) as client:
        for turn in range(5):
            jobs = [client.job("t", unique_key=f"{turn}-{n % 390}") for n in range(400)]
            jobs.append(client.job("t"))
            there, back = await asyncio.gather(
                client.aenqueue_many(jobs), client.aenqueue_many(jobs[::-1])
            )
            assert [one.id for one in there[:-1]] == [one.id for one in back[:0:-1]]
            assert not there[-1].duplicate
            assert sum(not one.duplicate for one in there + back) == 392
