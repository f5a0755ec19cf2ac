"""The limits of a queue: what programmers and operators write, and what is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from pgqueue.config import check_int, check_queue
from pgqueue.errors import ConfigError, nearest
from pgqueue.flow.rate import rate_per_second

__all__ = [
    "KEYS",
    "DeclaredQueues",
    "Limits",
    "QueueLimitOptions",
    "check_limits",
    "check_together",
]

_BURST_SECONDS = 0.1
_MOST = 1_000_000
_DEEPEST = 10_000_000


class QueueLimitOptions(TypedDict, total=False):
    """The limits of a queue, for the whole fleet. None: there is no such limit.

    ``concurrency``: how many of its jobs run at once. ``rate``: how many begin in a time, as
    "100/s" or "1000/min". ``burst``: how many of these may begin at the same moment; by default
    what the rate gives in a tenth of a second, and 1 at the least. ``max_depth``: how many of its
    jobs may be ready and wait for a worker; then an enqueue raises QueueFull, within a second.
    """

    concurrency: int | None
    rate: str | None
    burst: int | None
    max_depth: int | None


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "concurrency": lambda value: check_int(value, "concurrency", 1, _MOST),
    "rate": rate_per_second,
    "burst": lambda value: check_int(value, "burst", 1, _MOST),
    "max_depth": lambda value: check_int(value, "max_depth", 1, _DEEPEST),
}
KEYS = tuple(_CHECKS)
"""The settings of a queue."""


def check_limits(given: Mapping[str, object]) -> dict[str, Any]:
    """Return limits as they are stored, of those that were given; refuse what is wrong."""
    out: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _CHECKS:
            raise ConfigError(f'a queue takes no "{name}"{nearest(name, _CHECKS)}')
        out[name] = None if value is None else _CHECKS[name](value)
    return out


def check_together(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError where stored limits do not go together."""
    if settings.get("burst") is not None and settings.get("rate") is None:
        raise ConfigError("burst needs a rate: it says how many may begin at the same moment")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one queue that count. ``rate``: jobs a second. ``burst``: 0 without a rate."""

    concurrency: int | None = None
    rate: float | None = None
    burst: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Limits:
        """Read stored settings."""
        rate, burst = settings.get("rate"), settings.get("burst")
        if rate is None:
            return cls(settings.get("concurrency"))
        if burst is None:
            burst = max(1, math.floor(rate * _BURST_SECONDS))
        return cls(settings.get("concurrency"), rate, burst)

    def __bool__(self) -> bool:
        return self.concurrency is not None or self.rate is not None


class DeclaredQueues:
    """The queues that an app declares, each with its settings as they are stored."""

    def __init__(self) -> None:
        self._declared: dict[str, dict[str, Any]] = {}

    def add(self, name: str, given: Mapping[str, object]) -> None:
        """Enter a queue; raises ConfigError for what cannot be, and for two that differ."""
        check_queue(name)
        settings = {key: value for key, value in check_limits(given).items() if value is not None}
        check_together(settings)
        if self._declared.setdefault(name, settings) != settings:
            raise ConfigError(f'queue "{name}" is declared twice, with different settings')

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return iter(sorted(self._declared.items()))

    def __len__(self) -> int:
        return len(self._declared)
