"""When the job table is vacuumed, and how soon again. Neither server nor clock."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Seen", "VacuumTimings", "is_needed", "wait_after"]


@dataclass(frozen=True, slots=True)
class VacuumTimings:
    """When the job table is vacuumed, and how soon again."""

    least: int = 100_000  # dead rows: 60 MB of jobs with little in them
    share: float = 0.2  # and so many for each live one: their index entries are read as well
    hold: float = 60.0  # nobody else begins one for so long; two at once would skip each other
    rest: float = 2.0  # times as long as it took: it takes a third of the time at most
    left: float = 0.5  # if more of the dead rows are left, some old snapshot keeps them
    kept_after: float = 30.0  # then it is tried again, later each time
    kept_rest: float = 20.0  # and after so many times as long as it took
    kept_most: float = 600.0

    def __post_init__(self) -> None:
        assert self.rest < self.kept_rest
        assert self.kept_after < self.kept_most


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server says of the job table.

    ``dead``, ``live``: rows. ``may``: whether this role may vacuum it. ``due_in``: seconds until
    somebody is to look; None: never.
    """

    dead: int
    live: int
    may: bool
    due_in: float | None


def is_needed(timings: VacuumTimings, seen: Seen) -> bool:
    """True if there are so many dead rows that a vacuum is worth what it costs."""
    return seen.dead >= max(timings.least, timings.share * seen.live)


def wait_after(
    timings: VacuumTimings, before: int, after: int, took: float, last: float
) -> tuple[float, bool]:
    """Return the seconds until the next vacuum, and whether the dead rows were kept.

    ``before``, ``after``: dead rows. ``last``: the wait after the last one, if that found them kept
    too, else 0. Nothing can be removed while an old snapshot may still see it, or while somebody
    else vacuums.
    """
    if after <= timings.left * before:
        return timings.rest * took, False
    wait = max(timings.kept_after, 2 * last, timings.kept_rest * took)
    return min(wait, timings.kept_most), True
