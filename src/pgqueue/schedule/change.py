"""What a change does to a schedule: what code declares, what an operator says, pause and resume.

An operator's change wins over code, is kept over deploys, and ends with a reset. Slots of a pause
are never due. The time is the database's, and is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pgqueue.errors import ConfigError
from pgqueue.schedule.settings import Spec, read

__all__ = ["FORGOTTEN_SECONDS", "Row", "declare", "reset", "resume", "settle"]

Settings = Mapping[str, Any]

FORGOTTEN_SECONDS = 86_400.0
"""A schedule that no code declared for so long begins anew: what it missed is not made up."""


@dataclass(frozen=True, slots=True)
class Row:
    """A schedule as it is stored. ``revision``: 0 if it is not. ``orphaned``: for how long."""

    name: str
    next_at: datetime | None
    revision: int = 0
    declared: Settings | None = None
    changed: Settings | None = None
    paused: bool = False
    orphaned: float | None = None

    @property
    def exists(self) -> bool:
        """True if there is such a schedule."""
        return self.revision > 0

    @property
    def settings(self) -> dict[str, Any]:
        """What counts: what an operator changed goes before what code declares."""
        return {**(self.declared or {}), **(self.changed or {})}

    def spec(self) -> Spec:
        """Read what counts; raises ConfigError where it makes no schedule."""
        return read(self.name, self.settings)


def declare(row: Row, settings: Settings, now: datetime) -> Row | None:
    """Return the row once code declares these settings; None if it says so already."""
    if row.declared == settings and row.orphaned is None:
        return None
    forgotten = row.orphaned is not None and row.orphaned > FORGOTTEN_SECONDS
    anew = replace(row, declared=settings, orphaned=None)
    return _timed(row, anew, now, afresh=forgotten)


def settle(row: Row, changes: Settings, now: datetime) -> Row:
    """Return the row with what an operator changes; raises ConfigError where it makes none."""
    changed = {**(row.changed or {}), **changes}
    if row.declared is None:
        changed.setdefault("args", {})
    elif "task" in changes and changed.get("args", row.declared.get("args")) is None:
        raise ConfigError(
            f'schedule "{row.name}": code gives its arguments, for its own task; give args as well'
        )
    return _timed(row, replace(row, changed=changed), now)


def reset(row: Row, now: datetime) -> Row:
    """Return the row as code declares it."""
    if row.declared is None:
        raise ConfigError(
            f'schedule "{row.name}" is not declared by code, so there is nothing to reset it to'
        )
    return _timed(row, replace(row, changed=None), now)


def resume(row: Row, now: datetime) -> Row:
    """Return the row without its pause: it waits for the first slot after now."""
    return replace(row, paused=False, next_at=row.spec().when.following(now))


def _timed(row: Row, anew: Row, now: datetime, *, afresh: bool = False) -> Row:
    """Keep the next slot where the times stay as they are; else count from now."""
    spec = anew.spec()
    if not afresh and row.next_at is not None and _times(row) == _times(anew):
        return anew
    return replace(anew, next_at=spec.when.following(now))


def _times(row: Row) -> tuple[object, object]:
    settings = row.settings
    return settings.get("when"), settings.get("zone", "UTC")
