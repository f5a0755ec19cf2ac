"""What a fire of one schedule writes. Neither server nor clock: the row says what time it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgqueue.job import NewJob, envelope
from pgqueue.schedule.misfire import COUNTED, round_of
from pgqueue.schedule.settings import Spec, read

__all__ = ["Due", "Fire", "fire_of", "said_of_missed"]

Make = Callable[[Spec, datetime | None], NewJob | None]


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule that is due, as find_slots.sql answers it."""

    name: str
    next_at: datetime
    revision: int
    settings: Mapping[str, Any]
    now: datetime

    @property
    def is_computed(self) -> bool:
        """True if code gives the arguments of each slot."""
        return self.settings.get("args", {}) is None


@dataclass(frozen=True, slots=True)
class Fire:
    """``following``: the slot to wait for. ``notes``: what fire_slots.sql is told, as JSON.

    ``missed``: so many slots that were due get no job.
    """

    due: Due
    following: datetime
    notes: str
    missed: int


def fire_of(due: Due, make: Make) -> Fire:
    """Return what to write, with the jobs that ``make`` makes of slots.

    Raises ConfigError or PayloadError where the row makes no job, and what ``make`` raises.
    """
    spec = read(due.name, due.settings)
    found = round_of(spec.when, spec.policy, due.next_at, due.now)
    notes: list[str] = []
    if found.missed:
        notes.append(_note(due.next_at, f',"missed":{found.missed}'))
    for slot in found.slots:
        job = make(spec, slot)
        notes.append(_note(slot, "" if job is None else f',"job":{_document(job)}'))
    return Fire(due, found.next_at, f"[{','.join(notes)}]", found.missed)


def _note(slot: datetime, rest: str) -> str:
    return f'{{"slot":{json.dumps(slot.isoformat())}{rest}}}'


def _document(job: NewJob) -> str:
    head, tail = envelope(job)
    return f"{head}{job.args}{tail}"


def said_of_missed(fire: Fire) -> str:
    """Say that slots got no job."""
    n = f"{fire.missed} slots" if fire.missed > 1 else "1 slot"
    if fire.missed >= COUNTED:
        n = f"{n} or more"
    return (
        f'schedule "{fire.due.name}": {n} from {fire.due.next_at:%Y-%m-%d %H:%M:%SZ} on got no '
        "job, as its misfire policy says"
    )
