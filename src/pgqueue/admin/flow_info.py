"""What operators are told about flows."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from pgqueue.admin.info import Count

__all__ = ["FlowInfo", "FlowKey", "FlowState", "FlowUsage"]


class FlowState(enum.StrEnum):
    """Whether jobs of a flow, or of a key, are admitted: of an ``ACTIVE`` one they are.

    ``PAUSED``: an operator stopped it, or a dead job halted the key of an ordered flow. ``HELD``: a
    server asked for a break, which goes on. ``UNKNOWN``: nobody has said what its limits are; it
    runs one job at a time.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    HELD = "held"
    UNKNOWN = "unknown"


class FlowInfo(msgspec.Struct, frozen=True):
    """A flow, by its ``name``, with its ``state``.

    ``admitted``: jobs that hold a slot; ``running``: those of them that a worker has. ``waiting``:
    jobs in line, of so many ``keys``; ``oldest_seconds``: for how long the first of them has
    waited. ``tokens``: what is left of its rate; None without a rate; below 0 where jobs used more
    than they weigh. ``paused_keys``: keys that stand still. ``paused_at``, ``held_until``: since
    when it is paused, until when it is held. ``changed_at``, ``changed_by``: when and by whom it
    was changed last.
    ``settings``: the limits that count. ``declared``: what code says; ``changed``: what an operator
    set in its place. Rates in them are jobs a second.
    """

    name: str
    state: FlowState
    admitted: Count
    running: Count
    waiting: Count
    keys: Count
    oldest_seconds: float | None
    tokens: float | None
    paused_keys: int
    paused_at: datetime | None
    held_until: datetime | None
    changed_at: datetime | None
    changed_by: str | None
    settings: Mapping[str, Any]
    declared: Mapping[str, Any] | None
    changed: Mapping[str, Any] | None


class FlowKey(msgspec.Struct, frozen=True):
    """A ``key`` of a flow, with its ``state``; the key of a flow without keys is empty.

    ``admitted``, ``running``, ``waiting``, ``oldest_seconds``, ``tokens``, ``held_until``,
    ``changed_at`` and ``changed_by``: as ``FlowInfo`` has them. ``place``: so many keys have their
    turn up to its own; None: it has no turn now, or more than 1,000 are before it. ``paused_at``,
    ``reason``: since when it stands still, and why. ``concurrency``, ``weight``: what an operator
    set for it; None: as for all keys. ``used_today``: what its jobs used since midnight in UTC,
    where they say so.
    """

    key: str
    state: FlowState
    admitted: Count
    running: Count
    waiting: Count
    oldest_seconds: float | None
    place: int | None
    tokens: float | None
    concurrency: int | None
    weight: float | None
    paused_at: datetime | None
    reason: str | None
    held_until: datetime | None
    changed_at: datetime | None
    changed_by: str | None
    used_today: float


class FlowUsage(msgspec.Struct, frozen=True):
    """What ``jobs`` of a ``key`` that said so ``used`` on a ``day`` in UTC."""

    key: str
    day: date
    jobs: int
    used: float
