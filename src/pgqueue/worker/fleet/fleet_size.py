"""How often a worker looks for what any of them would find: the more they are, the less.

| what                  | of so many workers | part of its heartbeats |
|-----------------------|--------------------|--------------------|
| look for lost workers | n, of all kinds    | 4 / n              |
| count                 | < 50, of its kind  | each               |
| count                 | more               | an eighth          |

A worker at rest asks what it holds every ten seconds. Where there are more than twenty of its kind,
all of them together ask twice a second, and each of them once a minute at least.

A look counts as well. A count is cheap, and tells how many there are of all kinds: where a fleet
shrinks, those that are left soon look as often as they should.
"""

from __future__ import annotations

__all__ = ["due_within", "held_every", "passed_every", "share_of_counts", "share_of_looks"]

_FEW = 50
_COUNTS = 0.125
_FLEET_SEEKS_EVERY = 0.1
_FLEET_ASKS_EVERY, _ASKS_LATEST = 0.5, 60.0


def share_of_looks(workers: int, spacing: float = 1.0, lookers: float = 4) -> float:
    """Return in what part of its heartbeats each of so many looks: ``lookers`` at each heartbeat.

    ``spacing``: how many times as long as usual it is from one of its heartbeats to the next.
    """
    return min(lookers * spacing / max(workers, 1), 1.0)


def share_of_counts(alike: int) -> float:
    """Return in what part of its heartbeats a worker counts, beside so many of its kind."""
    return 1.0 if alike < _FEW else _COUNTS


def passed_every(interval: float, alike: int, *, listen: bool) -> float:
    """Return the seconds between two looks of a worker for jobs that its cursors passed.

    ``interval``: as set. Where workers listen, one that has nothing to run hardly looks. Behind a
    pooler each does, and so all of a kind together look ten times a second at most.
    """
    return interval if listen else max(interval, _FLEET_SEEKS_EVERY * alike)


def held_every(interval: float, alike: int) -> float:
    """Return the seconds from one look of a worker at rest for what it holds to the next.

    ``interval``: where there are few of its kind. Only a row that was changed by hand can be found
    there, and each look walks over jobs that others ran.
    """
    return max(interval, min(_FLEET_ASKS_EVERY * alike, _ASKS_LATEST))


def due_within(every: float, *, at_rest: bool) -> float:
    """Return within how many seconds a job must be due for this worker to make it ready.

    ``every``: seconds between its heartbeats. The watch makes ready what will be due. Workers at
    rest make ready what is due already, and the watch did not.
    """
    return 0.0 if at_rest else 2 * every
