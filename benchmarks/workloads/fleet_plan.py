"""The fleets of the workload `fleet`, and what their samples say: no process is needed for this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.rows import percentile
from benchmarks.watch import Stamp

__all__ = [
    "Crew",
    "begun_within",
    "compared",
    "crews_of",
    "drain_rate",
    "grouping",
    "last_waits",
    "recovery",
    "slots_of",
]

_BASE = 4  # workers of the fleet that larger ones are compared with
_POOLED = "-pooled"
_STEADY = 3  # seconds in a row that must be quick before a fleet counts as recovered


@dataclass(frozen=True, slots=True)
class Crew:
    """So many worker processes, connected to the server or to PgBouncer.

    ``slots``: jobs that each runs at once; None leaves it to the system's settings.
    """

    size: int
    pooled: bool = False
    slots: int | None = None

    def __str__(self) -> str:
        text = "1 worker" if self.size == 1 else f"{self.size} workers"
        if self.slots is not None:
            text += " of 1 slot" if self.slots == 1 else f" of {self.slots} slots"
        return f"{text}, PgBouncer" if self.pooled else text

    @property
    def base(self) -> Crew:
        """The fleet that this one is compared with: alike, of four workers."""
        return replace(self, size=_BASE)

    @property
    def usual(self) -> Crew:
        """The same fleet with the slots of the system's settings."""
        return replace(self, slots=None)


def crews_of(sizes: str, slots: Sequence[int] = ()) -> list[Crew]:
    """Read "4,30,30-pooled"; raises ValueError for what is no number of workers."""
    crews: list[Crew] = []
    for word in sizes.split(","):
        number = word.strip().removesuffix(_POOLED)
        if not number.isdecimal() or not 1 <= int(number) <= 1000:
            raise ValueError(f'"{word}" is no size of a fleet; write 30, or 30{_POOLED}')
        crews.append(Crew(int(number), word.strip().endswith(_POOLED)))
    return [replace(crew, slots=one) for one in slots or (None,) for crew in crews]


def slots_of(text: str) -> tuple[int, ...]:
    """Read "1,4"; raises ValueError for what is no number of slots."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not word.isdecimal() or not 1 <= int(word) <= 10_000:
            raise ValueError(f'"{word}" is no number of slots; write 1, or 1,4')
    return tuple(map(int, words))


def compared(crews: Sequence[Crew]) -> list[Crew]:
    """The fleets of more than four workers whose like of four is there, and those of four.

    None is behind PgBouncer: nobody is woken there.
    """
    larger = [crew for crew in crews if crew.size > _BASE and not crew.pooled]
    larger = [crew for crew in larger if crew.base in crews]
    return [crew for crew in crews if crew in larger or crew in {one.base for one in larger}]


def grouping(workers: int, most: int = 10) -> tuple[int, int]:
    """How many supervisors, with how many processes each, make so many workers."""
    each = next(n for n in range(min(workers, most), 0, -1) if workers % n == 0)
    return workers // each, each


def begun_within(stamps: Sequence[Stamp], seconds: float) -> int:
    """How many jobs began within so many seconds of the first one's enqueueing."""
    if not stamps:
        return 0
    end = stamps[0].enqueued_ms + 1e3 * seconds
    return sum(stamp.enqueued_ms + stamp.wait_ms <= end for stamp in stamps)


def drain_rate(stamps: Sequence[Stamp]) -> float:
    """Jobs a second, from the first that began to the last."""
    begun = [stamp.enqueued_ms + stamp.wait_ms for stamp in stamps]
    return 1e3 * len(begun) / max(1.0, max(begun) - min(begun))


def last_waits(stamps: Sequence[Stamp]) -> list[float]:
    """For each burst, whose jobs were enqueued at one moment: until the last one began, in ms."""
    waits: dict[int, float] = {}
    for stamp in stamps:
        waits[stamp.enqueued_ms] = max(stamp.wait_ms, waits.get(stamp.enqueued_ms, 0.0))
    return list(waits.values())


def recovery(stamps: Sequence[Stamp], up_ms: float, limit_ms: float) -> float | None:
    """Seconds after ``up_ms`` from which on the p99 of new jobs, second by second, is in the limit.

    None if it never was for three seconds in a row.
    """
    seconds: dict[int, list[float]] = {}
    for stamp in stamps:
        if stamp.enqueued_ms >= up_ms:
            number = int((stamp.enqueued_ms - up_ms) // 1000)
            seconds.setdefault(number, []).append(stamp.wait_ms)
    row = 0
    for number in range(max(seconds, default=-1) + 1):
        waits = seconds.get(number)
        row = row + 1 if waits and percentile(waits, 0.99) <= limit_ms else 0
        if row == _STEADY:
            return float(number + 1 - _STEADY)
    return None
