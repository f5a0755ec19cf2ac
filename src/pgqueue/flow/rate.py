"""A rate as people write it: "100/s", "60/min", "1000/h", "5/day"."""

from __future__ import annotations

import math
import re

from pgqueue.errors import ConfigError, shown

__all__ = ["rate_per_second", "rate_text"]

_SECONDS = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
}  # fmt: skip
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/([a-z]+)")
_FASTEST = 1_000_000.0


def rate_per_second(text: object, what: str = "rate") -> float:
    """Return how many a second a rate such as "100/s", "60/min", "1000/h" or "5/day" allows.

    Raises ConfigError for what is no rate, and for one of nothing or of more than a million a
    second.
    """
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _SECONDS:
        raise ConfigError(
            f'{what} must be text such as "100/s", "60/min", "1000/h" or "5/day", got {shown(text)}'
        )
    rate = float(match[1]) / _SECONDS[match[2]]
    if not 0 < rate <= _FASTEST:
        raise ConfigError(f'{what} must be above 0 and at most 1000000/s, got "{text}"')
    return rate


def rate_text(rate: float) -> str:
    """Return a rate as people write it, in the shortest unit in which it is a whole number."""
    for unit in ("s", "min", "h", "day"):
        many = rate * _SECONDS[unit]
        if many >= 1 and math.isclose(many, round(many), rel_tol=1e-9):
            return f"{round(many)}/{unit}"
    return f"{rate:g}/s"
