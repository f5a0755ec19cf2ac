"""Finished jobs: partitions by day, what happens without one, and what retention drops."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands

DAY = 86400.0


async def partitions(hands: Hands) -> list[str]:
    rows = await hands.sql(
        "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid"
        " where inhparent = '@.history'::regclass order by relname"
    )
    return [row["relname"] for row in rows]


def named(first: int, last: int, today: date) -> list[str]:
    return [f"history_{today + timedelta(days=n):%Y%m%d}" for n in range(first, last + 1)]


async def today(hands: Hands) -> date:
    return await hands.value("select (now() at time zone 'UTC')::date")


async def done(hands: Hands, **options: Any) -> int:
    (row,) = await hands.enqueue({"task": "t", **options})
    await hands.claim()
    await hands.finish(row["id"])
    return row["id"]


async def test_the_first_migration_makes_yesterday_today_and_a_week(hands: Hands) -> None:
    assert await partitions(hands) == named(-1, 7, await today(hands))
    assert (await hands.run("ensure_history"))[0]["made"] == 0
    assert (await hands.run("drop_history", 7 * DAY, None))[0]["dropped"] == 0


@pytest.mark.past_bug(87)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Bogota", "Asia/Kathmandu"])
async def test_days_are_of_utc_whatever_the_session_says(
    hands: Hands, producer: Hands, zone: str
) -> None:
    await producer.sql("select set_config('timezone', $1, false)", zone)
    await producer.sql("select @.ensure_history(9)")
    assert await partitions(hands) == named(-1, 9, await today(hands))
    bounds = await hands.sql(
        "select pg_get_expr(relpartbound, oid) as bound from pg_class"
        " where relname like 'history_2%' and relkind = 'r'"
    )
    assert all("00:00:00+00" in row["bound"] for row in bounds)


async def test_everything_about_a_job_is_kept(hands: Hands) -> None:
    options = {"priority": 2, "tags": ["a"], "metadata": {"m": 1}, "unique_key": "k", "timeout": 4}
    job = await done(hands, **options, args={"n": 1})
    (row,) = await hands.sql("select * from @.history")
    assert (row["id"], row["state"], row["attempt"], row["priority"]) == (job, "completed", 1, 2)
    assert (row["args"], row["metadata"], row["tags"]) == ('{"n": 1}', '{"m": 1}', ["a"])
    assert (row["unique_key"], row["timeout_seconds"]) == ("k", 4.0)
    assert (row["worker_id"], row["claim_token"]) == (hands.id, hands.token)
    assert row["enqueued_at"] <= row["claimed_at"] <= row["finished_at"]
    assert await hands.count("job") == 0


async def test_a_completion_without_a_partition_of_today(hands: Hands) -> None:
    for name in await partitions(hands):
        await hands.sql(f"drop table @.{name}")
    (row,) = await hands.enqueue({"task": "t"})
    await hands.claim()
    with pytest.raises(asyncpg.CheckViolationError):
        await hands.finish(row["id"])
    assert await hands.state(row["id"]) == "running"
    await hands.run("ensure_history")
    assert await hands.finish(row["id"]) == [row["id"]]
    assert len(await partitions(hands)) == 9


async def test_many_make_the_partitions_at_once(hands: Hands, more_hands: Connect) -> None:
    for name in await partitions(hands):
        await hands.sql(f"drop table @.{name}")
    others = [await more_hands() for _ in range(6)]
    made = await asyncio.gather(*[each.value("select @.ensure_history()") for each in others])
    assert sorted(made) == [0] * 5 + [9]


async def test_a_new_partition_is_indexed_and_checked_like_the_others(hands: Hands) -> None:
    await hands.sql("select @.ensure_history(8)")
    newest = (await partitions(hands))[-1]
    rows = await hands.sql(
        "select inhparent::regclass::text as parent from pg_inherits"
        " join pg_index on indexrelid = inhrelid where indrelid = $1::text::regclass",
        f"{hands.schema}.{newest}",
    )
    assert [row["parent"].rpartition(".")[2] for row in rows] == ["history_id"]
    with pytest.raises(asyncpg.CheckViolationError):
        await hands.sql(
            f"insert into @.{newest} (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
            " priority, crash_count, state, queue, task, args)"
            " values (1, now() + '8 d'::interval, now(), now(), 1, 1, 1, 0, 'odd', 'q', 't', '{}')"
        )


async def aged(hands: Hands, days: int) -> str:
    """A partition of that many days ago, with a row in it."""
    then = datetime.now(UTC).date() - timedelta(days=days)
    name = f"history_{then:%Y%m%d}"
    await hands.sql(f"create table @.{name} (like @.history including all)")
    await hands.connection.execute(
        hands.text(
            f"alter table @.history attach partition @.{name}"
            f" for values from ('{then} 00:00:00+00') to ('{then + timedelta(days=1)} 00:00:00+00')"
        )
    )
    await hands.sql(
        "insert into @.history (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
        " priority, crash_count, state, queue, task, args)"
        " values ($1, $2::timestamptz, now(), now(), 1, 1, 1, 0, 'completed', 'q', 't', '{}')",
        -days, datetime(then.year, then.month, then.day, 12, tzinfo=UTC),
    )  # fmt: skip
    return name


async def test_retention_drops_whole_days_that_are_past(hands: Hands) -> None:
    kept = await done(hands)
    (dead,) = await hands.enqueue({"task": "t"})
    await hands.claim()
    await hands.bury(dead["id"])
    await hands.sql("update @.dead set finished_at = now() - '90 days'::interval")
    names = {days: await aged(hands, days) for days in (2, 3, 8, 9, 10, 40)}
    (answer,) = await hands.run("drop_history", 9 * DAY, None)
    # Nine days ago the 9th has not ended for nine days yet; the 10th may have, the 40th has.
    left = await partitions(hands)
    assert names[40] not in left
    assert names[10] not in left
    assert {names[days] for days in (2, 3, 8, 9)} <= set(left)
    assert answer["dropped"] == 2
    assert await hands.state(kept) == "completed"
    assert await hands.state(dead["id"]) == "dead"


async def test_a_retention_of_nothing_keeps_the_day_that_runs(hands: Hands) -> None:
    await done(hands)
    await aged(hands, 5)
    (answer,) = await hands.run("drop_history", 0.0, None)
    assert answer["dropped"] == 2
    assert await partitions(hands) == named(0, 7, await today(hands))
    assert await hands.count("history") == 1


async def test_only_our_own_partitions_are_dropped(hands: Hands) -> None:
    name = await aged(hands, 50)
    await hands.sql(f"alter table @.{name} rename to archive_{name.removeprefix('history_')}")
    (answer,) = await hands.run("drop_history", 9 * DAY, None)
    assert answer["dropped"] == 0
    assert await hands.count("history") == 1


async def test_a_long_reader_does_not_make_retention_hold_up_completions(
    hands: Hands, producer: Hands
) -> None:
    """It gives up; the partitions to come are another statement's work."""
    await aged(hands, 50)
    reading = producer.connection.transaction()
    await reading.start()
    await producer.count("history")
    await hands.sql("alter function @.drop_history set lock_timeout = '20ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await hands.run("drop_history", 9 * DAY, None)
    assert await done(hands)
    await reading.rollback()
    assert (await hands.run("drop_history", 9 * DAY, None))[0]["dropped"] == 1


@pytest.mark.past_bug(102)
async def test_a_redriven_job_has_all_its_attempts_again(hands: Hands) -> None:
    (row,) = await hands.enqueue({"task": "t", "max_attempts": 3, "tags": ["a"], "args": {"n": 1}})
    await hands.claim()
    error = {"type": "E", "message": "no", "worker": "w", "traceback": ""}
    await hands.bury(row["id"], error=error)
    before = (await hands.sql("select * from @.dead"))[0]
    await hands.run("redrive_jobs", [row["id"]])
    after = await hands.live(row["id"])
    assert after is not None
    assert (after["attempt"], after["crash_count"], after["worker_id"]) == (0, 0, None)
    for name in ("max_attempts", "args", "tags", "errors", "enqueued_at", "queue", "priority"):
        assert after[name] == before[name], name
    assert await hands.count("dead") == 0
