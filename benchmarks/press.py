"""Clients in several processes that enqueue as fast as they can, each on its own connection."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Run
from benchmarks.systems.base import call

__all__ = ["Pressed", "press", "room_for"]

_START_SECONDS = 2.5
_FASTEST = 20_000  # jobs a second that no process exceeds


@dataclass(frozen=True, slots=True)
class Pressed:
    """``before``: jobs that each client sent before it was timed. ``each``: by variant."""

    sent: int
    seconds: float
    before: int
    each: Counter[str]

    @property
    def rate(self) -> float:
        return self.sent / self.seconds


def room_for(processes: int, seconds: float) -> int:
    """How many numbers of jobs such a press may use."""
    return processes * int(_FASTEST * seconds)


def press(
    run: Run, processes: int, clients: int, first: int, seconds: float, *variants: str
) -> Pressed:
    """Let so many clients in each process press; their jobs are numbered from ``first``."""
    start = time.monotonic() + _START_SECONDS

    def one(number: int) -> dict[str, Any]:
        return call(
            run.system,
            run.database.dsn,
            "clients",
            clients,
            seconds,
            first + room_for(number, seconds),
            *variants,
            BENCH_START=start,
        )

    with ThreadPoolExecutor(processes) as pool:
        answers = list(pool.map(one, range(processes)))
    each: Counter[str] = Counter()
    for answer in answers:
        each.update(answer.get("each", {}))
    return Pressed(
        sum(answer["sent"] for answer in answers),
        max(answer["seconds"] for answer in answers),
        sum(answer["before"] for answer in answers),
        each,
    )
