"""Which slots get a job at a fire, where some or many are late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pgqueue.schedule.when import When, newest

__all__ = ["COUNTED", "Misfire", "Policy", "Round", "round_of"]

Misfire = Literal["last", "skip", "all"]
"""``last``: one job, for the newest slot that is due. ``skip``: jobs for the slots that are not
late. ``all``: jobs for all slots that are due."""

COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """``most``: so many jobs at a fire; the newest slots get them.

    ``grace``: a slot that is older is late.
    """

    misfire: Misfire = "last"
    most: int = 100
    grace: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Round:
    """What one fire does: ``slots`` that get a job, oldest first, and the next one to wait for.

    ``missed``: due slots without a job, counted up to COUNTED.
    """

    slots: tuple[datetime, ...]
    next_at: datetime
    missed: int


def round_of(when: When, policy: Policy, next_at: datetime, now: datetime) -> Round:
    """Return what a fire does at ``now``, where ``next_at`` is the oldest slot that is due.

    That one counts as a slot, whatever the time zones of this machine say of it by now.
    """
    if now < next_at:
        return Round((), next_at, 0)
    match policy.misfire:
        case "last":
            slots = newest(when, next_at, now, 1)
        case "all":
            slots = newest(when, next_at, now, policy.most)
        case "skip":
            late = now - policy.grace
            slots = [slot for slot in newest(when, next_at, now, policy.most) if slot >= late]
    until = slots[0] if slots else now
    return Round(tuple(slots), when.following(now), _count(when, next_at, until))


def _count(when: When, first: datetime, until: datetime) -> int:
    """Count the slots from ``first`` to before ``until``, up to COUNTED."""
    n = 0
    while first < until and n < COUNTED:
        n += 1
        first = when.following(first)
    return n
