"""The verdict on a run, read from the rows that it left."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pgqueue.demo.measure import measure
from pgqueue.demo.statements import sql

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Sample", "Verdict", "check_run", "compare_sample"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of check_run.sql, which says what each means."""

    files: int
    enqueued: int
    completed: int
    retried: int
    dead: int
    rescued: int
    lost: int
    doubled: int
    exactly_once: bool
    held: int
    run_again: int
    started_twice: int
    rescue_seconds: float | None
    slots: int
    slots_once: bool
    unreadable: int
    bytes: int
    lines: int
    compressed: int
    seconds: float | None

    @property
    def jobs_per_second(self) -> float | None:
        """Jobs completed, from the first row enqueued to the last result written."""
        return self.completed / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class Sample:
    """Files that were read again: ``changed`` since, and ``wrong``, unlike their result."""

    read: int
    changed: int
    wrong: int


async def check_run(connection: Connection) -> Verdict:
    """Ask the database what became of each file."""
    row = await connection.fetchrow(sql("check_run"))
    assert row is not None
    return Verdict(**{field.name: row[field.name] for field in fields(Verdict)})


async def compare_sample(connection: Connection, *, began: float, size: int = 100) -> Sample:
    """Read some files again and compare them with their results; ``began`` is in Unix seconds."""
    rows = await connection.fetch(sql("sample_results"), size)
    return await asyncio.to_thread(_compare, [(row["path"], row["digest"]) for row in rows], began)


def _compare(results: list[tuple[str, bytes]], began: float) -> Sample:
    changed = wrong = 0
    for path, digest in results:
        try:
            same = measure(path).digest == digest
            touched = os.stat(path).st_mtime >= began
        except OSError:
            same, touched = False, True
        changed += not same and touched
        wrong += not same and not touched
    return Sample(len(results), changed, wrong)
