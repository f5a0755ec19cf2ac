"""Puts the stories of all jobs together from sorted cursors, one job at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg

from chaos.story import Effect, Enqueue, Run, Story, Version

__all__ = ["stories"]

_VERSIONS = """
select job, seq, extract(epoch from at)::float8 - {offset}, xid::text::bigint, op::text, worker,
       token, position, attempt, crashes, coalesce(errors, 0), coalesce(cancel, false),
       case when run_at < 'infinity' then extract(epoch from run_at)::float8 - {offset} end,
       key, ukey, task, state
from chaos.audit order by job, seq
"""
_ENQUEUES = """
select job, key, kind, y, t0, t1, delay, ukey, dup from chaos.enq where job is not null
order by job, t0
"""
_RUNS = "select job, token, attempt, kind, t0, t1, r, process from chaos.run order by job, t0"
_EFFECTS = """
select job, token, extract(epoch from at)::float8 - {offset} from chaos.effect_tx order by job, at
"""
_PREFETCH = 5000


class _Tape:
    """A sorted cursor, read in step with the others."""

    def __init__(self, cursor: AsyncIterator[Any], make: Callable[..., Any]) -> None:
        self._cursor = cursor
        self._make = make
        self._row: Any = None

    async def begin(self) -> None:
        self._row = await anext(self._cursor, None)

    @property
    def job(self) -> int | None:
        return None if self._row is None else self._row[0]

    async def take(self, job: int, into: list[Any]) -> None:
        """Append all that belongs to this job."""
        row = self._row
        while row is not None and row[0] == job:
            into.append(self._make(*row[1:]))
            row = await anext(self._cursor, None)
        self._row = row


async def stories(connection: asyncpg.Connection, offset: float) -> AsyncIterator[Story]:
    """Yield every job that anything is known of, by id, within one transaction."""
    async with connection.transaction():
        await connection.execute("set local work_mem = '128MB'")
        tapes = [
            _Tape(
                aiter(connection.cursor(text.format(offset=repr(offset)), prefetch=_PREFETCH)), make
            )
            for text, make in (
                (_ENQUEUES, Enqueue),
                (_VERSIONS, Version),
                (_RUNS, Run),
                (_EFFECTS, Effect),
            )
        ]
        for tape in tapes:
            await tape.begin()
        while jobs := [tape.job for tape in tapes if tape.job is not None]:
            story = Story(min(jobs))
            parts = (story.enqueues, story.versions, story.runs, story.effects)
            for tape, into in zip(tapes, parts, strict=True):
                await tape.take(story.job, into)
            yield story
