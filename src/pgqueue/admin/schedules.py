"""What changes schedules: operators who set, pause, resume, run, remove; and what code declares."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgqueue.admin.schedule_rows import need, read_row, row_of
from pgqueue.admin.session import WRITE_SECONDS, writing
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, DatabaseError
from pgqueue.job import Enqueued, JobState, NewJob, envelope
from pgqueue.schedule import change
from pgqueue.schedule.change import Row
from pgqueue.schedule.settings import Spec

if TYPE_CHECKING:
    from asyncpg import Connection

    from pgqueue.schedule.code import Declared

__all__ = [
    "Actor",
    "declare_schedules",
    "pause_schedule",
    "remove_schedule",
    "reset_schedule",
    "resume_schedule",
    "run_schedule",
    "set_schedule",
]

Decide = Callable[[Row, datetime], Row | None]
_HIDDEN = ("args", "metadata", "unique_key")


class Actor:
    """Who changes something: ``name``, by which way (``cli``, ``python``, ``code``), and why."""

    def __init__(self, name: str, via: str, reason: str | None = None) -> None:
        self.name = name
        self.via = via
        self.reason = reason


async def set_schedule(
    connection: Connection, schema: str, name: str, changes: Mapping[str, Any], actor: Actor
) -> bool:
    """Change a schedule, or make one; True if it is new."""
    found = await _change(
        connection, schema, name, lambda row, now: change.settle(row, changes, now),
        actor, "schedule.set",
    )  # fmt: skip
    return not found.exists


async def reset_schedule(connection: Connection, schema: str, name: str, actor: Actor) -> bool:
    """Undo what operators changed of a schedule that code declares; True if anything was."""
    found = await _change(
        connection, schema, name,
        lambda row, now: None if row.declared and not row.changed else change.reset(row, now),
        actor, "schedule.reset", known=True,
    )  # fmt: skip
    return bool(found.changed)


async def pause_schedule(connection: Connection, schema: str, name: str, actor: Actor) -> bool:
    """Stop a schedule, kept over deploys; True if it was not paused."""
    found = await _change(
        connection, schema, name,
        lambda row, _: None if row.paused else replace(row, paused=True),
        actor, "schedule.pause", known=True,
    )  # fmt: skip
    return not found.paused


async def resume_schedule(connection: Connection, schema: str, name: str, actor: Actor) -> bool:
    """Let a schedule fire again, from its next slot on; True if it was paused."""
    found = await _change(
        connection, schema, name,
        lambda row, now: change.resume(row, now) if row.paused else None,
        actor, "schedule.resume", known=True,
    )  # fmt: skip
    return found.paused


async def run_schedule(
    connection: Connection,
    schema: str,
    name: str,
    make: Callable[[Spec], NewJob | None],
    actor: Actor,
) -> Enqueued | None:
    """Enqueue a job of a schedule now, whatever its slots; None if its code wants no job."""
    async with writing(connection, schema, what="run"):
        row, _ = await read_row(connection, schema, name)
        await need(connection, schema, row)
    job = make(row.spec())
    if job is None:
        return None
    # As one that its schedule fires, it is made though the queue is full.
    head, tail = envelope(NewJob(job.task, job.args, {**job.options, "bounded": False}))
    enqueue = statement("enqueue_unique" if "unique" in job.options else "enqueue_jobs", schema)
    async with writing(connection, schema, what="run"):
        (made,) = await connection.fetch(enqueue, f"[{head}{job.args}{tail}]")
        await connection.execute(
            statement("write_audit", schema), actor.name, actor.via, "schedule.run",
            json.dumps({"schedule": name, "job": made["id"]}), actor.reason, 1,
        )  # fmt: skip
    state = JobState(made["state"])
    return Enqueued(made["id"], made["duplicate"], state, made.get("replaced", False))


async def remove_schedule(connection: Connection, schema: str, name: str, actor: Actor) -> None:
    """Delete a schedule; one that the code of a worker declares is refused."""
    async with writing(connection, schema, what="remove"):
        gone = await connection.fetch(
            statement("remove_schedule", schema), name, actor.name, actor.via, actor.reason
        )
        if not gone:
            row, _ = await read_row(connection, schema, name)
            await need(connection, schema, row)
            raise ConfigError(
                f'schedule "{name}" is declared by the code of a worker, and would come back; '
                "pause it, or take it out of the code"
            )


async def declare_schedules(
    connection: Connection, schema: str, declared: Mapping[str, Declared], actor: Actor
) -> list[str]:
    """Write what code declares, where it says anything new; return these names."""
    statements = statement("read_schedules", schema)
    rows = await connection.fetch(statements, sorted(declared))
    new: list[str] = []
    for record in rows:
        settings = declared[record["name"]].settings
        if change.declare(row_of(record), settings, record["now"]) is not None:
            await _change(
                connection, schema, record["name"],
                lambda row, now, settings=settings: change.declare(row, settings, now),
                actor, "schedule.declare", by_code=True,
            )  # fmt: skip
            new.append(record["name"])
    return new


async def _change(
    connection: Connection,
    schema: str,
    name: str,
    decide: Decide,
    actor: Actor,
    action: str,
    *,
    known: bool = False,
    by_code: bool = False,
) -> Row:
    """Change a row as is decided by what is there, until nobody else was first; return that.

    ``known``: it has to be there. A decision that is None changes nothing.
    """
    until = time.monotonic() + WRITE_SECONDS
    while time.monotonic() < until:
        async with writing(connection, schema, what=action):
            row, now = await read_row(connection, schema, name)
            if known:
                await need(connection, schema, row)
            anew = decide(row, now)
            if anew is None or await _write(connection, schema, row, anew, actor, action, by_code):
                return row
    raise DatabaseError(f'schedule "{name}" was changed by others for {WRITE_SECONDS:g} s')


async def _write(
    connection: Connection, schema: str, row: Row, anew: Row, actor: Actor, action: str,
    by_code: bool,
) -> bool:  # fmt: skip
    target = {"schedule": row.name, "before": _shown(row), "after": _shown(anew)}
    return bool(
        await connection.fetch(
            statement("write_schedule", schema), row.name, row.revision, _json(anew.declared),
            _json(anew.changed), anew.next_at, anew.paused, by_code, actor.name, actor.via, action,
            json.dumps(target), actor.reason, row.next_at,
        )
    )  # fmt: skip


def _shown(row: Row) -> dict[str, Any] | None:
    """What a record of changes keeps: not what users put into jobs."""
    if not row.exists and not row.settings:
        return None
    settings = {key: value for key, value in row.settings.items() if key not in _HIDDEN}
    return {**settings, "paused": row.paused}


def _json(settings: Mapping[str, Any] | None) -> str | None:
    return None if settings is None else json.dumps(settings)
