"""What strikes when: drawn from one seed, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

__all__ = ["Step", "draw", "lines"]

_PERIOD = 10.0
_EVERY = 1.3
_QUIET_PERIOD = 20.0
_CALM_AFTER = 13.0
_QUIET = 0.143  # of the periods, which are longer: a quarter of the time
_TOGETHER = 0.15
_MOST_KINDS = 4


class Step(msgspec.Struct, frozen=True):
    """``at`` seconds after the start, these faults strike together; with none, producers hold back
    for a while, so that the queue is empty and each enqueue has to wake a worker."""

    at: float
    faults: tuple[str, ...] = ()


def draw(seed: int, seconds: float, names: Sequence[str]) -> list[Step]:
    """Return the plan of that seed.

    A quarter of the time is quiet, in periods of twenty seconds that end in calm. In the others
    there is an action every 1.3 s or so, of a few kinds in turn: some periods have one kind
    of fault only, in some several meet. The last ten seconds are left to heal.
    """
    rng = random.Random(seed)
    deck = _Deck(rng, names)
    plan: list[Step] = []
    begin = 3.0
    while begin < seconds - _PERIOD:
        if not names or rng.random() < _QUIET:
            plan.append(Step(round(begin + _CALM_AFTER, 2)))
            begin += _QUIET_PERIOD
            continue
        kinds = deck.deal(min(len(names), rng.randint(1, _MOST_KINDS)))
        at = begin + rng.uniform(0.0, _EVERY)
        turn = 0
        while at < begin + _PERIOD:
            many = 2 if len(kinds) > 1 and rng.random() < _TOGETHER else 1
            strikes = [kinds[(turn + n) % len(kinds)] for n in range(many)]
            plan.append(Step(round(at, 2), tuple(strikes)))
            turn += many
            at += rng.uniform(0.6, 1.4) * _EVERY
        begin += _PERIOD
    return plan


class _Deck:
    """Deals kinds, each as often as any other: shuffled anew when all were dealt."""

    def __init__(self, rng: random.Random, names: Sequence[str]) -> None:
        self._rng = rng
        self._names = sorted(names)
        self._left: list[str] = []

    def deal(self, count: int) -> list[str]:
        """So many kinds, no two alike."""
        dealt: list[str] = []
        while len(dealt) < count:
            if not self._left:
                self._left = self._rng.sample(self._names, len(self._names))
            card = self._left.pop()
            if card not in dealt:
                dealt.append(card)
        return dealt


def lines(plan: Sequence[Step]) -> str:
    """Return the plan as text, a step a line."""
    return "".join(f"{step.at:9.2f}  {' + '.join(step.faults) or '(calm)'}\n" for step in plan)
