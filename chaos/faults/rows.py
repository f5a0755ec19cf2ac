"""Rows that somebody changes by hand, as no program of ours would. F51."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Missed, direct, healed, wait_for

if TYPE_CHECKING:
    from asyncpg import Connection

    from chaos.arena import Arena

__all__ = ["StrayClaim", "Unreadable"]

_READY = """
select job.id, worker.id as worker
from pgqueue.job join pgqueue.worker on job.queue = any (worker.queues) and not worker.stopping
where job.position is not null and job.worker_id is null and job.task in ('noop', 'nap')
order by job.position, worker.id
limit 1 for update of job skip locked
"""
_CLAIM = f"""
with ready as ({_READY})
update pgqueue.job
set worker_id = ready.worker, claim_token = $1, claimed_at = clock_timestamp(),
    attempt = attempt + 1
from ready where job.id = ready.id
returning job.id
"""
_SPOIL = f"""
with ready as ({_READY})
update pgqueue.job set run_at = '0044-03-15 BC' from ready where job.id = ready.id
returning job.id
"""
_PATIENCE = 10.0
_DEAD_SECONDS = 30.0


async def _changed(own: Connection, sql: str, *args: object) -> int:
    """Change a job that waits, as soon as there is one; return its id."""
    job = await wait_for(lambda: own.fetchval(sql, *args), seconds=_PATIENCE)
    if job is None:
        raise Missed("no job waits")
    return int(job)


class StrayClaim(BaseFault):
    """A job is laid to a worker's account that does not know of it: as by a claim whose answer
    nobody could read."""

    name = "stray-claim"
    label = "F51"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            job = await _changed(own, _CLAIM, arena.rng.getrandbits(62))
        arena.log("stray", job=job)


class Unreadable(BaseFault):
    """A row is made that the driver cannot read; it ends dead, and its neighbours do not wait."""

    name = "unreadable"
    label = "F51"
    disruptive = 15.0  # jobs are claimed one by one for ten seconds

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            job = await _changed(own, _SPOIL)
        arena.log("unreadable", job=job)
        dead = "select reason from pgqueue.dead where id = $1"
        gone = f"select exists ({dead}) or not exists (select from pgqueue.job where id = $1)"
        try:
            async with direct(arena) as own:
                if not await wait_for(lambda: own.fetchval(gone, job), seconds=_DEAD_SECONDS):
                    raise AssertionError(f"job {job} cannot be read, and is not dead")
                arena.log("buried", job=job, reason=await own.fetchval(dead, job))
        finally:
            # An operator may redrive it.
            await asyncio.shield(
                healed(
                    arena,
                    f"update pgqueue.job set enqueued_at = now() where id = {job}",
                    f"update pgqueue.dead set enqueued_at = now() where id = {job}",
                )
            )
