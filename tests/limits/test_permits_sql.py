"""Permits and tokens, by the statement alone."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.db.hands import Hands, connect


@pytest.fixture
async def hands(dsn: str) -> AsyncIterator[Hands]:
    hands = await connect(dsn)
    for worker in range(1, 9):
        await hands.register("mail", worker=worker)
    yield hands
    hands.connection.terminate()


async def limit(hands: Hands, **settings: object) -> None:
    await hands.sql(
        "update @.queue set declared = $1::text::jsonb where name = 'mail'", json.dumps(settings)
    )


async def ask(
    hands: Hands, worker: int, wanted: int, busy: int = 0, tokens: int = 0, unused: int = 0
) -> Any:
    (row,) = await hands.run("take_leave", "mail", worker, wanted, busy, tokens, unused)
    return row


async def held(hands: Hands) -> dict[int, int]:
    rows = await hands.sql("select worker_id, n from @.permit where n > 0")
    return {row["worker_id"]: row["n"] for row in rows}


async def test_grants_are_never_above_the_limit(hands: Hands) -> None:
    await limit(hands, concurrency=5)
    assert (await ask(hands, 1, 3))["may"] == 3
    assert (await ask(hands, 2, 3))["may"] == 2
    assert (await ask(hands, 3, 3))["may"] == 0
    assert await held(hands) == {1: 3, 2: 2}


async def test_who_has_more_than_its_share_gives_it_back_as_its_jobs_end(hands: Hands) -> None:
    await limit(hands, concurrency=4)
    assert (await ask(hands, 1, 10))["may"] == 4
    assert (await ask(hands, 2, 10))["may"] == 0
    row = await ask(hands, 1, 10, busy=4)
    assert (row["may"], row["held"]) == (2, 4), "what runs keeps its permits"
    assert (await ask(hands, 2, 10))["may"] == 0
    row = await ask(hands, 1, 10, busy=2)
    assert (row["may"], row["held"]) == (2, 2)
    assert (await ask(hands, 2, 10))["may"] == 2


async def test_a_lowered_limit_grants_nothing_until_enough_have_ended(hands: Hands) -> None:
    await limit(hands, concurrency=4)
    assert (await ask(hands, 1, 2))["may"] == 2
    assert (await ask(hands, 2, 2))["may"] == 2
    await limit(hands, concurrency=2)
    row = await ask(hands, 1, 2, busy=2)
    assert (row["may"], row["held"]) == (0, 2)
    assert (await ask(hands, 3, 1))["may"] == 0
    assert (await ask(hands, 1, 1, busy=0))["may"] == 0
    assert (await ask(hands, 2, 0))["held"] == 0
    assert (await ask(hands, 3, 1))["may"] == 1


async def test_permits_of_a_worker_that_is_not_registered_are_void(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    assert (await ask(hands, 1, 1))["may"] == 1
    assert (await ask(hands, 2, 1))["may"] == 0
    await hands.sql("delete from @.worker where id = 1")
    assert (await ask(hands, 1, 1))["may"] == 0, "a frozen worker that comes back gets none"
    assert (await ask(hands, 2, 1))["may"] == 1


async def test_a_permit_that_is_void_is_in_nobody_s_way(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    assert (await ask(hands, 1, 1))["may"] == 1
    await hands.sql("delete from @.worker where id = 1")
    assert (await ask(hands, 2, 1))["may"] == 1


async def test_a_worker_that_leaves_wakes_who_waits(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    await ask(hands, 1, 1)
    await ask(hands, 2, 1)
    heard: list[str] = []
    channel = await hands.value("select @.channel()")
    await hands.connection.add_listener(channel, lambda *args: heard.append(str(args[3])))
    await hands.run("remove_worker", [1])
    assert heard == ["p:2:mail"]
    assert await held(hands) == {}


async def test_without_a_limit_all_that_is_wanted_is_granted(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    await ask(hands, 1, 1)
    await limit(hands)
    assert (await ask(hands, 1, 7))["may"] == 7
    assert await held(hands) == {}


async def test_who_asks_again_in_vain_writes_nothing(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    await ask(hands, 1, 1)
    await ask(hands, 2, 1)
    before = await hands.sql("select worker_id, xmin::text, ctid::text from @.permit order by 1")
    for _ in range(3):
        assert (await ask(hands, 2, 1))["may"] == 0
        assert (await ask(hands, 1, 1, busy=1))["may"] == 1
    after = await hands.sql("select worker_id, xmin::text, ctid::text from @.permit order by 1")
    assert after == before


async def test_a_worker_of_another_kind_gets_its_turn_after_a_second(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    await hands.sql("update @.worker set kind = 7 where id = 2")
    assert (await ask(hands, 1, 1))["may"] == 1
    assert (await ask(hands, 2, 1))["may"] == 0
    assert (await ask(hands, 3, 1))["may"] == 0
    assert (await ask(hands, 1, 1))["may"] == 1, "others of its kind can stand in for it"
    await hands.sql("update @.permit set since = since - interval '2 s'")
    assert (await ask(hands, 1, 1))["may"] == 0
    assert (await ask(hands, 2, 1))["may"] == 1


async def test_one_free_permit_wakes_one_worker(hands: Hands) -> None:
    await limit(hands, concurrency=1)
    await ask(hands, 1, 1)
    for worker in (2, 3, 4):
        await ask(hands, worker, 1)
    heard: list[str] = []
    channel = await hands.value("select @.channel()")
    await hands.connection.add_listener(channel, lambda *args: heard.append(str(args[3])))
    await ask(hands, 1, 0)
    assert heard == ["p:2:mail"]
    await ask(hands, 5, 1)  # it was quicker
    await ask(hands, 2, 1)
    assert heard == ["p:2:mail"]
    await ask(hands, 6, 1)
    assert heard == ["p:2:mail", "p:0:mail"], "who waits anew asks for what lies idle, once"


async def test_sums_hold_whatever_is_asked(hands: Hands) -> None:
    rng = random.Random(17)
    limited, busy = 5, dict.fromkeys(range(1, 9), 0)
    may = dict.fromkeys(range(1, 9), 0)
    await limit(hands, concurrency=limited)
    for _ in range(600):
        worker = rng.randint(1, 8)
        row = await ask(hands, worker, rng.randint(busy[worker], 9), busy=busy[worker])
        may[worker] = row["may"]
        busy[worker] = rng.randint(0, max(may[worker], min(busy[worker], row["held"])))
        assert sum((await held(hands)).values()) <= limited
        assert sum(busy.values()) <= limited


async def test_tokens_come_at_their_rate(hands: Hands) -> None:
    await limit(hands, rate=20.0, burst=3)
    row = await ask(hands, 1, 9, tokens=9)
    assert row["may"] == 9
    # Three at once, and those of the next quarter of a second.
    assert row["tokens"] == 8
    assert row["first"] == pytest.approx(-0.1)
    assert row["each"] == pytest.approx(0.05)
    again = await ask(hands, 2, 9, tokens=9)
    assert again["tokens"] <= 1 + row["wait"] / 0.05
    assert again["wait"] > 0


async def test_unused_tokens_come_back(hands: Hands) -> None:
    await limit(hands, rate=0.001, burst=2)
    assert (await ask(hands, 1, 9, tokens=9))["tokens"] == 2
    row = await ask(hands, 2, 9, tokens=1)
    assert row["tokens"] == 0
    assert row["wait"] == pytest.approx(1000, abs=60)
    assert (await ask(hands, 1, 0, unused=1))["tokens"] == 0
    assert (await ask(hands, 2, 9, tokens=9))["tokens"] == 1


async def test_tokens_that_come_back_are_never_more_than_the_burst(hands: Hands) -> None:
    await limit(hands, rate=0.001, burst=2)
    assert (await ask(hands, 1, 9, tokens=9))["tokens"] == 2
    await hands.sql(
        "update @.queue_tokens set tat = now()"
    )  # time goes by, and they are full again
    assert (await ask(hands, 1, 9, tokens=9, unused=2))["tokens"] == 2


async def test_a_faster_rate_counts_at_once(hands: Hands) -> None:
    await limit(hands, rate=0.0001, burst=1)
    assert (await ask(hands, 1, 9, tokens=9))["tokens"] == 1
    await limit(hands, rate=1000.0, burst=1)
    row = await ask(hands, 1, 9, tokens=9)
    assert row["wait"] < 0.3


@pytest.mark.parametrize("limits", [{"concurrency": 2}, {"rate": 100.0, "burst": 5}])
async def test_what_is_given_survives_a_crash_of_the_server(
    hands: Hands, limits: dict[str, float]
) -> None:
    """Sessions that claim do not wait for the disk; else a permit would have two holders then."""
    await limit(hands, **limits)
    await hands.sql("set synchronous_commit = off")
    for turn in range(1, 20):
        async with hands.connection.transaction():
            row = await ask(hands, turn % 2 + 1, 2, 0, tokens=1)
            assert row["may"] if "concurrency" in limits else row["tokens"]
            (written,) = await hands.sql("select pg_current_wal_insert_lsn() as here")
        (flushed,) = await hands.sql("select pg_current_wal_flush_lsn() as here")
        assert flushed["here"] >= written["here"]
        if "concurrency" in limits:
            await ask(hands, turn % 2 + 1, 0)
