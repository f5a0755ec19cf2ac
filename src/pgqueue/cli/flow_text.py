"""How flows and their keys are printed, and how their limits are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pgqueue.admin.flow_info import FlowInfo, FlowKey
from pgqueue.cli.output import ago, moment, print_table
from pgqueue.flow.rate import rate_text
from pgqueue.observe.plain import plain

__all__ = ["both_values", "in_force", "limits_of", "print_keys", "tokens"]


def limits_of(settings: Mapping[str, Any]) -> str:
    """Return limits as people say them: "5 at once, 2 a key, 100/s (burst 50)"."""
    parts: list[str] = []
    for prefix, of_key in (("", ""), ("key_", " a key")):
        if settings.get("ordered") and of_key:
            parts.append("in order")
        elif (most := settings.get(f"{prefix}concurrency")) is not None:
            parts.append(f"{most}{of_key or ' at once'}")
        if (rate := settings.get(f"{prefix}rate")) is not None:
            burst = settings.get(f"{prefix}burst")
            saved = "" if burst is None else f" (burst {burst})"
            parts.append(f"{rate_text(rate)}{of_key}{saved}")
    if (most := settings.get("max_waiting")) is not None:
        parts.append(f"{most} a key in line")
    if settings.get("fair"):
        parts.append("keys take turns")
    return ", ".join(parts)


def in_force(flow: FlowInfo) -> str:
    """Return the limits that count."""
    if flow.declared is None and flow.changed is None:
        return "1 at once, as no code declares it"
    return limits_of(flow.settings)


def both_values(flow: FlowInfo) -> list[str]:
    """Say what an operator set in place of what code declares."""
    if flow.declared is None or flow.changed is None:
        return []
    return [
        plain(f'"{flow.name}": {key} is {_value(key, value)}, in code {_value(key, declared)}')
        for key, value in flow.changed.items()
        if (declared := flow.declared.get(key)) != value
    ]


def _value(key: str, value: Any) -> str:
    if value is None:
        return "not set"
    return rate_text(value) if key.endswith("rate") else str(value)


def tokens(left: float | None) -> str:
    """Return what is left of a rate, in whole tokens."""
    return "" if left is None else f"{left:.0f}"


def print_keys(keys: Sequence[FlowKey], *, flow: str, limit: int) -> None:
    """Print a table of keys, and how to see more."""
    print_table(
        ("key", "state", "running", "admitted", "in line", "place", "oldest", "weight", "why"),
        [
            (
                key.key, key.state.value, key.running, key.admitted, key.waiting, key.place,
                ago(key.oldest_seconds), _own(key), _why(key),
            )
            for key in keys
        ],
        empty="no keys",
    )  # fmt: skip
    if len(keys) == limit:
        said = plain(f"there may be more: pgqueue keys {flow} --after {keys[-1].key}")
        click.echo(said, err=True)


def _own(key: FlowKey) -> str:
    parts = [] if key.weight is None else [f"{key.weight:g}"]
    if key.concurrency is not None:
        parts.append(f"({key.concurrency} at once)")
    return " ".join(parts)


def _why(key: FlowKey) -> str:
    if key.held_until is not None and key.paused_at is None:
        return f"until {moment(key.held_until)}"
    return key.reason or (f"by {key.changed_by}" if key.paused_at and key.changed_by else "")
