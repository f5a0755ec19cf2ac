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

# Several wait at a time; those that are alike stand together, so that each part takes as long.
PARTS = 8


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


@pytest.mark.parametrize("number", range(PARTS // 2))
async def test_F1_F14_F15_F30_each_place(pg: Server, number: int) -> None:
    await check(pg, part(sample(), number, PARTS // 2))


@pytest.mark.long
@pytest.mark.parametrize("number", range(PARTS))
async def test_F1_F14_F15_F30_each_place_with_each_action(pg: Server, number: int) -> None:
    await check(pg, part(rest(), number, PARTS))


def test_the_parts_are_the_whole() -> None:
    together = [case for n in range(PARTS // 2) for case in part(sample(), n, PARTS // 2)]
    assert {case.point for case in together} == {case.point for case in cases()}
    assert {case.action for case in together} == {case.action for case in cases()}
    together += [case for n in range(PARTS) for case in part(rest(), n, PARTS)]
    assert sorted(together, key=str) == sorted(cases(), key=str)
