"""Second rounds: an enqueue finds a key taken, waits for a later key, and the first key's job ends.

Then it wants a key that is lower than those it holds. A rival that has that key meanwhile waits for
one of the higher ones. Both must come through, whoever ended the job and whoever the rival is.
"""

from __future__ import annotations

import itertools

import pytest
from tests.model.arena import Arena
from tests.model.play import LEVELS, play, steps

# Who ends the job of a key, with two of its jobs (their keys in order), and who can take them then.
ENDS = {
    "complete": (("c-asked", "d-running", "g-crashing"), ("enqueue",)),
    "bury": (("d-running", "g-crashing"), ("enqueue", "redrive")),
    "cancel": (("f-pending", "h-later"), ("enqueue", "revive")),
}
CASES = [
    (end, *pair, rival)
    for end, (units, rivals) in ENDS.items()
    for pair in itertools.combinations(units, 2)
    for rival in rivals
]
GATE = "i-completed"
FEW, MANY = 1, 8  # jobs of an enqueue: few and many are enqueued in two ways


def whole(me: str, op: str) -> str:
    return me * steps(op)


def cases() -> list[tuple[str, tuple[str, ...], str, dict[str, tuple[str, ...]]]]:
    """Name, transactions, order, and what each names.

    A ends the job of the higher key. B holds the gate. C finds the lower key taken, takes the
    higher one, and waits at the gate. D ends the job of the lower key. E takes that key and waits
    for the higher one. Then B commits, which lets C through.
    """
    found: list[tuple[str, tuple[str, ...], str, dict[str, tuple[str, ...]]]] = []
    for end, low, high, rival in CASES:
        both = (low, high)
        ops = (end, "enqueue", "enqueue", end, rival)
        only = {"A": (high,), "B": (GATE,), "C": (*both, GATE), "D": (low,), "E": both}
        order = whole("A", end) + "BBCC" + whole("D", end) + "EEB" + "CE"
        found.append((f"{end} {low} {high}, {rival}", ops, order, only))
        if rival == "enqueue":
            # The rival comes to a second round as well.
            only = {**only, "E": (*both, GATE)}
            found.append((f"{end} {low} {high}, two rounds", ops, order, only))
    return found


CASE = {name: rest for name, *rest in cases()}


@pytest.mark.parametrize("size", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.replace(" ", "-"))
@pytest.mark.parametrize("name", CASE)
def test_second_round(arena: Arena, name: str, level: str, size: int) -> None:
    ops, order, only = CASE[name]
    arena.runner.run(play(arena, ops, order, level, only, size))
