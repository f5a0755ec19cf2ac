"""The jobs that producers enqueue, each with a key of its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from chaos import tasks
from chaos.kinds import GHOST
from pgqueue.job import NewJob

__all__ = ["Maker", "Order"]

_UNIQUE_KEYS = 40


@dataclass(frozen=True, slots=True)
class Order:
    """A job to be enqueued, and what the history is to say of it."""

    key: int
    kind: str
    job: NewJob
    unique: str | None = None
    delay: float | None = None


class Maker:
    """Makes jobs of each kind; their keys count up from ``first``."""

    def __init__(self, rng: random.Random, first: int, *, nap: float) -> None:
        self._rng = rng
        self._nap = nap
        self._next = first
        self._makers: dict[str, Callable[[int], Order]] = {
            "later": self._later,
            "once": self._once,
            "doomed": self._doomed,
            "crowd": self._crowd,
            "ledger": self._ledger,
            "narrow": self._narrow,
            "paced": lambda k: Order(k, "paced", tasks.paced.job(k)),
            GHOST: lambda k: Order(k, GHOST, tasks.app.job(GHOST, {"k": k}, queue="main")),
        }

    def make(self, kind: str) -> Order:
        self._next += 1
        maker = self._makers.get(kind)
        return (
            maker(self._next) if maker else Order(self._next, kind, self._plain(kind, self._next))
        )

    def _plain(self, kind: str, k: int) -> NewJob:
        rng = self._rng
        match kind:
            case "noop":
                return tasks.noop.job(k)
            case "effect":
                return tasks.effect.job(k, rng.uniform(0.0, 0.1) if rng.random() < 0.3 else 0.0)
            case "nap":
                return tasks.nap.job(k, rng.uniform(0.0, self._nap))
            case "flaky":
                return tasks.flaky.job(k, rng.choice((1, 1, 2)))
            case "thread":
                return tasks.thread.job(k, rng.uniform(0.0, 0.1))
            case "snooze":
                return tasks.snooze.job(k)
            case "poison":
                return tasks.poison.job(k, rng.randrange(6))
            case "odd":
                return tasks.odd.job(k, rng.randrange(5))
            case "block":
                return tasks.block.job(k, rng.uniform(0.2, 4.5))
            case "exit":
                return tasks.leave.job(k)
            case _:
                return tasks.ordered.job(k)

    def _later(self, k: int) -> Order:
        delay = self._rng.uniform(0.2, 6.0)
        return Order(k, "later", tasks.later.using(delay=delay).job(k), delay=delay)

    def _once(self, k: int) -> Order:
        unique = f"u{self._rng.randrange(_UNIQUE_KEYS)}"
        return Order(k, "once", tasks.once.using(unique_key=unique).job(k, unique), unique=unique)

    def _crowd(self, k: int) -> Order:
        rng = self._rng
        group, fails = f"g{rng.randrange(10)}", rng.random() < 0.1
        return Order(k, "crowd", tasks.crowd.job(k, group, rng.uniform(0.0, 0.05), fails))

    def _ledger(self, k: int) -> Order:
        group, fails = f"g{self._rng.randrange(8)}", self._rng.random() < 0.05
        return Order(k, "ledger", tasks.ledger.job(k, group, fails))

    def _narrow(self, k: int) -> Order:
        return Order(k, "narrow", tasks.narrow.job(k, self._rng.uniform(0.0, 0.4)))

    def _doomed(self, k: int) -> Order:
        if self._rng.random() < 0.5:
            return Order(k, "doomed", tasks.doomed.using(delay=120.0).job(k, 0.0), delay=120.0)
        return Order(k, "doomed", tasks.doomed.job(k, 30.0))
