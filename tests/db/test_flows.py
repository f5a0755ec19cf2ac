"""Admission: who of a flow may run, by what its rows say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.db.hands import Hands


async def flow(hands: Hands, **settings: object) -> None:
    await hands.sql(
        "insert into @.flow (name, declared) values ('f', $1::text::jsonb)"
        " on conflict (name) do update set declared = excluded.declared",
        json.dumps(settings),
    )


async def put(hands: Hands, *keys: str, **options: object) -> list[int]:
    """Enqueue a job for each key; return their ids."""
    docs = [{"task": "t", "flow": "f", "flow_key": key, **options} for key in keys]
    rows = await hands.sql("select id, state from @.enqueue($1::text::jsonb)", json.dumps(docs))
    return [row["id"] for row in rows]


async def admit(hands: Hands, ready_most: int = 100) -> Any:
    (row,) = await hands.sql("select * from @.admit('f', $1, 0, 0, '-infinity')", ready_most)
    return row


async def admitted(hands: Hands) -> list[str]:
    """The keys of the admitted jobs, in the order in which they would be claimed."""
    rows = await hands.sql(
        "select flow_key from @.job where position is not null order by priority, position"
    )
    return [row["flow_key"] for row in rows]


async def take(hands: Hands) -> None:
    """A worker takes all that is admitted."""
    await hands.sql("update @.job set worker_id = 1 where position is not null")


async def end(hands: Hands, ids: Sequence[int], **ticket: object) -> None:
    """End these jobs as a worker does, with their tickets."""
    await hands.sql(
        "with gone as (delete from @.job where id = any ($1::bigint[]) returning *)"
        " insert into @.ticket (flow, key, used, weight, held_until, holds_flow)"
        " select flow, flow_key, $2, coalesce(weight, 1), now() + $3::float8 * interval '1 s', $4"
        " from gone",
        list(ids), ticket.get("used"), ticket.get("hold"), ticket.get("holds_flow", False),
    )  # fmt: skip


async def healed(hands: Hands) -> int:
    return sum(row["keys"] for row in await hands.sql("select * from @.heal_lines()"))


async def test_an_unknown_flow_runs_one_at_a_time(hands: Hands) -> None:
    first, _ = await put(hands, "a", "b")
    assert (await admit(hands))["admitted"] == 1
    assert (await admit(hands))["admitted"] == 0
    await end(hands, [first])
    assert (await admit(hands))["admitted"] == 1


async def test_a_name_alone_makes_no_flow(hands: Hands) -> None:
    row = await admit(hands)
    assert (row["admitted"], row["more"], row["newest_ticket"]) == (0, False, None)
    assert await hands.value("select count(*) from @.flow") == 0


async def test_no_more_of_a_key_than_its_limit_and_no_more_in_all(hands: Hands) -> None:
    await flow(hands, concurrency=5, key_concurrency=2)
    ids = await put(hands, *"aaaabbbbcccc")
    assert (await admit(hands))["admitted"] == 5
    assert (await admit(hands))["admitted"] == 0
    keys = await admitted(hands)
    assert max(keys.count(key) for key in "abc") == 2
    await end(hands, ids[:1])
    assert (await admit(hands))["admitted"] == 1
    assert await healed(hands) == 0


async def test_each_job_of_a_flow_is_run_in_the_end(hands: Hands) -> None:
    await flow(hands, concurrency=7, key_concurrency=2)
    left = set(await put(hands, *[f"k{n % 13}" for n in range(200)]))
    for _ in range(1_000):
        if not left:
            break
        await admit(hands)
        rows = await hands.sql(
            "select id from @.job where position is not null order by position limit 3"
        )
        assert rows, "it stands still"
        await end(hands, [row["id"] for row in rows])
        left -= {row["id"] for row in rows}
    assert not left
    assert await healed(hands) == 0
    await admit(hands)
    assert await hands.value("select count(*) from @.ticket") == 0
    assert await hands.value("select count(*) from @.line") == 0


async def test_keys_take_turns_and_a_new_one_waits_for_what_is_admitted_alone(hands: Hands) -> None:
    await flow(hands, fair=True)
    await put(hands, *["large"] * 500)
    assert (await admit(hands, 10))["admitted"] == 10
    small = await put(hands, "small", "small")
    large = await hands.sql("select id from @.job where position is not null")
    await end(hands, [row["id"] for row in large])
    await admit(hands, 10)
    assert (await admitted(hands))[:4].count("small") >= 1
    assert sum(key == "small" for key in await admitted(hands)) == len(small)


async def test_weights_share_the_room(hands: Hands) -> None:
    await flow(hands, fair=True)
    await hands.sql(
        "insert into @.flow_key (flow, key, weight) values ('f', 'a', 3), ('f', 'b', 2)"
    )
    for room in (1, 2, 8, 100):
        await put(hands, *["a"] * 800, *["b"] * 800, *["c"] * 800, *["d"] * 800)
        counts = dict.fromkeys("abcd", 0)
        while sum(counts.values()) < 700:
            await admit(hands, room)
            rows = await hands.sql("select id, flow_key from @.job where position is not null")
            for row in rows:
                counts[row["flow_key"]] += 1
            await end(hands, [row["id"] for row in rows])
        total = sum(counts.values())
        for key, share in {"a": 3, "b": 2, "c": 1, "d": 1}.items():
            assert abs(counts[key] - share * total / 7) <= 0.02 * total, (room, counts)
        await hands.sql("truncate @.job, @.line, @.ticket")


async def test_a_higher_priority_is_next_in_a_line_that_stood_at_its_limit(hands: Hands) -> None:
    await flow(hands, key_concurrency=1)
    running, *_ = await put(hands, "a", "a", "a")
    await admit(hands)
    await admit(hands)
    (urgent,) = await put(hands, "a", priority=0)
    await admit(hands)
    await end(hands, [running])
    assert (await admit(hands))["admitted"] == 1
    assert await hands.value("select id from @.job where position is not null") == urgent


async def test_ordered_waits_for_the_retry_of_its_head(hands: Hands) -> None:
    await flow(hands, ordered=True)
    first, second, other = await put(hands, "a", "a", "b")
    await admit(hands)
    await hands.sql(
        "with back as (update @.job set position = null, run_at = now() + interval '1 hour'"
        "              where id = $1 returning flow, flow_key, rank)"
        " insert into @.ticket (flow, key, rank) select flow, flow_key, rank from back",
        first,
    )
    await admit(hands)
    assert await admitted(hands) == ["b"]
    await end(hands, [other])
    await admit(hands)
    assert await admitted(hands) == []
    await hands.sql(
        "with due as (update @.job set run_at = 'infinity' where id = $1 returning *)"
        " insert into @.ticket (flow, key, rank) select flow, flow_key, rank from due",
        first,
    )
    await admit(hands)
    assert await hands.value("select id from @.job where position is not null") == first
    await end(hands, [first])
    await admit(hands)
    assert await hands.value("select id from @.job where position is not null") == second


async def test_jobs_of_a_paused_queue_are_stepped_over(hands: Hands) -> None:
    await flow(hands, concurrency=1)
    await hands.sql("insert into @.queue (name, paused_at) values ('q', now())")
    (held,) = await put(hands, "", queue="q")
    (free,) = await put(hands, "")
    assert (await admit(hands))["admitted"] == 1
    assert await hands.value("select id from @.job where position is not null") == free
    await end(hands, [free])
    assert (await admit(hands))["admitted"] == 0
    await hands.sql("update @.queue set paused_at = null")
    await hands.value("select @.withdraw('f')")
    assert (await admit(hands))["admitted"] == 1
    assert await hands.value("select id from @.job where position is not null") == held


async def test_a_lowered_limit_puts_back_what_nobody_claimed(hands: Hands) -> None:
    await flow(hands, key_concurrency=5)
    ids = await put(hands, *["a"] * 9)
    assert (await admit(hands))["admitted"] == 5
    await hands.sql("update @.job set worker_id = 1 where id = $1", ids[0])
    await flow(hands, key_concurrency=2)
    assert await hands.value("select @.withdraw('f')") == 3
    assert (await admit(hands))["admitted"] == 0
    assert (
        await hands.value("select array_agg(id order by id) from @.job where position > 0")
        == ids[:2]
    )
    await flow(hands)
    await hands.value("select @.withdraw('f')")
    assert (await admit(hands))["admitted"] == 7
    rows = await hands.sql("select id from @.job order by position")
    assert [row["id"] for row in rows] == ids


@pytest.mark.parametrize(
    "what",
    [
        "update @.flow set held_until = now() + interval '1 h'",
        "insert into @.flow_key (flow, key, held_until) values ('f', 'a', now() + interval '1 h')",
        "insert into @.flow_key (flow, key, paused_at) values ('f', 'a', now())",
        "update @.flow set paused_at = now()",
    ],
    ids=["break", "break of the key", "pause of the key", "pause"],
)
async def test_what_nobody_claimed_goes_back_under_a_pause_or_a_break(
    hands: Hands, what: str
) -> None:
    await flow(hands)
    running, *_ = await put(hands, *"aaa")
    await admit(hands)
    await hands.sql("update @.job set worker_id = 1 where id = $1", running)
    await hands.sql(what)
    assert await hands.value("select @.withdraw('f')") == 2
    assert await hands.value("select id from @.job where position is not null") == running


async def test_a_rate_admits_its_burst_and_says_when_the_next_may_begin(hands: Hands) -> None:
    await flow(hands, rate=0.00001, burst=3)
    await put(hands, *["a"] * 5)
    row = await admit(hands)
    assert (row["admitted"], row["more"]) == (3, False)
    assert 95_000 < row["wait"] <= 100_000
    row = await admit(hands)
    assert row["admitted"] == 0
    assert 90_000 < row["wait"] <= 100_000
    await take(hands)
    await hands.sql("update @.flow set tat = tat - interval '100000 s'")
    assert (await admit(hands))["admitted"] == 1


async def test_a_rate_of_each_key(hands: Hands) -> None:
    await flow(hands, key_rate=0.00001, key_burst=2)
    await put(hands, *"aaabb")
    row = await admit(hands)
    assert row["admitted"] == 4
    assert 95_000 < row["wait"] < 100_001
    assert await healed(hands) == 0
    # What it has used is kept although nothing waits.
    await end(
        hands, [r["id"] for r in await hands.sql("select id from @.job where flow_key = 'b'")]
    )
    await admit(hands)
    await put(hands, "b")
    assert (await admit(hands))["admitted"] == 0
    await take(hands)
    await hands.sql(
        "update @.line set tat = tat - interval '100000 s', turn = turn - interval '100000 s'"
    )
    assert (await admit(hands))["admitted"] == 2


@pytest.mark.parametrize(
    ("rate", "burst", "most"), [(4.0, 1, 1), (5.0, 1, 2), (5.0, 10, 10), (400.0, 1, 100)]
)
async def test_what_a_rate_admits_ahead_of_the_workers(
    hands: Hands, rate: float, burst: int, most: int
) -> None:
    """It may begin all at once: it is a burst, or what the rate gives in a quarter of a second."""
    await flow(hands, rate=rate, burst=burst)
    await put(hands, *["a"] * 300)
    for _ in range(2 * most + 2):
        await hands.sql("update @.flow set tat = 'epoch'")
        row = await admit(hands, 1000)
    assert len(await admitted(hands)) == most
    assert row["wait"] == 0.25  # a worker may have taken some by then
    await take(hands)
    assert (await admit(hands, 1000))["admitted"] == min(burst, most)


async def test_what_a_rate_of_a_key_admits_ahead_of_the_workers(hands: Hands) -> None:
    await flow(hands, key_rate=5, key_burst=1)
    await put(hands, *["a"] * 9, "b")
    for _ in range(5):
        await hands.sql("update @.line set tat = 'epoch', turn = least(turn, now())")
        row = await admit(hands)
    assert await admitted(hands) == ["a", "b", "a"]
    assert 0 < row["wait"] <= 0.25
    await take(hands)
    await hands.sql("update @.line set tat = 'epoch', turn = least(turn, now())")
    assert (await admit(hands))["admitted"] == 1
    assert await healed(hands) == 0


async def test_a_heavy_job_takes_tokens_as_it_weighs(hands: Hands) -> None:
    await flow(hands, rate=0.00001, burst=5)
    await put(hands, "a", weight=4)
    await put(hands, "a", weight=4)
    row = await admit(hands)
    assert row["admitted"] == 1
    await take(hands)
    await flow(hands, rate=0.00001, burst=2)
    await hands.sql("update @.flow set tat = 'epoch'")
    assert (await admit(hands))[
        "admitted"
    ] == 1  # the bucket is full: it may begin, and is paid for
    assert await hands.value("select tat - now() > interval '390000 s' from @.flow")


async def test_what_a_job_used_is_charged_and_summed(hands: Hands) -> None:
    await flow(hands, rate=0.001, burst=10, key_rate=0.001, key_burst=10)
    (job,) = await put(hands, "a")
    await admit(hands)
    await end(hands, [job], used=101.0)
    await put(hands, "a", "b")
    assert (await admit(hands))["admitted"] == 0
    assert await hands.value("select tat - now() > interval '90000 s' from @.flow")
    (usage,) = await hands.sql("select key, jobs, used from @.flow_usage")
    assert tuple(usage) == ("a", 1, 101.0)
    await hands.sql("insert into @.ticket (flow, key, used, weight) values ('f', 'a', 2, 1)")
    await hands.sql("insert into @.ticket (flow, key, used, weight) values ('f', 'a', 3, 1)")
    await admit(hands)
    (usage,) = await hands.sql("select key, jobs, used from @.flow_usage")
    assert tuple(usage) == ("a", 3, 106.0)
    await hands.sql("update @.flow set tat = now()")
    await admit(hands)
    assert await admitted(hands) == ["b"]


async def test_tokens_that_come_back_are_never_more_than_the_burst(hands: Hands) -> None:
    await flow(hands, rate=0.00001, burst=5, key_rate=0.00001, key_burst=5)
    (job,) = await put(hands, "a", weight=4)
    await admit(hands)
    await hands.sql("update @.flow set tat = 'epoch'")  # time goes by, and they are full again
    await hands.sql("update @.line set tat = 'epoch', turn = now()")
    await end(hands, [job], used=0.0)
    await put(hands, *["a"] * 20)
    assert (await admit(hands))["admitted"] == 5
    assert (await admit(hands))["admitted"] == 0
    await take(hands)
    await flow(hands, rate=0.00001, burst=5)
    await hands.sql("update @.flow set tat = now() + interval '400000 s'")  # four are taken
    await hands.sql("update @.line set tat = 'epoch', turn = now()")
    await hands.sql("update @.job set worker_id = 1 where position is not null")
    await end(hands, (await ids_of(hands, "a"))[:1], used=-1.0)
    assert (await admit(hands))["admitted"] == 3


async def test_a_break_of_a_key_and_of_the_flow(hands: Hands) -> None:
    await flow(hands)
    (job,) = await put(hands, "a")
    await admit(hands)
    await end(hands, [job], hold=50_000.0)
    await put(hands, "a", "b")
    row = await admit(hands)
    assert await admitted(hands) == ["b"]
    assert 40_000 < row["wait"] <= 50_000
    await end(hands, await ids_of(hands, "b"), hold=80_000.0, holds_flow=True)
    await put(hands, "c")
    row = await admit(hands)
    assert await admitted(hands) == []
    assert row["more"] is False
    assert await healed(hands) == 0
    await hands.sql("update @.flow set held_until = now()")
    await hands.sql("update @.flow_key set held_until = now()")
    await hands.sql("update @.line set turn = now() where turn > now()")
    assert (await admit(hands))["admitted"] == 2


async def ids_of(hands: Hands, key: str) -> list[int]:
    return [row["id"] for row in await hands.sql("select id from @.job where flow_key = $1", key)]


async def test_one_admission_of_a_flow_at_a_time(hands: Hands, producer: Hands) -> None:
    await flow(hands)
    await put(hands, "a")
    async with producer.connection.transaction():
        await producer.sql("select from @.flow for no key update")
        row = await admit(hands)
        assert (row["admitted"], row["more"]) == (-1, True)
    assert (await admit(hands))["admitted"] == 1


async def test_an_open_enqueue_is_admitted_after_its_commit(hands: Hands, producer: Hands) -> None:
    await flow(hands)
    await put(hands, "a")
    async with producer.connection.transaction():
        (late,) = await put(producer, "a", priority=9)
        await put(hands, "a", "a")
        assert (await admit(hands))["admitted"] == 3
    assert (await admit(hands))["admitted"] == 1
    assert await hands.value("select position > 0 from @.job where id = $1", late)


async def test_what_somebody_has_locked_is_looked_at_again(hands: Hands, producer: Hands) -> None:
    await flow(hands)
    (job,) = await put(hands, "a")
    async with producer.connection.transaction():
        await producer.sql("select from @.job where id = $1 for update", job)
        row = await admit(hands)
        assert (row["admitted"], row["more"]) == (0, False)
        assert 0 < float(row["wait"]) <= 1
    await hands.sql("update @.line set turn = now()")
    assert (await admit(hands))["admitted"] == 1


async def test_lines_without_jobs_hide_no_other(hands: Hands) -> None:
    await flow(hands, concurrency=2)
    running = await put(hands, "x", "y")
    await admit(hands)
    cancelled = await put(hands, "a", "b", "c")
    await put(hands, "d")
    await admit(hands)
    await hands.sql("delete from @.job where id = any ($1::bigint[])", cancelled)
    await end(hands, running)
    row = await admit(hands)
    while row["more"]:
        row = await admit(hands)
    assert await admitted(hands) == ["d"]
