"""Wall clocks and instants: what a clock shows, and what that is where it jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pgqueue.errors import ConfigError, nearest, shown

__all__ = [
    "check_zone",
    "exists",
    "instant_of",
    "jump_at",
    "offset",
    "transition",
    "zone_of",
]

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def check_zone(name: object) -> str:
    """Return the name of a time zone that this machine knows, such as ``Europe/Berlin``."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"zone must be a name such as 'Europe/Berlin', got {shown(name)}")
    zone_of(name)
    return name


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name; Python keeps it. Raises ConfigError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        guess = nearest(name, known) if known else "; this machine knows none: pip install tzdata"
        raise ConfigError(f'no time zone is named "{name}"{guess}') from None


def offset(at: datetime, zone: tzinfo) -> timedelta:
    """Return how far the clock of the zone is ahead of UTC at an instant."""
    shift = at.astimezone(zone).utcoffset()
    assert shift is not None
    return shift


def exists(wall: datetime, zone: tzinfo) -> bool:
    """Return False if the clock of the zone skips this wall time."""
    seen = wall.replace(tzinfo=zone, fold=0).astimezone(UTC).astimezone(zone)
    return seen.replace(tzinfo=None, fold=0) == wall


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a wall time.

    The first one where the clock shows it twice; the end of the gap where it skips it.
    """
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if exists(wall, zone):
        return at
    # In a gap, fold=0 reads with the offset before it and fold=1 with the one after.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change(before, at, zone)


def transition(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the first instant after ``start``, up to ``end``, with another offset; or None."""
    old, low = offset(start, zone), start
    while low < end:
        high = min(low + _DAY, end)
        if offset(high, zone) != old:
            return _change(low, high, zone)
        low = high
    return None


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the instant between the two, whole seconds both, at which the offset changes."""
    old = offset(low, zone)
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if offset(middle, zone) == old:
            low = middle
        else:
            high = middle
    return high


def jump_at(at: datetime, zone: tzinfo) -> str:
    """Say what the clock of the zone does about this instant; empty if it goes on."""
    local = at.astimezone(zone)
    before = local.replace(fold=1 - local.fold).astimezone(UTC)
    if offset(at - _SECOND, zone) < offset(at, zone):
        return "the clock has just skipped some time"
    if before != at and exists(local.replace(tzinfo=None, fold=0), zone):
        return "the clock shows this time twice; this is the " + ("second", "first")[not local.fold]
    return ""
