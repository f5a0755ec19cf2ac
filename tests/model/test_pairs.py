"""Every order of the steps of every two transactions comes to what the model permits."""

from __future__ import annotations

import itertools

import pytest
from tests.model.arena import Arena
from tests.model.ops import NAMES
from tests.model.play import LEVELS, Wrong, merges, play, steps

PAIRS = list(itertools.combinations_with_replacement(NAMES, 2))


def orders(first: str, second: str, level: str) -> list[str]:
    """Every merge of their steps: begin, statements, commit.

    Of two of a kind, those that begin with A: the others are the same. At read committed a begin
    sees nothing of the tables yet, so it is one with the first statement.
    """
    begun = level == LEVELS[0]
    found = merges(steps(first) - begun, steps(second) - begun)
    kept = (order for order in found if first != second or order[0] == "A")
    return [order.replace("A", "AA", begun).replace("B", "BB", begun) for order in kept]


# What goes wrong at the middle level goes wrong at the highest, which has more errors to raise.
SHOWN = [LEVELS[0], pytest.param(LEVELS[1], marks=pytest.mark.long), LEVELS[2]]


@pytest.mark.parametrize("level", SHOWN, ids=lambda level: level.replace(" ", "-"))
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_pair(arena: Arena, pair: tuple[str, str], level: str) -> None:
    check_pair(arena, pair, level)


def check_pair(arena: Arena, pair: tuple[str, str], level: str) -> None:
    wrong: list[str] = []
    for order in orders(*pair, level):
        try:
            arena.runner.run(play(arena, pair, order, level))
        except Wrong as exc:
            wrong.append(f"{' and '.join(pair)} as {order}, {level}: {exc}")
    assert not wrong, f"{len(wrong)} orders\n" + "\n".join(wrong[:3])
