"""The limits of a flow as the table ``flow`` stores them, checked when they come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pgqueue.config import check_int
from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.flow.rate import rate_per_second

__all__ = ["OnDead", "check_settings"]

OnDead = Literal["halt", "skip"]
"""What becomes of a line in order once a job of it is dead: ``halt``: it stands still until
somebody resumes it. ``skip``: the next job runs."""

_MOST = 1_000_000


def _number(what: str) -> Callable[[object], int]:
    return lambda value: check_int(value, what, 1, _MOST)


def _yes(what: str) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{what} must be True or False, got {shown(value)}")
        return value

    return check


def _on_dead(value: object) -> object:
    if value not in ("halt", "skip"):
        raise ConfigError(f"on_dead must be 'halt' or 'skip', got {shown(value)}")
    return value


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "concurrency": _number("concurrency"),
    "key_concurrency": _number("key_concurrency"),
    "rate": lambda value: rate_per_second(value, "rate"),
    "burst": _number("burst"),
    "key_rate": lambda value: rate_per_second(value, "key_rate"),
    "key_burst": _number("key_burst"),
    "fair": _yes("fair"),
    "ordered": _yes("ordered"),
    "on_dead": _on_dead,
    "max_waiting": _number("max_waiting"),
}


def check_settings(given: Mapping[str, object]) -> dict[str, Any]:
    """Return limits as they are stored, of those that were given; refuse what is wrong.

    Rates become jobs a second. What only makes sense with another one is not looked at here: that
    one may be stored already.
    """
    out: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _CHECKS:
            raise ConfigError(f'a flow takes no "{name}"{nearest(name, _CHECKS)}')
        out[name] = _CHECKS[name](value)
    return out
