"""What an operator's change does to a flow, or to one of its keys.

It wins over code, is kept over deploys, and ends with a reset. None in place of a limit: there is
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pgqueue.config import check_int
from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.flow.settings import check_settings

__all__ = ["FlowRow", "KeyRow", "check_changes", "check_key_changes", "settle", "settle_key"]

Settings = Mapping[str, Any]

_LIMITS = (
    "concurrency", "key_concurrency", "rate", "burst", "key_rate", "key_burst", "max_waiting",
)  # fmt: skip
_OF_KEY = ("concurrency", "weight")
_HEAVIEST = 1_000_000.0


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow as it is stored. ``held``: a server asked for a break, which goes on."""

    name: str
    declared: Settings | None = None
    changed: Settings | None = None
    paused: bool = False
    held: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What counts: what an operator changed goes before what code declares."""
        return {**(self.declared or {}), **(self.changed or {})}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What is said of a key of a flow; None: what holds for all keys."""

    concurrency: int | None = None
    weight: float | None = None
    paused: bool = False
    held: bool = False


def check_changes(given: Mapping[str, object]) -> dict[str, Any]:
    """Return limits of a flow as they are stored; raises ConfigError for what is none."""
    for name in given:
        if name == "weight":
            raise ConfigError("weight is of a key; give key as well")
        if name not in _LIMITS:
            raise ConfigError(
                f'an operator sets no "{name}" of a flow{nearest(name, _LIMITS)}'
                if name not in ("fair", "ordered", "on_dead")
                else f"{name} is set in code alone, by Flow({name}=...)"
            )
    return {
        name: None if value is None else check_settings({name: value})[name]
        for name, value in given.items()
    }


def check_key_changes(given: Mapping[str, object]) -> dict[str, Any]:
    """Return what a key has of its own; raises ConfigError for what it cannot have."""
    out: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _OF_KEY:
            raise ConfigError(
                f'a key has no "{name}" of its own{nearest(name, _OF_KEY)}; it may have '
                "concurrency and weight"
            )
        if name == "weight" and value is not None:
            out[name] = _weight(value)
        else:
            out[name] = None if value is None else check_int(value, name, 1, 1_000_000)
    return out


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"weight of a key must be a number, got {shown(value)}")
    if not 0.001 <= value <= _HEAVIEST:
        raise ConfigError(f"weight of a key must be from 0.001 to 1000000, got {shown(value)}")
    return float(value)


def settle(row: FlowRow, changes: Settings) -> FlowRow:
    """Return a flow with the changes; raises ConfigError where they make no sense together."""
    anew = replace(row, changed={**(row.changed or {}), **changes})
    has = anew.settings
    for burst, rate in (("burst", "rate"), ("key_burst", "key_rate")):
        if changes.get(burst) is not None and has.get(rate) is None:
            raise ConfigError(
                f'flow "{row.name}" has no {rate}, so {burst} means nothing; give both'
            )
    if has.get("ordered") and changes.get("key_concurrency", 1) != 1:
        raise ConfigError(
            f'flow "{row.name}" is ordered: it runs one job of a key at a time; '
            "key_concurrency cannot change that"
        )
    return anew


def settle_key(flow: FlowRow, row: KeyRow, changes: Settings) -> KeyRow:
    """Return a key of a flow with the changes; raises ConfigError where they make no sense."""
    if flow.settings.get("ordered") and changes.get("concurrency") not in (None, 1):
        raise ConfigError(
            f'flow "{flow.name}" is ordered: it runs one job of a key at a time; '
            "concurrency cannot change that"
        )
    return replace(row, **changes)
