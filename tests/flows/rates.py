"""What began, held against a rate: the excess over rate x time + burst, in any window."""

from __future__ import annotations

from collections.abc import Sequence

from tests.flows.caller import Admission

__all__ = ["excess"]


def excess(
    admissions: Sequence[Admission], rate: float, burst: float, key: str | None = None
) -> float:
    """The largest of all windows; ``key``: of its jobs alone.

    A window is from before the first admission to after the last one, so it is never too short. A
    job that weighs more than the burst begins when the bucket is full, and is paid afterwards.
    """
    events = [
        (one.began, one.ended, weight)
        for one in admissions
        for _, of, weight in one.jobs
        if key is None or of == key
    ]
    worst = 0.0
    for first, (began, _, _) in enumerate(events):
        spent = 0.0
        for _, ended, weight in events[first:]:
            worst = max(worst, spent + min(weight, burst) - rate * (ended - began) - burst)
            spent += weight
    return worst
