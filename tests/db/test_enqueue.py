"""The enqueue function: every option, the order of answers, what it refuses, and odd sessions."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest
from tests.db.hands import Hands

from pgqueue.client import Client

SOON = datetime.now(UTC) + timedelta(hours=1)
FULL: dict[str, Any] = {
    "task": "mail.send",
    "args": {"to": ["ä", None]},
    "queue": "mail",
    "priority": 0,
    "max_attempts": 3,
    "timeout": 1.5,
    "unique_key": "k",
    "tags": ["a", "b"],
    "metadata": {"trace": "x"},
}


def check_full(job: dict[str, Any], key: str) -> None:
    assert (job["task"], job["queue"], job["priority"]) == ("mail.send", "mail", 0)
    assert json.loads(job["args"]) == FULL["args"]
    assert (job["max_attempts"], job["timeout_seconds"]) == (3, 1.5)
    assert (job["unique_key"], job["tags"]) == (key, ["a", "b"])
    assert json.loads(job["metadata"]) == FULL["metadata"]


@pytest.mark.past_bug(69)
@pytest.mark.parametrize("public", [True, False])
async def test_every_option_works_single_and_in_bulk(hands: Hands, public: bool) -> None:
    async def add(*jobs: dict[str, Any]) -> list[Any]:
        return await (hands.public(list(jobs)) if public else hands.enqueue(*jobs))

    rows = await add(FULL)
    rows += await add(
        {**FULL, "unique_key": "l", "delay": 60},
        {**FULL, "unique_key": "m", "run_at": SOON.isoformat()},
        {**FULL, "unique_key": "n", "delay": 0},
        {**FULL, "unique_key": "o", "run_at": "2001-01-01T00:00:00Z"},
    )
    assert [row["state"] for row in rows] == [
        "pending", "scheduled", "scheduled", "pending", "pending",
    ]  # fmt: skip
    for row, key in zip(rows, "klmno", strict=True):
        job = await hands.live(row["id"])
        assert job is not None
        check_full(job, key)
        assert (job["position"] is None) is (row["state"] == "scheduled")
        ahead = (job["run_at"] - job["enqueued_at"]).total_seconds()
        if key == "l":
            assert ahead == 60
        if key == "m":
            assert job["run_at"] == SOON
        if key in "kn":
            assert ahead == 0


@pytest.mark.past_bug(69)
async def test_every_option_of_the_client_works_in_bulk(dsn: str, hands: Hands) -> None:
    async with Client(dsn) as client:
        options = {k: v for k, v in FULL.items() if k not in ("task", "args", "unique_key")}
        one = await client.aenqueue("mail.send", FULL["args"], **options, unique_key="k")
        many = await client.aenqueue_many(
            [client.job("mail.send", FULL["args"], **options, unique_key=key) for key in "lmn"]
        )
    for row, key in zip([one, *many], "klmn", strict=True):
        job = await hands.live(row.id)
        assert job is not None
        check_full(job, key)


async def test_defaults(hands: Hands) -> None:
    (row,) = await hands.enqueue({"task": "t"})
    job = await hands.live(row["id"])
    assert job is not None
    assert (job["queue"], job["priority"], job["max_attempts"]) == ("default", 5, 25)
    assert (job["args"], job["timeout_seconds"], job["tags"]) == ("{}", None, None)
    assert (job["attempt"], job["crash_count"], job["errors"]) == (0, 0, None)


async def test_answers_are_in_order_and_ids_and_positions_ascend(hands: Hands) -> None:
    rows = await hands.enqueue(*[{"task": f"t{n}", "priority": n % 10} for n in range(500)])
    found = await hands.sql("select id, task from @.job order by position")
    assert [(row["id"], f"t{n}") for n, row in enumerate(rows)] == [tuple(row) for row in found]


async def test_answers_are_in_order_with_keys_and_times_mixed(hands: Hands) -> None:
    jobs = [
        {
            "task": f"t{n}",
            **({"unique_key": f"k{(n * 7919) % 300}"} if n % 3 else {}),
            **({"delay": 60} if n % 5 == 0 else {}),
        }
        for n in range(500)
    ]
    rows = await hands.enqueue(*jobs)
    first: dict[str, int] = {}
    for n, (job, row) in enumerate(zip(jobs, rows, strict=True)):
        key = job.get("unique_key")
        owner = n if key is None else first.setdefault(key, n)
        assert row["duplicate"] is (owner != n)
        assert row["id"] == rows[owner]["id"]
        live = await hands.live(row["id"])
        assert live is not None
        assert live["task"] == f"t{owner}"
        assert row["state"] == ("scheduled" if live["position"] is None else "pending")


async def test_no_jobs_are_no_error(hands: Hands, dsn: str) -> None:
    assert await hands.enqueue() == []
    assert await hands.public([]) == []
    async with Client(dsn) as client:
        assert await client.aenqueue_many([]) == []


async def test_one_object_is_one_job(hands: Hands) -> None:
    assert len(await hands.public({"task": "t"})) == 1


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        (5, "jobs must be an object or an array of objects, not number"),
        ("t", "jobs must be an object or an array of objects, not string"),
        (None, "jobs must be an object or an array of objects, not null"),
        ([{"task": "t"}, 5], r"job \[1\] must be an object"),
        ([[{"task": "t"}]], r"job \[0\] must be an object"),
        ({}, r"job \[0\] needs a task"),
        ({"task": ""}, r"job \[0\] needs a task"),
        ({"task": None}, r"job \[0\] needs a task"),
        ({"task": "t", "delay": 1, "run_at": "now"}, "has both delay and run_at"),
        ({"task": "t", "prority": 1}, 'has an unknown key "prority"; known are task, args'),
        ({"task": "t", "delay": -1}, "has a delay that is not between 0 seconds and 100 years"),
        ({"task": "t", "delay": 1e10}, "has a delay that is not between"),
        ({"task": "t", "delay": "NaN"}, "has a delay that is not between"),
        (
            {"task": "t", "run_at": "infinity"},
            "has a run_at that is not within the years 1 to 9999",
        ),
        ({"task": "t", "run_at": "-infinity"}, "has a run_at that is not within the years"),
        ({"task": "t", "run_at": "20000-01-01"}, "has a run_at that is not within the years"),
        ({"task": "t", "run_at": "0044-03-15 BC"}, "has a run_at that is not within the years"),
        ({"task": "t", "args": [1]}, "has args that are not an object"),
        ({"task": "t", "args": None}, "has args that are not an object"),
        ({"task": "t", "priority": 10}, "has a priority that is not from 0 to 9"),
        ({"task": "t", "priority": -1}, "has a priority that is not from 0 to 9"),
        ({"task": "t", "max_attempts": 0}, "has max_attempts below 1"),
        ({"task": "t", "timeout": 0}, "has a timeout that is not above 0 seconds"),
        ({"task": "t", "queue": ""}, "has a queue name that is empty"),
        ({"task": "t", "queue": "q" * 101}, "has a queue name that is empty, over 100 bytes"),
        ({"task": "t", "queue": "a\nb"}, "has a control character in it"),
        ({"task": "t", "tags": [None]}, "has tags that are not an array of strings"),
        ({"task": "t", "tags": "x"}, "has tags that are not an array of strings"),
        ({"task": "t" * 201}, "has a task name that is over 200 bytes"),
        ({"task": "t", "unique_key": ""}, "has a unique_key that is empty"),
        ({"task": "t", "unique_key": "k" * 501}, "has a unique_key that is empty or over 500"),
        ({"task": "t", "metadata": [1]}, "has metadata that are not an object"),
    ],
)
async def test_what_the_function_refuses(hands: Hands, jobs: Any, said: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match=said):
        await hands.public(jobs)
    assert await hands.count("job") == 0


async def test_null_is_refused_as_well(hands: Hands) -> None:
    with pytest.raises(asyncpg.PostgresError, match="not null"):
        await hands.sql("select * from @.enqueue(null)")


async def test_an_option_that_is_null_means_its_default(hands: Hands) -> None:
    names = ("queue", "priority", "delay", "max_attempts", "timeout", "unique_key", "tags")
    (row,) = await hands.public({"task": "t", **dict.fromkeys(names)})
    assert row["state"] == "pending"


@pytest.mark.past_bug(45)
async def test_large_payloads_and_batches_while_somebody_waits(hands: Hands) -> None:
    await hands.serve("default", *[f"q{n}" for n in range(200)])
    await hands.sql("update @.queue set waiting = true")
    await hands.enqueue({"task": "t", "args": {"x": "y" * 5_000_000}})
    rows = await hands.enqueue(*[{"task": "t", "queue": f"q{n % 200}"} for n in range(10_000)])
    assert len(rows) == 10_000


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_stricter_transaction_enqueues(
    hands: Hands, producer: Hands, isolation: str
) -> None:
    jobs = [{"task": "t", "unique_key": "k"}, {"task": "t"}, {"task": "t", "unique_key": "k"}]
    async with producer.connection.transaction(isolation=isolation):
        first = await producer.enqueue(*jobs)
    async with producer.connection.transaction(isolation=isolation):
        again = await producer.enqueue(*jobs)
    assert [row["duplicate"] for row in first] == [False, False, True]
    assert [row["duplicate"] for row in again] == [True, False, True]
    assert {row["id"] for row in (first[0], first[2], again[0], again[2])} == {first[0]["id"]}


async def test_only_a_look_at_this_moment_says_that_nobody_waits(producer: Hands) -> None:
    """A stricter transaction sees who waited when its snapshot was taken."""

    async def look() -> int:
        rows = await producer.run("enqueue_one", "t", "{}", "default", 5, 25, True)
        return int(rows[0][0])

    assert await look() < 0
    async with producer.connection.transaction():
        assert await look() < 0
    for isolation in ("repeatable_read", "serializable"):
        async with producer.connection.transaction(isolation=isolation):
            assert await look() > 0


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_stricter_transaction_is_told_to_try_again_when_its_key_was_taken(
    hands: Hands, producer: Hands, isolation: str
) -> None:
    transaction = producer.connection.transaction(isolation=isolation)
    await transaction.start()
    await producer.count("job")  # its snapshot is older than the other's job
    await hands.enqueue({"task": "t", "unique_key": "k"})
    with pytest.raises(asyncpg.SerializationError):
        await producer.enqueue({"task": "t", "unique_key": "k"})
    await transaction.rollback()


async def test_enqueue_in_a_transaction_that_rolls_back(hands: Hands, producer: Hands) -> None:
    async with producer.connection.transaction():
        await producer.enqueue({"task": "t", "unique_key": "k"})
        savepoint = producer.connection.transaction()
        await savepoint.start()
        await producer.enqueue({"task": "t"}, {"task": "t", "unique_key": "l"})
        await savepoint.rollback()
        assert await hands.claim() == []
    assert len(await hands.claim()) == 1
    assert not (await producer.enqueue({"task": "t", "unique_key": "l"}))[0]["duplicate"]


@pytest.mark.parametrize("path", ["", "hostile", "hostile, pg_catalog", "nowhere", '"$user"'])
async def test_a_search_path_that_is_against_us(hands: Hands, producer: Hands, path: str) -> None:
    """Functions and operators of the same names, before the right ones on the path."""
    await producer.connection.execute(
        """
        create schema hostile;
        create function hostile.now() returns timestamptz
            language sql as 'select null::timestamptz';
        create function hostile.statement_timestamp() returns timestamptz
            language sql as 'select null::timestamptz';
        create function hostile.nextval(regclass) returns bigint language sql as 'select 1 / 0';
        create function hostile.pg_notify(text, text) returns void language sql as 'select 1 / 0';
        create function hostile.coalesced(text) returns text language sql as 'select null::text';
        create function hostile.differs(text, text) returns boolean language sql as 'select false';
        create function hostile.at_most(timestamptz, timestamptz) returns boolean
            language sql as 'select false';
        create operator hostile.= (leftarg = text, rightarg = text, function = hostile.differs);
        create operator hostile.<= (
            leftarg = timestamptz, rightarg = timestamptz, function = hostile.at_most);
        create domain hostile.jsonb as text check (false);
        create domain hostile.text as pg_catalog.text check (false);
        """
    )
    await hands.sql("update @.queue set waiting = true")
    await producer.connection.execute("select set_config('search_path', $1, false)", path)
    if path != "hostile, pg_catalog":
        rows = await producer.enqueue({"task": "t"}, {"task": "t", "unique_key": "k"})
        rows += await producer.enqueue({"task": "t", "unique_key": "k"})
    else:  # what the caller's own statement means is the caller's; within the function it is not
        rows = await producer.sql(
            """select * from @.enqueue('[{"task": "t"}, {"task": "t", "unique_key": "k"}]')"""
        )
        rows += await producer.sql(
            """select * from @.enqueue('{"task": "t", "unique_key": "k"}')"""
        )
    assert [row["state"] for row in rows] == ["pending"] * 3
    assert [row["duplicate"] for row in rows] == [False, False, True]


async def test_a_trigger_enqueues(hands: Hands, producer: Hands) -> None:
    await producer.connection.execute(
        """
        create table orders (id integer primary key);
        create function after_order() returns trigger language plpgsql as $$
        begin
            perform pgqueue.enqueue(jsonb_build_object('task', 't', 'args', to_jsonb(new)));
            return null;
        end $$;
        create trigger after_order after insert on orders
            for each row execute function after_order();
        """
    )
    await producer.sql("insert into orders select generate_series(1, 3)")
    rows = await hands.claim()
    assert sorted(json.loads(row["args"])["id"] for row in rows) == [1, 2, 3]


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=timezone(timedelta(microseconds=1))),
        datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=-23, minutes=-59))),
    ],
)
async def test_every_moment_that_is_taken_can_be_read_again(dsn: str, moment: datetime) -> None:
    async with Client(dsn) as client:
        job = await client.aenqueue("t", run_at=moment)
        (info,) = await client.alist_jobs()
    assert info.id == job.id
    assert info.run_at == moment


async def test_many_producers_at_once(dsn: str, hands: Hands) -> None:
    async with Client(dsn, pool_size=16) as client:
        batches = await asyncio.gather(
            *[client.aenqueue_many([client.job("t")] * 50) for _ in range(40)]
        )
    ids = [one.id for batch in batches for one in batch]
    assert len(set(ids)) == 2000 == await hands.count("job")
