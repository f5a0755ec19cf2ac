"""Keys that are taken until their job starts, for a period, or that change the job that waits."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.harness.waiting import eventually

STARTED = {"until": "started"}
ERROR = {"type": "ValueError", "message": "no", "worker": "w", "traceback": ""}


def keyed(rule: dict[str, Any] | None = None, key: str = "k", **options: Any) -> dict[str, Any]:
    return {"task": "t", "unique_key": key, "unique": rule or {}, **options}


async def seconds_until_due(hands: Hands, job_id: int) -> float:
    seconds = await hands.value(
        "select extract(epoch from run_at - enqueued_at)::float8 from @.job where id = $1", job_id
    )
    assert isinstance(seconds, float)
    return seconds


async def age(hands: Hands, seconds: float) -> None:
    """Let all that happened have happened so much earlier."""
    span = timedelta(seconds=seconds)
    await hands.sql(
        "update @.job set enqueued_at = enqueued_at - $1::interval,"
        " claimed_at = claimed_at - $1::interval,"
        " run_at = case when run_at < 'infinity' then run_at - $1::interval else run_at end",
        span,
    )
    await hands.sql("update @.history set claimed_at = claimed_at - $1::interval", span)
    await hands.sql("update @.unique_past set until = until - $1::interval", span)


# -- until


async def test_until_started_the_key_is_free_once_the_job_is_claimed(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed(STARTED))
    (second,) = await hands.enqueue_unique(keyed(STARTED))
    assert (second["id"], second["duplicate"], second["replaced"]) == (first["id"], True, False)
    assert [row["id"] for row in await hands.claim()] == [first["id"]]
    (third,) = await hands.enqueue_unique(keyed(STARTED))
    assert not third["duplicate"]
    assert third["id"] != first["id"]


@pytest.mark.past_bug("N16")
async def test_many_calls_during_a_run_make_one_follower_with_the_key(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed(STARTED))
    await hands.claim()
    rows = [row for _ in range(5) for row in await hands.enqueue_unique(keyed(STARTED))]
    assert [row["duplicate"] for row in rows] == [False, True, True, True, True]
    assert {row["id"] for row in rows} == {rows[0]["id"]} != {first["id"]}
    assert await hands.value("select unique_key from @.job where id = $1", rows[0]["id"]) == "k"


@pytest.mark.past_bug(64, "N18")
async def test_a_retry_does_not_take_the_key_back(hands: Hands) -> None:
    """The follower has the key meanwhile; the retry is promoted and claimed beside it."""
    (first,) = await hands.enqueue_unique(keyed(STARTED))
    await hands.claim()
    (second,) = await hands.enqueue_unique(keyed(STARTED))
    assert await hands.release(first["id"], delay=0.0, change=0, error=ERROR) == [first["id"]]
    await hands.run("promote_jobs", 10, await hands.value("select now() - '1h'::interval"))
    claimed = [row["id"] for row in await hands.claim()]
    assert sorted(claimed) == [first["id"], second["id"]]


@pytest.mark.past_bug(65)
async def test_two_jobs_of_a_key_hold_up_no_others(hands: Hands, more_hands: Connect) -> None:
    """Somebody dropped the index and made two by hand."""
    lost = await more_hands()
    (running,) = await hands.enqueue(keyed(key="lost"))
    assert [row["id"] for row in await lost.claim()] == [running["id"]]
    await hands.sql("drop index @.job_unique_key")
    await hands.sql(
        "insert into @.job (task, unique_key, run_at) values ('t', 'k', now()), ('t', 'k', now()),"
        " ('t', 'lost', now()), ('t', null, now())"
    )
    await hands.run("promote_jobs", 10, await hands.value("select now() - '1h'::interval"))
    await hands.rescue(lost.id)
    assert len(await hands.claim()) == 5


async def test_until_finished_is_what_a_key_alone_means(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed())
    await hands.claim()
    (again,) = await hands.enqueue_unique(keyed())
    assert (again["id"], again["state"]) == (first["id"], "running")
    await hands.finish(first["id"])
    (fresh,) = await hands.enqueue_unique(keyed())
    assert not fresh["duplicate"]


# -- for a period


async def test_a_key_stays_taken_after_its_job_is_over(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed({"for": 60}))
    await hands.claim()
    await hands.finish(first["id"])
    (again,) = await hands.enqueue_unique(keyed({"for": 60}))
    assert (again["id"], again["duplicate"], again["state"]) == (first["id"], True, "completed")
    await age(hands, 61)
    (fresh,) = await hands.enqueue_unique(keyed({"for": 60}))
    assert not fresh["duplicate"]


async def test_a_job_that_lives_longer_than_the_period_holds_its_key(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed({"for": 60}))
    await age(hands, 61)
    (again,) = await hands.enqueue_unique(keyed({"for": 60}))
    assert (again["id"], again["duplicate"]) == (first["id"], True)


async def test_what_was_rolled_back_is_not_remembered(hands: Hands, producer: Hands) -> None:
    transaction = producer.connection.transaction()
    await transaction.start()
    await producer.enqueue_unique(keyed({"for": 60}))
    await transaction.rollback()
    (fresh,) = await hands.enqueue_unique(keyed({"for": 60}))
    assert not fresh["duplicate"]


# -- replace


async def test_what_waits_is_replaced_as_far_as_it_is_said(hands: Hands) -> None:
    first_args, last_args = {"n": 1}, {"n": 2}
    (first,) = await hands.enqueue_unique(keyed(args=first_args, tags=["a"], priority=3))
    (again,) = await hands.enqueue_unique(
        keyed({"replace": ["args"]}, args=last_args, tags=["b"], priority=1)
    )
    assert (again["id"], again["duplicate"], again["replaced"]) == (first["id"], True, True)
    job = await hands.live(first["id"])
    assert job is not None
    assert (json.loads(job["args"]), job["tags"], job["priority"]) == (last_args, ["a"], 3)
    await hands.enqueue_unique(
        keyed({"replace": ["priority", "tags"]}, args=first_args, tags=["b"], priority=1)
    )
    job = await hands.live(first["id"])
    assert job is not None
    assert (json.loads(job["args"]), job["tags"], job["priority"]) == (last_args, ["b"], 1)


async def test_what_runs_is_not_replaced(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed(args={"n": 1}))
    await hands.claim()
    (again,) = await hands.enqueue_unique(keyed({"replace": ["args"]}, args={"n": 2}))
    assert (again["id"], again["duplicate"], again["replaced"]) == (first["id"], True, False)
    assert (await hands.live(first["id"]))["args"] == '{"n": 1}'  # type: ignore[index]


async def test_a_job_of_another_task_is_not_replaced(hands: Hands) -> None:
    await hands.enqueue_unique(keyed(args={"n": 1}))
    (again,) = await hands.enqueue_unique({**keyed({"replace": ["args"]}), "task": "u"})
    assert (again["duplicate"], again["replaced"]) == (True, False)


async def test_the_time_is_replaced_both_ways(hands: Hands) -> None:
    at = {"replace": ["run_at"]}
    (job,) = await hands.enqueue_unique(keyed(delay=3600))
    (now,) = await hands.enqueue_unique(keyed(at))
    assert (now["id"], now["state"], now["replaced"]) == (job["id"], "pending", True)
    (later,) = await hands.enqueue_unique(keyed(at, delay=60))
    assert (later["id"], later["state"]) == (job["id"], "scheduled")
    assert await hands.claim() == []
    await hands.enqueue_unique(keyed(at))
    assert [row["id"] for row in await hands.claim()] == [job["id"]]


async def test_a_ready_job_keeps_its_place_but_for_its_priority(hands: Hands) -> None:
    (first,) = await hands.enqueue_unique(keyed())
    await hands.enqueue({"task": "t"})
    place = "select position from @.job where id = $1"
    before = await hands.value(place, first["id"])
    await hands.enqueue_unique(keyed({"replace": ["args", "run_at", "tags"]}))
    assert await hands.value(place, first["id"]) == before
    await hands.enqueue_unique(keyed({"replace": ["priority"]}, priority=1))
    assert await hands.value(place, first["id"]) > before


async def test_a_key_twice_in_a_call_is_replaced_by_the_last(hands: Hands) -> None:
    rows = await hands.enqueue_unique(
        *[keyed({"replace": ["args"]}, args={"n": n}) for n in range(3)], {"task": "t"}
    )
    assert [row["replaced"] for row in rows] == [False, True, True, False]
    assert [row["duplicate"] for row in rows] == [False, True, True, False]
    assert (await hands.live(rows[0]["id"]))["args"] == '{"n": 2}'  # type: ignore[index]


async def test_a_running_job_is_not_locked(hands: Hands, producer: Hands) -> None:
    """Its completion does not wait for the transaction of whoever wanted to replace it."""
    (job,) = await hands.enqueue_unique(keyed())
    await hands.claim()
    async with producer.connection.transaction():
        (again,) = await producer.enqueue_unique(keyed({"replace": ["args"]}))
        assert not again["replaced"]
        await hands.sql("set lock_timeout = '2s'")
        assert await hands.finish(job["id"]) == [job["id"]]


async def test_a_job_that_is_claimed_meanwhile_is_not_locked(hands: Hands, producer: Hands) -> None:
    """The call waited for the claim, and lets go of what it got then."""
    (job,) = await hands.enqueue_unique(keyed())
    claim = hands.connection.transaction()
    await claim.start()
    assert len(await hands.claim()) == 1
    transaction = producer.connection.transaction()
    await transaction.start()
    waiting = asyncio.create_task(producer.enqueue_unique(keyed({"replace": ["args"]})))
    await eventually(lambda: hands.value("select count(*) from pg_locks where not granted"))
    await claim.commit()
    (again,) = await waiting
    assert (again["id"], again["replaced"], again["state"]) == (job["id"], False, "running")
    await hands.sql("set lock_timeout = '2s'")
    assert await hands.finish(job["id"]) == [job["id"]]
    await transaction.rollback()


async def test_replacing_many_and_cancelling_many_do_not_deadlock(
    hands: Hands, more_hands: Connect
) -> None:
    """Keys run against ids, and both lock jobs in the order of ids."""
    other = await more_hands(worker=False)
    keys = [f"k{n:03}" for n in range(200)]
    for _ in range(5):
        rows = await hands.enqueue_unique(*[keyed(key=key) for key in keys])
        ids = [row["id"] for row in rows]
        replaced, _ = await asyncio.gather(
            other.enqueue_unique(*[keyed({"replace": ["args"]}, key=key) for key in keys[::-1]]),
            hands.run("cancel_jobs", ids[::-1]),
        )
        assert len(replaced) == len(keys)
        await hands.run("cancel_jobs", [row["id"] for row in replaced])


async def test_calls_in_opposite_order_do_not_deadlock(more_hands: Connect) -> None:
    all_hands = [await more_hands(worker=False) for _ in range(4)]
    keys = [f"k{n:03}" for n in range(60)]
    rules = [{"replace": ["args"]}, {"for": 60}, {"period": 60}, {"wait": 5}]

    async def enqueue(n: int, hands: Hands) -> None:
        for turn in range(5):
            ordered = keys if (n + turn) % 2 else keys[::-1]
            await hands.enqueue_unique(
                *[keyed(rules[m % 4], key=f"{turn}{key}") for m, key in enumerate(ordered)]
            )

    await asyncio.gather(*[enqueue(n, hands) for n, hands in enumerate(all_hands)])


# -- debounce


async def test_a_debounced_job_waits_for_silence(hands: Hands) -> None:
    rule = {"wait": 10}
    (first,) = await hands.enqueue_unique(keyed(rule, args={"n": 1}))
    assert (first["state"], first["duplicate"]) == ("scheduled", False)
    await age(hands, 6)
    (again,) = await hands.enqueue_unique(keyed(rule, args={"n": 2}))
    assert (again["id"], again["replaced"]) == (first["id"], True)
    assert 16 <= await seconds_until_due(hands, first["id"]) < 26
    assert (await hands.live(first["id"]))["args"] == '{"n": 2}'  # type: ignore[index]


async def test_a_debounced_job_waits_no_longer_than_it_may(hands: Hands) -> None:
    rule = {"wait": 10, "max_wait": 15}
    (first,) = await hands.enqueue_unique(keyed(rule))
    assert await seconds_until_due(hands, first["id"]) == pytest.approx(10)
    for _ in range(2):
        await age(hands, 6)
        await hands.enqueue_unique(keyed(rule))
    assert await seconds_until_due(hands, first["id"]) == pytest.approx(15)
    await age(hands, 6)
    (late,) = await hands.enqueue_unique(keyed(rule, args={"n": 9}))
    assert (late["id"], late["state"]) == (first["id"], "pending")
    assert [row["args"] for row in await hands.claim()] == ['{"n": 9}']


async def test_a_call_during_the_run_opens_a_fresh_window(hands: Hands) -> None:
    rule = {"wait": 10, "max_wait": 15}
    (first,) = await hands.enqueue_unique(keyed(rule))
    await hands.run("ready_jobs", [first["id"]])
    await hands.claim()
    await age(hands, 100)
    (fresh,) = await hands.enqueue_unique(keyed(rule))
    assert not fresh["duplicate"]
    assert await seconds_until_due(hands, fresh["id"]) == pytest.approx(10)


# -- throttle


async def test_the_first_starts_now_and_the_last_at_the_end_of_the_period(hands: Hands) -> None:
    rule = {"period": 60_000}
    (first,) = await hands.enqueue_unique(keyed(rule))
    assert first["state"] == "pending"
    await hands.claim()
    await hands.finish(first["id"])
    await age(hands, 20_000)
    (second,) = await hands.enqueue_unique(keyed(rule, args={"n": 2}))
    assert (second["duplicate"], second["state"]) == (False, "scheduled")
    assert 39_000 < await seconds_until_due(hands, second["id"]) <= 40_000
    await age(hands, 20_000)
    (third,) = await hands.enqueue_unique(keyed(rule, args={"n": 3}))
    assert (third["id"], third["replaced"]) == (second["id"], True)
    assert 39_000 < await seconds_until_due(hands, second["id"]) <= 40_000
    assert (await hands.live(second["id"]))["args"] == '{"n": 3}'  # type: ignore[index]


async def test_a_late_start_counts_from_when_it_was(hands: Hands) -> None:
    rule = {"period": 60_000}
    await hands.enqueue_unique(keyed(rule))
    await age(hands, 500_000)  # a backlog
    await hands.claim()
    (second,) = await hands.enqueue_unique(keyed(rule))
    assert 59_000 < await seconds_until_due(hands, second["id"]) <= 60_000


async def test_one_that_was_cancelled_before_it_started_took_no_turn(hands: Hands) -> None:
    rule = {"period": 60}
    (first,) = await hands.enqueue_unique(keyed(rule))
    await hands.run("cancel_jobs", [first["id"]])
    (second,) = await hands.enqueue_unique(keyed(rule))
    assert second["state"] == "pending"


async def test_after_the_period_it_starts_at_once(hands: Hands) -> None:
    rule = {"period": 60}
    (first,) = await hands.enqueue_unique(keyed(rule))
    await hands.claim()
    await hands.finish(first["id"])
    await age(hands, 61)
    (second,) = await hands.enqueue_unique(keyed(rule))
    assert (second["state"], second["duplicate"]) == ("pending", False)


# -- memory


async def test_memory_of_keys_that_are_free_is_dropped(hands: Hands) -> None:
    (over,) = await hands.enqueue_unique(keyed({"for": 60}, key="over"))
    await hands.enqueue_unique(keyed({"period": 60}, key="waits"))
    await hands.claim()
    await hands.finish(over["id"])
    count = "select array_agg(key order by key) from @.unique_past"
    assert await hands.value("select @.forget_unique(10)") == 0
    await age(hands, 61)
    assert await hands.value("select @.forget_unique(10)") == 1
    assert await hands.value(count) == ["waits"]


# -- flows


async def test_jobs_of_flows_are_put_in_line_and_moved(hands: Hands) -> None:
    flow = {"flow": "f", "flow_key": "a"}
    (job,) = await hands.enqueue_unique(keyed(STARTED, **flow))
    assert job["state"] == "blocked"
    assert await hands.value("select count(*) from @.ticket where rank is not null") == 1
    (moved,) = await hands.enqueue_unique(keyed({"replace": ["args"]}, flow="f", flow_key="b"))
    assert (moved["state"], moved["replaced"]) == ("blocked", True)
    assert await hands.value("select array_agg(key order by id) from @.ticket") == ["a", "b"]
    admit = "select array[a.admitted, a.more::int] from @.admit('f', 10, 0, 0, '-infinity') as a"
    assert await hands.value(admit) == [0, 1]  # of a flow that nobody declared: one key at a time
    assert (await hands.value(admit))[0] == 1
    (kept,) = await hands.enqueue_unique(keyed({"replace": ["args"]}, flow="f", flow_key="b"))
    assert kept["state"] == "pending"
    (later,) = await hands.enqueue_unique(
        keyed({"replace": ["run_at"]}, flow="f", flow_key="b", delay=60)
    )
    assert later["state"] == "scheduled"
    assert await hands.value("select array_agg(key) from @.ticket") == ["b"]
    (line,) = await hands.enqueue_unique(keyed({"replace": ["run_at"]}, flow="f", flow_key="b"))
    assert line["state"] == "blocked"
    assert (await hands.value(admit))[0] == 1
    assert [row["id"] for row in await hands.claim()] == [job["id"]]
