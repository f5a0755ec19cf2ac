"""What jobs there are, and how many of each."""

from __future__ import annotations

import random
from collections.abc import Mapping

__all__ = ["AT_ONCE", "GHOST", "QUEUES", "RARE", "SHARES", "STEADY", "Draw"]

QUEUES = ("main", "side", "narrow", "paced")
"""The last two have limits: how many of their jobs run at once, and how many begin a second."""

GHOST = "ghost"
"""A task that no worker knows."""

SHARES: Mapping[str, float] = {
    "noop": 62.0,
    "effect": 15.0,
    "nap": 8.0,
    "flaky": 5.0,
    "once": 4.0,
    "later": 4.0,
    "thread": 1.0,
    "snooze": 1.0,
    "poison": 1.0,
    "crowd": 6.0,
    "ledger": 2.0,
    "odd": 0.2,
}
"""Out of a hundred or so. Those of ``RARE`` come on top."""

RARE: Mapping[str, float] = {
    "narrow": 40.0,
    "paced": 40.0,
    "doomed": 60.0,
    "block": 5.0,
    "exit": 2.0,
    GHOST: 6.0,
}
"""So many a minute: a share of the stream would leave nothing else running. A ``block`` stops all
that its process runs for up to 4.5 seconds, an ``exit`` ends its process up to three times."""

AT_ONCE: Mapping[str, int] = {"narrow": 8, "paced": 16}
"""How many of a rare kind come at a time: more than the limits of their queues let begin."""

STEADY: Mapping[str, float] = {**RARE, "exit": 0.0}
"""The same without faults of the workload's own making: for a run that has none."""


class Draw:
    """Draws the kinds of the next jobs."""

    def __init__(self, rng: random.Random, shares: Mapping[str, float], rare: Mapping[str, float]):
        self._rng = rng
        self._names = list(shares)
        self._weights = list(shares.values())
        self._rare = {name: 60.0 / a_minute for name, a_minute in rare.items() if a_minute}
        self._due: dict[str, float] = {}

    def common(self, count: int) -> list[str]:
        """So many kinds by their shares."""
        return self._rng.choices(self._names, self._weights, k=count)

    def rare(self, now: float) -> list[str]:
        """The rare kinds that are due at ``now``, each a random while after the one before."""
        due: list[str] = []
        for name, every in self._rare.items():
            at = self._due.setdefault(name, now + every * self._rng.uniform(0.3, 1.3))
            if at <= now:
                due += [name] * AT_ONCE.get(name, 1)
                self._due[name] = now + every * self._rng.uniform(0.5, 1.5)
        return due
