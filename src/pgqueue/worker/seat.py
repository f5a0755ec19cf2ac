"""Who hears of a job at once, and how often the others look for themselves.

A notification wakes all that listen, and each of them claims. So of workers that are alike (they
serve the same queues and know the same tasks) three are on watch and hear each one. Some more hear
calls: a watcher sends one when there is more than it can take. The rest hear nothing.

| workers of its kind before it          | hears   | looks by itself    |
|----------------------------------------|---------|--------------------|
| fewer than 3: it is on watch           | jobs    | each poll_interval |
| 12 to 100 more, with 1,000 slots       | calls   | by turns           |
| more, or it can take no job            | nothing | by turns           |

Before a worker come those that can take a job and run fewer (of 0, 1, 4, 16, 64 and more), and of
equals those with a lower id; ids are random. Each heartbeat tells. By turns: the more workers there
are, the less often each looks, so that the fleet looks four times a second.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["AWAY", "LOADS", "WATCH", "Seat", "kind_of", "load_of", "poll_after", "seat_of", "seats"]

WATCH = 3
_CALLED_LEAST, _CALLED_MOST = 12, 100
_CALLED_SLOTS = 1_000
_STAGGER = 0.003
LOADS = (1, 4, 16, 64)  # as in renew_lease.sql
_FLEET_EVERY = 0.25
_FLEET_SHORTEST = 0.05
assert _FLEET_SHORTEST < _FLEET_EVERY


@dataclass(frozen=True, slots=True)
class Seat:
    """``place`` behind others of the kind; None if it can take no job. ``workers`` of this kind.

    ``hearers``: how many places hear anything.
    """

    place: int | None
    workers: int = 1
    hearers: int = 0

    @property
    def rank(self) -> int | None:
        """The place on the watch, 0 for who looks first; None beside it."""
        return self.place if self.place is not None and self.place < WATCH else None

    @property
    def channels(self) -> frozenset[str]:
        """What to listen to: the suffixes of the schema's channel."""
        if self.place is None or self.place >= self.hearers:
            return frozenset()
        return frozenset({"" if self.place < WATCH else "_call"})

    @property
    def delay(self) -> float:
        """Seconds from a notification to the look: watchers that look together are in each
        other's way, and the first finds what there is."""
        return (self.rank or 0) * _STAGGER


AWAY = Seat(None)


def seats(concurrency: int) -> int:
    """Return how many workers of a kind hear anything."""
    return WATCH + min(_CALLED_MOST, max(_CALLED_LEAST, -(-_CALLED_SLOTS // concurrency)))


def seat_of(before: int, workers: int, concurrency: int, *, takes_jobs: bool) -> Seat:
    """Return the seat behind ``before`` others. Of three workers each hears each job, always."""
    reach = seats(concurrency)
    if workers <= WATCH:
        return Seat(min(before, WATCH - 1), workers, reach)
    return Seat(before if takes_jobs else None, workers, reach)


def load_of(running: int) -> int:
    """Return how much a worker has to do, for comparison: 0 to 4."""
    return bisect(LOADS, running)


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
