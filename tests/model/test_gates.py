"""No two transactions lock in orders that cross: neither deadlocks while a third lets both wait.

The third holds one row or one unique key. Both others lock what comes before it, wait, and are let
through at once.
"""

from __future__ import annotations

import itertools

import pytest
from tests.model.arena import UNITS, Arena
from tests.model.ops import NAMES
from tests.model.play import LEVELS, Wrong, play, steps

FEW = ("a-cancelled", "e-none", "i-completed")  # so few keys are enqueued one by one
PAIRS = list(itertools.combinations_with_replacement(NAMES, 2))
# What holds a unit: a live job's row, a dead letter's, a cancelled job's; or the key of a new job.
LIVE = [
    unit for unit, job in UNITS.items() if job and job.state in ("pending", "scheduled", "running")
]
GATES = [
    *(("cancel", unit) for unit in LIVE),
    *(("enqueue", unit) for unit in ("a-cancelled", "b-dead", "e-none", "i-completed")),
    ("redrive", "b-dead"),
    ("revive", "a-cancelled"),
]


def gate(first: str, second: str) -> str:
    """A locks, B and C come up to it, A lets them through."""
    return "AA" + "B" * (steps(first) - 1) + "C" * (steps(second) - 1) + "ABC"


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gate(arena: Arena, pair: tuple[str, str]) -> None:
    wrong: list[str] = []
    for holder, unit in GATES:
        try:
            arena.runner.run(play(arena, (holder, *pair), gate(*pair), LEVELS[0], {"A": (unit,)}))
        except Wrong as exc:
            wrong.append(f"{' and '.join(pair)} behind {holder} of {unit}: {exc}")
    assert not wrong, f"{len(wrong)} gates\n" + "\n".join(wrong[:3])


def test_gate_of_few_keys(arena: Arena) -> None:
    check_few_keys(arena)


def check_few_keys(arena: Arena) -> None:
    order = gate("enqueue", "enqueue")
    only = {"A": (FEW[1],), "B": FEW, "C": FEW}
    arena.runner.run(play(arena, ("enqueue",) * 3, order, LEVELS[0], only))
