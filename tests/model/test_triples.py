"""Three transactions in sampled orders; and whatever they leave, every job comes to its end."""

from __future__ import annotations

import itertools
import random

import pytest
from tests.model.arena import TOKEN, WORKER, Arena
from tests.model.ops import EVER, NAMES
from tests.model.play import LEVELS, Player, play, steps

SAMPLED = 200
ORDERS = 6
TRIPLES = random.Random(26).sample(list(itertools.combinations_with_replacement(NAMES, 3)), SAMPLED)


def sampled(triple: tuple[str, ...]) -> list[tuple[str, str]]:
    """Orders and levels, for this triple always the same."""
    chance = random.Random("-".join(triple))
    found: list[tuple[str, str]] = []
    for n in range(ORDERS):
        order = [me for me, op in zip("ABC", triple, strict=True) for _ in range(steps(op))]
        chance.shuffle(order)
        found.append(("".join(order), LEVELS[n % len(LEVELS)]))
    return found


async def settle(arena: Arena, players: list[Player]) -> None:
    """Workers write what they hold; the lost one is rescued; what is left runs to its end."""
    hands = arena.admin
    before = {row["id"] for row in await hands.sql("select id from @.jobs")}
    for player in players:
        rows = await hands.sql("select id from @.job where worker_id = $1", player.hands.id)
        ids = [row["id"] for row in rows]
        assert await hands.finish(*ids, token=player.hands.token) == sorted(ids)
    orphans = {row[0] for row in await hands.run("find_orphans")}
    assert orphans <= {WORKER}
    for worker in orphans | {WORKER}:
        await hands.rescue(worker)
    await hands.sql("update @.job set run_at = now() where position is null")
    await hands.run("promote_jobs", 100, EVER)
    queues = [row[0] for row in await hands.sql("select distinct queue from @.job order by 1")]
    ids = [row["id"] for row in await hands.claim(*queues)]
    assert await hands.finish(*ids) == sorted(ids)
    rows = await hands.sql("select id, state from @.jobs")
    assert {row["state"] for row in rows} <= {"completed", "cancelled", "dead"}
    assert sorted(row["id"] for row in rows) == sorted(before)
    assert not await hands.finish(*before, token=TOKEN)


@pytest.mark.parametrize("triple", TRIPLES, ids="-".join)
def test_triple(arena: Arena, triple: tuple[str, str, str]) -> None:
    wrong: list[str] = []
    for order, level in sampled(triple):
        try:
            players = arena.runner.run(play(arena, triple, order, level))
            arena.runner.run(settle(arena, players))
        except AssertionError as exc:
            wrong.append(f"{', '.join(triple)} as {order}, {level}: {exc}")
    assert not wrong, f"{len(wrong)} orders\n" + "\n".join(wrong[:3])
