"""Keys take turns, by their weights; a newcomer waits for what is admitted, and no longer."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.flows.life import Life

JOBS = 700


async def served(life: Life, room: int, jobs: int = JOBS) -> Counter[str]:
    """How many of each key run until so many have, with room for so many at once."""
    counts: Counter[str] = Counter()
    while counts.total() < jobs:
        await life.admit("f", room)
        rows = await life.sql("select id, flow_key from @.job where position is not null")
        counts.update(row["flow_key"] for row in rows)
        await life.end(await life.take(1000))
    return counts


@pytest.mark.parametrize("room", [1, 2, 8, 100])
@pytest.mark.parametrize(
    "weights",
    [(3, 2, 1, 1), (100, 1), (30, 20, 10, 10), (0.5, 0.25, 0.125, 0.125)],
    ids=str,
)
@pytest.mark.report("flow N29")
async def test_keys_share_by_their_weights(
    life: Life, weights: tuple[float, ...], room: int
) -> None:
    await life.set_flow("f", {"fair": True})
    for key, weight in zip("abcd", weights, strict=False):
        await life.set_key("f", key, weight=float(weight))
        await life.put("f", [key] * 900)
    counts = await served(life, room)
    for key, weight in zip("abcd", weights, strict=False):
        share = weight * counts.total() / sum(weights)
        assert abs(counts[key] - share) <= 0.02 * counts.total(), (key, share, counts)


async def test_the_largest_weight_leaves_the_others_a_turn(life: Life) -> None:
    await life.set_flow("f", {"fair": True})
    await life.set_key("f", "a", weight=3e38)
    await life.put("f", ["a"] * 50)
    await life.put("f", ["b"] * 5)
    counts = await served(life, 10, 50)
    assert counts["a"] >= 45


async def test_a_key_of_large_weight_keeps_the_order_of_its_jobs(life: Life) -> None:
    await life.set_flow("f", {"fair": True})
    await life.set_key("f", "a", weight=1000.0)
    ids = await life.put("f", ["a"] * 60)
    ran: list[int] = []
    while len(ran) < len(ids):
        await life.admit("f", 7)
        taken = await life.take()
        ran += taken
        await life.end(taken)
    assert ran == ids


@pytest.mark.report("flow N24")
async def test_a_higher_priority_is_next_at_a_limit(life: Life) -> None:
    await life.set_flow("f", {"key_concurrency": 1})
    running, *_ = await life.put("f", ["a"] * 3)
    await life.admit("f")
    await life.take()
    (urgent,) = await life.put("f", ["a"], priority=0)
    await life.admit("f")
    await life.end([running])
    await life.admit("f")
    assert await life.take() == [urgent]


@pytest.mark.report("flow N26")
async def test_a_key_that_comes_while_there_is_no_room_is_served_when_there_is(life: Life) -> None:
    await life.set_flow("f", {"concurrency": 2})
    running = await life.put("f", ["a"] * 2)
    await life.put("f", ["a"] * 100)
    await life.admit("f")
    await life.take()
    (new,) = await life.put("f", ["b"])
    await life.admit("f")  # its ticket is gone, and it has no slot
    await life.end(running)
    await life.admit("f")
    assert new in await life.take()


@pytest.mark.past_bug(72)
async def test_jobs_of_a_key_at_its_limit_are_passed(life: Life) -> None:
    await life.set_flow("f", {"key_concurrency": 1})
    await life.put("f", ["a"] * 5000)
    await life.admit("f")
    (other,) = await life.put("f", ["b"])
    assert (await life.admit("f"))["admitted"] == 1
    assert other in await life.take()


@pytest.mark.report("flow N28")
async def test_a_newcomer_waits_for_the_tickets_of_others_and_not_for_their_jobs(
    life: Life,
) -> None:
    """Each of 12,000 jobs has a ticket of its own, as they came while no worker lived."""
    await life.set_flow("f", {"fair": True})
    await life.put("f", ["a"] * 12_000)
    await life.sql(
        "insert into @.ticket (flow, key, rank)"
        " select flow, flow_key, rank from @.job order by rank"
    )
    (new,) = await life.put("f", ["b"])
    calls, taken = 0, []
    while new not in taken:
        calls += 1
        answer = await life.admit("f", 10)
        taken = await life.take()
        await life.end(taken)
        assert answer["more"]
    assert calls <= 4
