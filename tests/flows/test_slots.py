"""Slots and rates that other queues lost, doubled or leaked: here they are rows."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.flows.caller import Admission
from tests.flows.life import Life
from tests.flows.rates import excess

RACES = 300
LIMIT = 3


@pytest.mark.past_bug(73)
async def test_an_enqueue_that_meets_the_last_completion_waits_for_no_sweep(
    life: Life, other: Life
) -> None:
    await life.set_flow("f", {"key_concurrency": 1})
    await life.put("f", ["a"])
    for _ in range(RACES):
        assert (await life.admit("f"))["admitted"] == 1
        running = await life.take()
        await asyncio.gather(life.end(running), other.put("f", ["a"]))
        assert await life.sql("select * from @.heal_lines()") == []


@pytest.mark.past_bug(74, 75)
@pytest.mark.parametrize("way", ["end", "die", "cancel", "retry", "delete", "rescue"])
async def test_what_leaves_in_batches_frees_its_slots_and_no_more(life: Life, way: str) -> None:
    await life.set_flow("f", {"concurrency": LIMIT, "key_concurrency": LIMIT})
    await life.put("f", ["a"] * 30)
    for _ in range(4):
        assert (await life.admit("f"))["admitted"] == LIMIT
        ids = await life.take() if way != "cancel" else await _admitted(life)
        match way:
            case "delete":
                await life.sql("delete from @.job where id = any ($1::bigint[])", ids)
                await life.changed("f")
            case "rescue":
                await life.rescue(life.id, cap=1)
            case _:
                await getattr(life, way)(ids)
        assert len(await _admitted(life)) == 0
    assert (await life.admit("f"))["admitted"] == LIMIT
    assert (await life.admit("f"))["admitted"] == 0
    assert await life.sql("select * from @.heal_lines()") == []


async def test_what_is_rescued_keeps_its_slot(life: Life) -> None:
    await life.set_flow("f", {"concurrency": LIMIT})
    await life.put("f", ["a"] * 10)
    await life.admit("f")
    running = await life.take()
    await life.rescue(life.id, cap=9)
    assert (await life.admit("f"))["admitted"] == 0
    assert await life.take() == running


@pytest.mark.past_bug(77)
async def test_what_goes_back_in_line_has_lost_no_attempt(life: Life) -> None:
    await life.set_flow("f", {"key_concurrency": LIMIT})
    await life.put("f", ["a"] * LIMIT)
    await life.admit("f")
    taken = await life.take(1)
    await life.give_back(taken)
    await life.pause_flow("f")
    assert await _admitted(life) == []
    assert await life.value("select array_agg(distinct attempt) from @.job") == [0]


@pytest.mark.past_bug(78)
@pytest.mark.parametrize("rate", [50.0, 400.0])
async def test_no_more_begins_than_a_rate_allows_in_any_window(life: Life, rate: float) -> None:
    """The admissions are called as often as can be, or when they say."""
    await life.set_flow("f", {"rate": rate, "burst": 5})
    await life.put("f", ["a"] * 60 + ["b"] * 60)
    admissions: list[Admission] = []
    left = 120
    while left:
        began = time.monotonic()
        answer = await life.admit("f")
        taken = await life.take()
        left -= len(taken)
        if taken:
            jobs = [(job, "", 1) for job in taken]
            admissions.append(Admission(began, time.monotonic(), jobs))
        await life.end(taken)
        if left and answer["wait"]:
            await asyncio.sleep(answer["wait"] if left % 2 else 0.0)
    assert excess(admissions, rate, 5) < 1e-3


async def _admitted(life: Life) -> list[int]:
    rows = await life.sql("select id from @.job where position is not null")
    return [row["id"] for row in rows]
