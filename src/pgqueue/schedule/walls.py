"""The wall times that an expression matches, on a clock that never jumps.

``cronsim`` reads the expression, and says of a day whether it matches. It finds the next day by
looking at each, which takes long for the fifth Monday of a month. Which days of a month match
depends only on its length and on the weekday of its first; so they are looked at once.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pgqueue.schedule.grammar import six_fields

__all__ = ["Walls", "walls_of"]

_SECOND = timedelta(seconds=1)
_YEARS = 50

Layout = tuple[int, int]
Time = tuple[int, int, int]


@functools.lru_cache(maxsize=1024)
def walls_of(expression: str) -> Walls:
    """Read a checked expression, which takes longer than to find a slot."""
    from cronsim import CronSim

    read = CronSim(six_fields(expression), datetime(1970, 1, 1))
    return Walls(
        months=tuple(sorted(read.months)),
        hours=tuple(sorted(read.hours)),
        minutes=tuple(sorted(read.minutes)),
        seconds=tuple(sorted(read.seconds)),
        matches=read.match_day,
    )


@dataclass(frozen=True, slots=True)
class Walls:
    """What each field allows, in order. ``matches`` looks at a day, ``looks`` keeps what it said.

    ``looks``: by the weekday of the first day of a month and by its length, the days that match.
    """

    months: tuple[int, ...]
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    matches: Callable[[date], bool]
    looks: dict[Layout, tuple[int, ...]] = field(default_factory=dict[Layout, tuple[int, ...]])

    def after(self, wall: datetime) -> datetime:
        """Return the first matching time after another. Raises LookupError if none comes."""
        wall += _SECOND
        year, month = wall.year, wall.month
        days = self._days(year, month) if month in self.months else ()
        n = bisect_left(days, wall.day)
        if n < len(days) and days[n] == wall.day:
            time = self._time(wall.hour, wall.minute, wall.second)
            if time is not None:
                return datetime(year, month, wall.day, *time)
            n += 1
        while n >= len(days):
            year, month = self._next_month(year, month)
            if year > wall.year + _YEARS:
                raise LookupError(f"nothing matches in {_YEARS} years")
            days, n = self._days(year, month), 0
        return datetime(year, month, days[n], self.hours[0], self.minutes[0], self.seconds[0])

    def _next_month(self, year: int, month: int) -> tuple[int, int]:
        n = bisect_left(self.months, month + 1)
        return (year, self.months[n]) if n < len(self.months) else (year + 1, self.months[0])

    def _days(self, year: int, month: int) -> tuple[int, ...]:
        layout = monthrange(year, month)
        days = self.looks.get(layout)
        if days is None:
            every = range(1, layout[1] + 1)
            days = tuple(day for day in every if self.matches(date(year, month, day)))
            self.looks[layout] = days
        return days

    def _time(self, hour: int, minute: int, second: int) -> Time | None:
        """Return the first time of a day from this one on; None if that day has none left."""
        hours, minutes, seconds = self.hours, self.minutes, self.seconds
        h = bisect_left(hours, hour)
        if h < len(hours) and hours[h] == hour:
            m = bisect_left(minutes, minute)
            if m < len(minutes) and minutes[m] == minute:
                s = bisect_left(seconds, second)
                if s < len(seconds):
                    return hour, minute, seconds[s]
                m += 1
            if m < len(minutes):
                return hour, minutes[m], seconds[0]
            h += 1
        return (hours[h], minutes[0], seconds[0]) if h < len(hours) else None
