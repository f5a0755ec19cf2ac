"""Unique jobs of flows: what is replaced keeps its flow's limits, and is found by admissions."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.db.hands import Hands
from tests.db.test_flows import admit, end, flow, healed

MODES: tuple[dict[str, Any], ...] = (
    {}, {"until": "started"}, {"replace": ["args"]}, {"replace": ["run_at"]},
    {"replace": ["args", "run_at", "priority"], "until": "started"}, {"wait": 60},
)  # fmt: skip
LIMITS = (
    "select coalesce(max(n), 0) as most, coalesce(sum(n), 0)::int as in_all from"
    " (select count(*)::int as n from @.job where position is not null group by flow_key) as keys"
)


def document(chance: random.Random) -> dict[str, Any]:
    mode = chance.choice(MODES)
    doc = {
        "task": "t", "flow": "f", "flow_key": chance.choice("abc"),
        "unique_key": f"k{chance.randrange(8)}", "unique": mode, "priority": chance.randrange(3),
    }  # fmt: skip
    if "wait" not in mode and chance.random() < 0.3:
        doc["delay"] = 60
    return doc


async def make_due(hands: Hands) -> None:
    """Let all that is due later be due, and promote it."""
    await hands.sql("update @.job set run_at = now() where run_at < 'infinity' and run_at > now()")
    await hands.run("promote_jobs", 100, await hands.value("select now() - '1h'::interval"))


@pytest.mark.parametrize("ordered", [False, True], ids=["plain", "ordered"])
@pytest.mark.parametrize("seed", range(8))
async def test_any_order_of_calls_keeps_the_limits_and_loses_no_job(
    hands: Hands, seed: int, ordered: bool
) -> None:
    chance = random.Random(seed)
    await flow(hands, concurrency=3, key_concurrency=2, ordered=ordered)
    running: set[int] = set()
    for _ in range(60):
        match chance.choice(("enqueue", "enqueue", "admit", "claim", "end", "due")):
            case "enqueue":
                count = chance.choice((1, 1, 5))
                await hands.enqueue_unique(*[document(chance) for _ in range(count)])
            case "admit":
                await admit(hands)
            case "claim":
                running |= {row["id"] for row in await hands.claim(limit=chance.choice((1, 10)))}
            case "end":
                over = [one for one in sorted(running) if chance.random() < 0.7]
                await end(hands, over)
                running -= set(over)
            case _:
                await make_due(hands)
        (limits,) = await hands.sql(LIMITS)
        assert limits["in_all"] <= 3
        assert limits["most"] <= (1 if ordered else 2)
        assert await healed(hands) == 0
    for _ in range(200):
        await make_due(hands)
        await admit(hands)
        running |= {row["id"] for row in await hands.claim()}
        await end(hands, sorted(running))
        running.clear()
        if not await hands.count("job"):
            break
    assert await hands.count("job") == 0
