"""The kill matrix: each place of the library, with each action, once (F1, F14, F15, F30)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from chaos.matrix.cases import Case, cases
from chaos.matrix.report import table
from chaos.matrix.run import matrix
from tests.harness.servers import Server

# Six are played at a time; those that are alike stand together, so that each part takes as long.
# At the end of a part the last ones are alone: the fewer parts, the less is waited for.
PARTS = 8
SHOWN = 2


def sample() -> list[Case]:
    """Each place once, with each action in turn."""
    found: list[Case] = []
    for number, (_, same) in enumerate(itertools.groupby(cases(), lambda case: case.point)):
        actions = list(same)
        found.append(actions[number % len(actions)])
    return found


def rest() -> list[Case]:
    return [case for case in cases() if case not in sample()]


def part(whole: Sequence[Case], number: int, parts: int) -> Sequence[Case]:
    return whole[number::parts]


async def check(pg: Server, some: Sequence[Case]) -> None:
    rows = await asyncio.to_thread(matrix, pg, some, at_once=6)
    assert all(row.ok for row in rows), table(rows)


@pytest.mark.fault("F1", "F14", "F15", "F30")
@pytest.mark.parametrize("number", range(SHOWN))
async def test_each_place(pg: Server, number: int) -> None:
    await check(pg, part(sample(), number, SHOWN))


@pytest.mark.past_bug(84)
async def test_a_kill_within_a_fire_leaves_the_slot_or_its_job(pg: Server) -> None:
    await check(pg, cases(["fire_slots.before", "fire_slots.after"])[::3])


@pytest.mark.fault("F1", "F14", "F15", "F30")
@pytest.mark.long
@pytest.mark.parametrize("number", range(PARTS))
async def test_each_place_with_each_action(pg: Server, number: int) -> None:
    await check(pg, part(rest(), number, PARTS))


def test_the_parts_are_the_whole() -> None:
    together = [case for n in range(SHOWN) for case in part(sample(), n, SHOWN)]
    assert {case.point for case in together} == {case.point for case in cases()}
    assert {case.action for case in together} == {case.action for case in cases()}
    together += [case for n in range(PARTS) for case in part(rest(), n, PARTS)]
    assert sorted(together, key=str) == sorted(cases(), key=str)
