"""The rules for schedules (I13): each slot has its job, once, and no slot is early or passed over.

They read the versions of each schedule, and the slots of the jobs that each transaction made. The
schedules of the campaign are such that their slots are multiples of some seconds since 1970.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from chaos.findings import Findings
from chaos.world import World

__all__ = ["ScheduleVersion", "Slot", "check_slots", "judge_schedules", "period_of"]

_LATE_SECONDS = 10.0
_TICK = 1e-3  # instants are compared as floats
_EACH = re.compile(r"\*(?:/(\d+))? \* \* \* \* \*")

_VERSIONS = """
select name, extract(epoch from at)::float8 as at, xid::text::bigint as xid, op::text as op,
       extract(epoch from next_at)::float8 as next_at,
       extract(epoch from fired_at)::float8 as fired_at, paused, settings::text as settings
from chaos.schedule order by name, seq
"""
_SLOTS = """
select distinct xid::text::bigint, job, name, extract(epoch from slot)::float8 from chaos.slot
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """The job that a transaction made for a slot; ``at`` is None if somebody asked for it."""

    xid: int
    job: int
    name: str
    at: float | None


@dataclass(frozen=True, slots=True)
class ScheduleVersion:
    """A line of the audit; all times are the server's, in s since 1970."""

    name: str
    at: float
    xid: int
    op: str
    next_at: float
    fired_at: float | None
    paused: bool
    settings: Mapping[str, Any] = field(default_factory=dict)


async def check_slots(
    connection: asyncpg.Connection, offset: float, world: World, findings: Findings
) -> frozenset[int]:
    """Apply the rules to all schedules; return the jobs that these made."""
    versions = [
        ScheduleVersion(**{**row, "settings": json.loads(row["settings"])})
        for row in await connection.fetch(_VERSIONS)
    ]
    slots = [Slot(*row) for row in await connection.fetch(_SLOTS)]
    if world.honest_clocks:
        judge_schedules(versions, slots, offset, world, findings)
    return frozenset(slot.job for slot in slots)


def judge_schedules(
    versions: Iterable[ScheduleVersion],
    slots: Sequence[Slot],
    offset: float,
    world: World,
    findings: Findings,
) -> None:
    """Judge schedules by their versions, in order, and by the slots that got jobs."""
    judge = _Judge(slots, offset, world, findings)
    for _, group in itertools.groupby(versions, key=lambda version: version.name):
        for before, after in itertools.pairwise(group):
            if before.op != "d":
                judge.step(before, after)
    judge.end()


def period_of(settings: Mapping[str, Any]) -> int:
    """Return the seconds of which the slots are multiples."""
    when = settings["when"]
    if "every" in when:
        return int(when["every"])
    match = _EACH.fullmatch(when["cron"])
    assert match is not None, f"the checker does not know the slots of {when}"
    return int(match.group(1) or 1)


class _Judge:
    def __init__(
        self, slots: Sequence[Slot], offset: float, world: World, findings: Findings
    ) -> None:
        self.offset = offset
        self.world = world
        self.findings = findings
        self.made: dict[tuple[str, int], list[float]] = {}
        self.jobs: dict[tuple[str, float], set[int]] = {}
        for slot in slots:
            if slot.at is not None:
                self.jobs.setdefault((slot.name, slot.at), set()).add(slot.job)
        seen: set[int] = set()
        for slot in sorted(slots, key=lambda slot: slot.xid):
            if slot.at is not None and slot.job not in seen:  # a redrive enters it again
                seen.add(slot.job)
                self.made.setdefault((slot.name, slot.xid), []).append(slot.at)

    def wrong(self, name: str, text: str) -> None:
        self.findings.violate("I13", f'schedule "{name}": {text}')

    def step(self, before: ScheduleVersion, after: ScheduleVersion) -> None:
        """Judge a change: a fire, or what an operator or code did."""
        self.soon(before, after)
        if after.fired_at != before.fired_at:
            self.fire(before, after, sorted(self.made.pop((after.name, after.xid), [])))
        elif after.op != "d" and after.next_at != before.next_at:
            resumed = before.paused and not after.paused
            if not resumed and before.settings.get("when") == after.settings.get("when"):
                self.wrong(after.name, f"the slot {before.next_at:.0f} was passed over")
            self.counts_on(after)

    def soon(self, before: ScheduleVersion, after: ScheduleVersion) -> None:
        """Nothing is due for long, away from faults."""
        late = after.at - before.next_at
        if before.paused or late <= 0:
            return
        due = before.next_at - self.offset
        if self.world.faults.meet(due - 1.0, after.at - self.offset):
            return
        self.findings.max_fire = max(self.findings.max_fire, late)
        if late > _LATE_SECONDS:
            self.wrong(after.name, f"the slot {before.next_at:.0f} waited for {late:.1f} s")

    def fire(self, before: ScheduleVersion, after: ScheduleVersion, made: list[float]) -> None:
        """Those that were due have jobs, as the policy says, and no others have."""
        if before.paused:
            self.wrong(after.name, "it fired while it was paused")
        self.counts_on(after)
        period = period_of(before.settings)
        n = round((after.next_at - before.next_at) / period)
        due = [before.next_at + turn * period for turn in range(n)]
        self.findings.counts["slots"] += len(made)
        self.findings.counts["slots missed"] += len(due) - len(made)
        if not due or due[-1] > after.at + _TICK:
            self.wrong(after.name, f"it fired at {after.at:.3f}, before {before.next_at:.0f}")
        for slot in made:
            if not any(abs(slot - one) < _TICK for one in due):
                self.wrong(after.name, f"{slot:.3f} got a job, and was not due")
        least, most = _wanted(before.settings, due, after.at)
        if not least <= len(made) <= most or (made and abs(made[-1] - due[-1]) > _TICK):
            self.wrong(
                after.name,
                f"of {len(due)} slots from {before.next_at:.0f} on {len(made)} got jobs, "
                f"not {least}{f' to {most}' if most > least else ''}",
            )

    def counts_on(self, after: ScheduleVersion) -> None:
        """The next slot is the first one that was not due yet."""
        period = period_of(after.settings)
        off = abs(after.next_at / period - round(after.next_at / period)) * period
        if off > _TICK or after.next_at - period > after.at + _TICK:
            self.wrong(after.name, f"it waits for {after.next_at:.3f} since {after.at:.3f}")

    def end(self) -> None:
        """Each job of a slot came of a fire, and each slot has one."""
        for name, _ in self.made:
            self.wrong(name, "a job was made for a slot, and nobody fired")
        for (name, at), jobs in self.jobs.items():
            if len(jobs) > 1:
                self.wrong(name, f"{len(jobs)} jobs were made for the slot {at:.0f}: {jobs}")


def _wanted(settings: Mapping[str, Any], due: list[float], at: float) -> tuple[int, int]:
    """Return how many of the slots that are due get jobs: at least, at most.

    The server said what time it was after the newest of them, and before ``at``.
    """
    if not due:
        return 0, 0
    most = min(len(due), settings.get("misfire_most", 100))
    match settings.get("misfire", "last"):
        case "last":
            return 1, 1
        case "all":
            return most, most
        case _:
            grace = settings.get("grace", 60.0)
            least = sum(slot >= at - grace for slot in due)
            newest = math.nextafter(due[-1], 0.0) - grace
            return min(least, most), min(sum(slot >= newest for slot in due), most)
