"""What operators are told about schedules."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

__all__ = ["ScheduleFire", "ScheduleInfo", "ScheduleSlot", "ScheduleState"]


class ScheduleState(enum.StrEnum):
    """Whether a schedule fires: an ``ACTIVE`` one does, a ``PAUSED`` one does not.

    ``ORPHANED``: declared by code once, and by the code of no worker now; it does not fire.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    ORPHANED = "orphaned"


class ScheduleInfo(msgspec.Struct, frozen=True):
    """A schedule, by its ``name``, with its ``state``.

    ``task``, ``queue`` (None for the task's), ``when`` (the expression or the interval, for people)
    and ``zone`` say what it does. ``next_at``: its next slot; ``late_seconds``: for how long that
    has been due; ``fired_at``: when it fired last. ``in_code``: whether code declares it;
    ``workers``: of how many workers. ``paused_at``: since when it is paused. ``changed_at``,
    ``changed_by``: when and by whom it was changed last.
    ``settings``: what counts. ``declared``: what code says, None for a row alone. ``changed``: what
    an operator set in its place. All three without arguments, metadata and unique keys.
    """

    name: str
    state: ScheduleState
    task: str
    queue: str | None
    when: str
    zone: str
    next_at: datetime
    late_seconds: float
    fired_at: datetime | None
    in_code: bool
    workers: int
    paused_at: datetime | None
    changed_at: datetime | None
    changed_by: str | None
    settings: Mapping[str, Any]
    declared: Mapping[str, Any] | None
    changed: Mapping[str, Any] | None


class ScheduleSlot(msgspec.Struct, frozen=True):
    """A slot to come, ``at`` this moment. ``due_at``: when its job is due, with jitter.

    ``wall``: the slot on the clock of the schedule's zone. ``note``: where that clock jumps.
    """

    at: datetime
    due_at: datetime
    wall: datetime
    note: str


class ScheduleFire(msgspec.Struct, frozen=True):
    """A ``slot`` that is over. ``at``: when it fired. ``job_id``: its job, None if it got none.

    ``duplicate``: a job with the unique key was there, and the slot got no other. ``missed``: so
    many slots from here on got no job, as the misfire policy says.
    """

    slot: datetime
    at: datetime
    job_id: int | None
    duplicate: bool
    missed: int
