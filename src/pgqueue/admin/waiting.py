"""Why a live job does not run: what is known of it and of the workers, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pgqueue.admin.in_line import Line, line_reasons, read_line
from pgqueue.admin.session import reading
from pgqueue.db.statements import statement
from pgqueue.failure import MISFIT

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["AHEAD_BOUND", "Facts", "reasons", "why_waiting"]

AHEAD_BOUND = 1_000
"""No more jobs than this are counted before the one that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one look has seen. ``due_in``: seconds, None if it is not due by itself.

    Of the live workers, some are ``serving`` its queue; of these, some are ``knowing`` its task; of
    these, some are ``free``. ``misfits``: how many workers in a row could not read its arguments.
    ``line``: what keeps a job of a flow in line. ``concurrency``: the limit of its queue, of which
    workers hold so many ``permits``. ``token_in``: seconds until the rate of its queue lets the
    next job begin.
    """

    state: str
    queue: str
    task: str
    attempt: int
    max_attempts: int
    cancel_requested: bool
    due_in: float | None
    expired: bool
    paused_at: datetime | None
    ahead: int
    live: int
    serving: int
    knowing: int
    free: int
    misfits: int = 0
    line: Line | None = None
    concurrency: int | None = None
    permits: int = 0
    token_in: float | None = None


def reasons(facts: Facts) -> tuple[str, ...]:
    """Return what keeps the job from running, a sentence each; none if it runs."""
    if facts.state == "running":
        return ()
    found = [*_of_the_job(facts), *_of_the_fleet(facts)]
    if not found and facts.state == "pending":
        found = _in_line(facts)
    return tuple(found)


def _of_the_job(facts: Facts) -> list[str]:
    found: list[str] = []
    if facts.cancel_requested:
        found.append("its cancellation was asked for: whoever takes it ends it")
    if facts.expired:
        found.append("it has expired: it is cancelled when a worker takes it")
    if facts.line is not None:
        found += line_reasons(facts.line)
    elif facts.state == "blocked":
        found.append("its run_at is infinity, so it never comes due")
    if facts.misfits:
        found.append("its arguments did not fit the last worker that had it: it waits for another")
    if facts.state == "scheduled" and facts.due_in is not None:
        found.append(_due(facts, facts.due_in))
    return found


def _due(facts: Facts, due_in: float) -> str:
    if due_in <= 0:
        return f"it has been due for {-due_in:.0f} s, and no worker has made it ready yet"
    again = f", for attempt {facts.attempt + 1} of {facts.max_attempts}" if facts.attempt else ""
    return f"it is due in {due_in:.0f} s{again}"


def _of_the_fleet(facts: Facts) -> list[str]:
    if facts.paused_at is not None:
        return [f'queue "{facts.queue}" was paused at {facts.paused_at.isoformat(" ", "seconds")}']
    if not facts.live:
        return ["no live worker"]
    if not facts.serving:
        return [f'no live worker serves queue "{facts.queue}"']
    if not facts.knowing:
        return [f'no live worker that serves queue "{facts.queue}" knows task "{facts.task}"']
    return []


def _of_the_limits(facts: Facts) -> list[str]:
    found: list[str] = []
    if facts.concurrency is not None and facts.permits >= facts.concurrency:
        found.append(
            f'queue "{facts.queue}" is at its limit: workers hold {facts.permits} of '
            f"{facts.concurrency} permits"
        )
    if facts.token_in is not None and facts.token_in > 0:
        found.append(
            f'the rate of queue "{facts.queue}" lets the next job begin in {facts.token_in:.1f} s'
        )
    return found


def _in_line(facts: Facts) -> list[str]:
    found = _of_the_limits(facts)
    if facts.ahead >= AHEAD_BOUND:
        found.append(f'at least {facts.ahead} jobs are before it in queue "{facts.queue}"')
    elif facts.ahead:
        jobs = "1 job is" if facts.ahead == 1 else f"{facts.ahead} jobs are"
        found.append(f'{jobs} before it in queue "{facts.queue}"')
    if not facts.free:
        busy = "the one worker" if facts.knowing == 1 else f"all {facts.knowing} workers"
        found.append(f"{busy} that could run it {'is' if facts.knowing == 1 else 'are'} busy")
    return found or ["it is next: a free worker takes it at once"]


async def why_waiting(connection: Connection, schema: str, job_id: int) -> tuple[str, ...]:
    """Return the reasons; none for a job that runs, is over, or is not there."""
    async with reading(connection, schema, what="the look-up", advice="try again"):
        row = await connection.fetchrow(statement("explain_job", schema), job_id, AHEAD_BOUND)
        if row is None:
            return ()
        misfits = 0
        if await connection.fetchval(statement("may_read_errors", schema)):
            misfits = await connection.fetchval(statement("count_misfits", schema), job_id, MISFIT)
        line = await read_line(connection, schema, job_id) if row["state"] == "blocked" else None
    return reasons(Facts(**row, misfits=misfits or 0, line=line))
