"""The slots of a schedule: the instants at which it fires. All instants are aware, in UTC.

A cron expression is matched against the wall clock of its zone. One whose minute and hour are both
fixed (neither begins with ``*``) fires once for each matching wall time: where the clock repeats
it, at its first occurrence; where the clock skips it, at the first instant after the gap; what
falls on one instant fires once. One whose minute or hour begins with ``*`` fires at each instant
whose wall time matches: twice where it is repeated, not at all where it is skipped. An interval
knows no zone: it counts from its anchor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from pgqueue.schedule.grammar import follows_clock
from pgqueue.schedule.walls import walls_of
from pgqueue.schedule.zone import instant_of, offset, transition, zone_of

__all__ = ["EPOCH", "Cron", "Every", "When", "newest", "slots_after"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
_SINCE_A_JUMP = timedelta(hours=26)  # the widest jump is a day: Samoa left one out


class When(Protocol):
    """What has slots."""

    def following(self, after: datetime) -> datetime:
        """Return the first slot after an instant."""
        ...


@dataclass(frozen=True, slots=True)
class Cron:
    """``expression``: checked. ``zone``: its name."""

    expression: str
    zone: str

    def following(self, after: datetime) -> datetime:
        """Return the first slot after an instant; slots are whole seconds."""
        whole = after.astimezone(UTC).replace(microsecond=0)
        if follows_clock(self.expression):
            return self._of_clock(whole)
        return self._of_walls(whole)

    def _of_clock(self, at: datetime) -> datetime:
        """One turn for each stretch in which the offset stays as it is."""
        zone, walls, margin = zone_of(self.zone), walls_of(self.expression), timedelta(0)
        while True:
            shift = offset(at, zone)
            wall = (at + shift).replace(tzinfo=None) - margin
            found = walls.after(wall).replace(tzinfo=UTC) - shift
            change = transition(at, found, zone)
            if change is None:
                return found
            at, margin = change, _SECOND  # the instant of the change may match itself

    def _of_walls(self, after: datetime) -> datetime:
        zone = zone_of(self.zone)
        wall = after.astimezone(zone).replace(tzinfo=None, fold=0)
        if offset(after - _SINCE_A_JUMP, zone) != offset(after, zone):
            wall -= _SINCE_A_JUMP  # a wall time before may be an instant after
        walls = walls_of(self.expression)
        while True:
            wall = walls.after(wall)
            if (at := instant_of(wall, zone)) > after:
                return at


@dataclass(frozen=True, slots=True)
class Every:
    """``span``: a second or more. Slots are its multiples, counted from ``anchor`` both ways."""

    span: timedelta
    anchor: datetime = EPOCH

    def following(self, after: datetime) -> datetime:
        """Return the first slot after an instant."""
        return self.anchor + ((after - self.anchor) // self.span + 1) * self.span


def slots_after(when: When, after: datetime, most: int) -> list[datetime]:
    """Return the next slots after an instant."""
    return list(islice(_slots(when, after), most))


def _slots(when: When, after: datetime) -> Iterator[datetime]:
    while True:
        after = when.following(after)
        yield after


def newest(when: When, first: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the newest slots from the slot ``first`` up to ``until``, at most so many, in order.

    It takes time by their number alone, however long ago ``first`` is.
    """
    found: list[datetime] = []
    while until >= first and len(found) < most:
        slot = _last(when, first, until)
        found.append(slot)
        until = slot - _TICK
    return found[::-1]


def _last(when: When, first: datetime, until: datetime) -> datetime:
    """Return the last slot up to ``until``, which is not before the slot ``first``."""
    span, high = _SECOND, until
    while (low := until - span) > first and when.following(low) > until:
        span, high = 2 * span, low
    if low <= first:
        low = first
        if when.following(first) > until:
            return first
    while high - low > _SECOND:
        middle = low + (high - low) / 2
        if when.following(middle) > until:
            high = middle
        else:
            low = middle
    return when.following(low)
