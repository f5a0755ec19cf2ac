"""The kill matrix: each place of the library, with each action, once (F1, F14, F15, F30)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from chaos.matrix.cases import Case, cases
from chaos.matrix.report import table
from chaos.matrix.run import matrix
from tests.harness.servers import Server

# Several wait at a time; those that are alike stand together, so that each part takes as long.
PARTS = 12


def part(number: int) -> Sequence[Case]:
    return cases()[number::PARTS]


@pytest.mark.parametrize("number", range(PARTS))
async def test_F1_F14_F15_F30_each_place_with_each_action(pg: Server, number: int) -> None:
    rows = await asyncio.to_thread(matrix, pg, part(number), at_once=6)
    assert all(row.ok for row in rows), table(rows)


def test_the_parts_are_the_whole() -> None:
    together = [case for number in range(PARTS) for case in part(number)]
    assert sorted(together, key=str) == sorted(cases(), key=str)
