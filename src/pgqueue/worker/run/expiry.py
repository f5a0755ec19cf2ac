"""Whether a job that was claimed in time has waited here for so long that it would begin too late.

The claim says how many seconds a job has left, by the database's clock. How long it has waited is
known by the claim that brought it. A job that is too late is released, and the next claim, which
reads that clock, says that it has expired.
"""

from __future__ import annotations

__all__ = ["Expiry", "seconds_left"]

_KEPT = 1000
_LEFT = "in "


def seconds_left(refused: str) -> float | None:
    """Read what claim_jobs says of a job that expires later; None if it says something else."""
    return float(refused.removeprefix(_LEFT)) if refused.startswith(_LEFT) else None


class Expiry:
    """When the newest claims were answered."""

    def __init__(self) -> None:
        self._claimed: dict[int, float] = {}

    def claimed(self, token: int, now: float) -> None:
        """Note that a claim was answered."""
        self._claimed[token] = now
        if len(self._claimed) > _KEPT:
            del self._claimed[next(iter(self._claimed))]

    def is_over(self, left: float, token: int, now: float) -> bool:
        """True if a job of this claim had ``left`` seconds, and they are over.

        What an old claim brought counts as too late: it will be claimed once more.
        """
        claimed = self._claimed.get(token)
        return claimed is None or now - claimed >= left
