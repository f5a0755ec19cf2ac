"""How often one worker looks for lost ones, and counts the others: the more they are, the less.

| what                  | of so many workers | part of its pulses |
|-----------------------|--------------------|--------------------|
| look for lost workers | n, of all kinds    | 4 / n              |
| count                 | < 50, of its kind  | each               |
| count                 | more               | an eighth          |

A look counts as well. A count is cheap, and tells how many there are of all kinds: where a fleet
shrinks, those that are left soon look as often as they should.
"""

from __future__ import annotations

__all__ = ["share_of_counts", "share_of_looks"]

_LOOKS = 4
_FEW = 50
_COUNTS = 0.125


def share_of_looks(workers: int, spacing: float = 1.0) -> float:
    """Return in what part of its pulses each of so many looks: a few of them at each heartbeat.

    ``spacing``: how many times as long as usual it is from one of its pulses to the next.
    """
    return min(_LOOKS * spacing / max(workers, 1), 1.0)


def share_of_counts(alike: int) -> float:
    """Return in what part of its pulses a worker counts, beside so many of its kind."""
    return 1.0 if alike < _FEW else _COUNTS
