"""Who hears of a job at once, and how often the others look for themselves.

A notification wakes all that listen, and each of them claims. So of workers that are alike (they
serve the same queues and know the same tasks) three are on watch and hear each one. Some more hear
calls: a watcher sends one when there is more than it can take. The rest hear nothing.

| workers of its kind with a free slot and a lower id | hears   | looks by itself    |
|-----------------------------------------------------|---------|--------------------|
| fewer than 3: it is on watch                        | jobs    | each poll_interval |
| so few that calls reach 1,000 slots                 | calls   | by turns           |
| more, or it has no free slot, or it stops           | nothing | by turns           |

By turns: the more workers there are, the less often each looks, so that the fleet looks four times
a second. Each pulse tells a worker its seat; ids are random, so the choice is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["AWAY", "WATCH", "Seat", "kind_of", "poll_after", "seat_of", "seats"]

WATCH = 3
_CALLED_LEAST = 12
_CALLED_SLOTS = 1_000
_STAGGER = 0.01
_FLEET_EVERY = 0.25
_FLEET_SHORTEST = 0.05


@dataclass(frozen=True, slots=True)
class Seat:
    """``rank`` on the watch, 0 for who looks first; None beside it. ``workers`` of this kind."""

    rank: int | None
    called: bool = False
    workers: int = 1

    @property
    def channels(self) -> frozenset[str]:
        """What to listen to: the suffixes of the schema's channel."""
        if self.rank is not None:
            return frozenset({""})
        return frozenset({"_call"}) if self.called else frozenset()

    @property
    def delay(self) -> float:
        """Seconds from a notification to the look: watchers that look together are in each
        other's way, and the first finds what there is."""
        return (self.rank or 0) * _STAGGER


AWAY = Seat(None)


def seats(concurrency: int) -> int:
    """Return how many workers of a kind hear anything."""
    return WATCH + max(_CALLED_LEAST, -(-_CALLED_SLOTS // concurrency))


def seat_of(before: int | None, workers: int, concurrency: int) -> Seat:
    """Return the seat behind ``before`` others; None: this one can take no job now."""
    if before is None:
        return Seat(None, called=False, workers=workers)
    if before < WATCH:
        return Seat(before, workers=workers)
    return Seat(None, called=before < seats(concurrency), workers=workers)


def poll_after(interval: float, seat: Seat, *, listen: bool) -> float:
    """Return the seconds until this worker looks by itself again."""
    if not listen:
        return max(interval, _FLEET_SHORTEST * seat.workers)
    if seat.rank is not None or seat.workers <= WATCH:
        return interval
    return seat.workers * max(_FLEET_SHORTEST, min(_FLEET_EVERY, interval))


def kind_of(queues: Iterable[str], tasks: Iterable[str], *, listen: bool) -> int:
    """Return what workers have in common that can stand in for each other, as a bigint."""
    text = "\0".join([str(listen), *sorted(queues), "", *sorted(tasks)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
