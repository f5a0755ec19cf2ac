"""What operators look at: all schedules, the slots to come, the last fires."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgqueue.admin.schedule_info import ScheduleFire, ScheduleInfo, ScheduleSlot, ScheduleState
from pgqueue.admin.schedule_rows import need, object_of, read_row, row_of
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement
from pgqueue.schedule.when import slots_after
from pgqueue.schedule.zone import jump_at, zone_of

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["list_schedules", "preview_schedule", "schedule_fires"]


async def list_schedules(connection: Connection, schema: str) -> list[ScheduleInfo]:
    """Return every schedule, by name."""
    async with reading(connection, schema, what="listing the schedules", advice="try again"):
        rows = await connection.fetch(statement("list_schedules", schema))
    return [_info(row) for row in rows]


def _info(row: Record) -> ScheduleInfo:
    settings, when = json.loads(row["settings"]), "?"
    if isinstance(settings.get("when"), dict):
        when = _when(settings["when"])
    orphaned = row["orphaned_at"] is not None or (
        row["in_code"] and row["staffed"] and not row["declared_by"]
    )
    state = ScheduleState.ORPHANED if orphaned else ScheduleState.ACTIVE
    active = state is ScheduleState.ACTIVE and row["paused_at"] is None
    late = (row["now"] - row["next_at"]).total_seconds()
    return ScheduleInfo(
        name=row["name"],
        state=ScheduleState.PAUSED if row["paused_at"] is not None else state,
        task=str(settings.get("task", "?")),
        queue=settings.get("queue"),
        when=when,
        zone=settings.get("zone", "UTC"),
        next_at=row["next_at"],
        late_seconds=max(0.0, late) if active else 0.0,
        fired_at=row["fired_at"],
        in_code=row["in_code"],
        workers=row["declared_by"],
        paused_at=row["paused_at"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        settings=settings,
        declared=object_of(row["declared"]),
        changed=object_of(row["changed"]),
    )


def _when(when: Mapping[str, Any]) -> str:
    return str(when["cron"]) if "cron" in when else f"every {when.get('every', 0):g} s"


async def preview_schedule(
    connection: Connection, schema: str, name: str, count: int
) -> list[ScheduleSlot]:
    """Return the next slots. One that is due already is the first of them."""
    async with reading(connection, schema, what="the preview", advice="try again"):
        row, now = await read_row(connection, schema, name)
        await need(connection, schema, row)
    spec = row.spec()
    slots = slots_after(spec.when, now, count)
    if not row.paused and row.next_at is not None and row.next_at <= now:
        slots = [row.next_at, *slots][:count]
    zone = zone_of(spec.zone)
    return [
        ScheduleSlot(slot, spec.due_at(slot), slot.astimezone(zone), jump_at(slot, zone))
        for slot in slots
    ]


async def schedule_fires(connection: Connection, schema: str, name: str) -> list[ScheduleFire]:
    """Return the last fires of a schedule, the newest first."""
    async with reading(connection, schema, what="the history", advice="try again"):
        (record,) = await connection.fetch(statement("read_schedules", schema), [name])
        await need(connection, schema, row_of(record))
    return [
        ScheduleFire(
            slot=datetime.fromisoformat(fire["slot"]),
            at=datetime.fromisoformat(fire["at"]),
            job_id=fire.get("job"),
            duplicate=bool(fire.get("duplicate")),
            missed=fire.get("missed", 0),
        )
        for fire in json.loads(record["fires"])
    ]
