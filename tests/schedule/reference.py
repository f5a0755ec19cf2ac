"""The slots of a cron expression by brute force: each minute of a few days is looked at.

It shares nothing with the code under test but Python's zoneinfo. A set of minutes is a number with
a bit for each, so that an expression takes a few operations however many minutes match.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
EDGE = timedelta(days=2)

# Each zone with days on which its clock does something odd.
ODD_DAYS = {
    "Africa/Cairo": [(2027, 4, 30), (2027, 10, 29)],
    "Africa/Casablanca": [(2027, 2, 7), (2027, 3, 14)],
    "America/Havana": [(2027, 3, 14), (2027, 11, 7)],
    "America/New_York": [(2027, 3, 14), (2027, 11, 7)],
    "America/Santiago": [(2027, 4, 4), (2027, 9, 5)],
    "America/Sao_Paulo": [(2018, 11, 4), (2019, 2, 17)],
    "Antarctica/Troll": [(2027, 3, 28), (2027, 10, 31)],
    "Asia/Beirut": [(2027, 3, 28), (2027, 10, 31)],
    "Asia/Gaza": [(2027, 4, 3)],
    "Asia/Kathmandu": [(2027, 1, 1)],
    "Australia/Lord_Howe": [(2027, 4, 4), (2027, 10, 3)],
    "Europe/Berlin": [(2027, 3, 28), (2027, 10, 31)],
    "Europe/Dublin": [(2027, 3, 28), (2027, 10, 31)],
    "Europe/London": [(2027, 3, 28), (2027, 10, 31)],
    "Pacific/Apia": [(2011, 12, 30)],
    "UTC": [(2027, 3, 28)],
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def field(text: str, low: int, high: int) -> set[int]:
    """The numbers that a field names."""
    found: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        if body == "*":
            first, last = low, high
        elif "-" in body:
            first, last = (int(end) for end in body.split("-"))
        else:
            first = int(body)
            last = high if step else first
        found |= set(range(first, last + 1, int(step or 1)))
    return found


@dataclass(frozen=True)
class Walls:
    """Some minutes in order; for each field, which of them show which number."""

    times: list[datetime]
    shows: tuple[dict[int, int], ...]

    @staticmethod
    def of(times: list[datetime], walls: list[datetime]) -> Walls:
        shows: tuple[dict[int, int], ...] = ({}, {}, {}, {}, {})
        for n, wall in enumerate(walls):
            weekday = (wall.weekday() + 1) % 7
            numbers = (wall.minute, wall.hour, wall.day, wall.month, weekday)
            for bits, number in zip(shows, numbers, strict=True):
                bits[number] = bits.get(number, 0) | 1 << n
        return Walls(times, shows)

    def matching(self, expression: str) -> list[datetime]:
        texts = expression.split()
        masks: list[int] = []
        for text, bound, bits in zip(texts, BOUNDS, self.shows, strict=True):
            numbers = field(text, *bound)
            if bound == (0, 7):
                numbers = {number % 7 for number in numbers}
            masks.append(functools.reduce(int.__or__, (bits.get(n, 0) for n in numbers), 0))
        minute, hour, day, month, weekday = masks
        both = texts[2].startswith("*") or texts[4].startswith("*")
        found = minute & hour & month & (day & weekday if both else day | weekday)
        times: list[datetime] = []
        while found:
            lowest = found & -found
            times.append(self.times[lowest.bit_length() - 1])
            found ^= lowest
        return times


@dataclass(frozen=True)
class Days:
    """Four days of one zone."""

    zone: str
    start: datetime
    end: datetime
    instants: Walls
    walls: Walls

    def slots(self, expression: str) -> list[datetime]:
        minute, hour = expression.split()[:2]
        each = minute.startswith("*") or hour.startswith("*")
        found = (self.instants if each else self.walls).matching(expression)
        return sorted({at for at in found if self.start <= at < self.end})


@functools.cache
def days_of(zone_name: str, day: tuple[int, int, int]) -> Days:
    zone = ZoneInfo(zone_name)
    start = datetime(*day, tzinfo=UTC) - EDGE
    end = start + 2 * EDGE
    minutes = [start + n * MINUTE for n in range((end - start) // MINUTE)]
    instants = Walls.of(minutes, [at.astimezone(zone).replace(tzinfo=None) for at in minutes])
    begin = start.astimezone(zone).replace(tzinfo=None) - EDGE
    walls = [begin + n * MINUTE for n in range((end - start + 2 * EDGE) // MINUTE)]
    # From the back: what is skipped falls on the next wall time that is shown.
    at: list[datetime] = []
    shown: datetime | None = None
    for wall in reversed(walls):
        first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if first.astimezone(zone).replace(tzinfo=None) == wall:
            shown = first
        at.append(shown or first)
    return Days(zone_name, start, end, instants, Walls.of(at[::-1], walls))


def every_days() -> list[Days]:
    return [days_of(zone, day) for zone, days in ODD_DAYS.items() for day in days]


def random_expression(rng: random.Random) -> str:
    """Five fields. Most name few numbers, so that the hours of a change are met often."""
    return " ".join(_random_field(rng, *bound) for bound in BOUNDS)


def _random_field(rng: random.Random, low: int, high: int) -> str:
    wide = high > 23
    kinds = ["*", "*/n", "a", "a", "a,b", "a-b", "a-b/n", "a/n"]
    if high in (31, 12, 7):
        kinds += ["*"] * 12  # else most expressions never match within four days
    a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
    if high == 23 and rng.random() < 0.6:
        a, b = sorted((rng.randint(0, 4), rng.randint(0, 4)))
    n = rng.randint(2, 20 if wide else 6)
    match rng.choice(kinds):
        case "*":
            return "*"
        case "*/n":
            return f"*/{n}"
        case "a":
            return f"{a}"
        case "a,b":
            return f"{b},{a}"
        case "a-b":
            return f"{a}-{b}"
        case "a-b/n":
            return f"{a}-{b}/{n}" if a < b else f"{a}"
        case _:
            return f"{a}/{n}"
