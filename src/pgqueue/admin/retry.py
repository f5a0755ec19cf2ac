"""Makes jobs ready: those that wait for later, those that were cancelled, those that are dead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgqueue.admin.info import RetryResult
from pgqueue.admin.session import writing
from pgqueue.admin.states import find_states
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["redrive", "retry"]

_ROUNDS = 3
# Which statement makes a job of this state ready.
_RETRY = {"scheduled": "ready_jobs", "dead": "redrive_jobs", "cancelled": "revive_jobs"}
_REDRIVE = {"dead": "redrive_jobs"}


async def retry(connection: Connection, schema: str, ids: Sequence[int]) -> list[RetryResult]:
    """Make jobs ready now, given in ascending order, and say what became of each."""
    return await _make_ready(connection, schema, ids, _RETRY, "retry")


async def redrive(connection: Connection, schema: str, ids: Sequence[int]) -> list[RetryResult]:
    """Make dead jobs ready again, given in ascending order, and say what became of each."""
    return await _make_ready(connection, schema, ids, _REDRIVE, "redrive")


async def _make_ready(
    connection: Connection, schema: str, ids: Sequence[int], moves: dict[str, str], what: str
) -> list[RetryResult]:
    done: dict[int, RetryResult] = {}
    queues: set[str] = set()
    states: dict[int, tuple[str, int | None]] = {}
    async with writing(connection, schema, what=what):
        # A job can change its place between the statements; then it is looked for anew.
        for _ in range(_ROUNDS):
            for name in moves.values():
                left = [job_id for job_id in ids if job_id not in done]
                for row in await connection.fetch(statement(name, schema), left):
                    done[row["id"]] = RetryResult(row["id"], "pending", changed=True)
                    queues.add(row["queue"])
            states = await find_states(connection, schema, set(ids) - done.keys())
            moved_meanwhile = False
            for job_id, (state, holder) in states.items():
                if state in moves and holder is None:
                    moved_meanwhile = True
                else:
                    done[job_id] = RetryResult(
                        job_id, state, changed=False, holder=holder if state in moves else None
                    )
            if not moved_meanwhile:
                break
        if queues:
            await connection.execute(statement("wake_queues", schema), sorted(queues))
    # What kept changing hands for all the rounds is where it was seen last.
    for job_id, (state, holder) in states.items():
        done.setdefault(job_id, RetryResult(job_id, state, changed=False, holder=holder))
    return [done.get(job_id) or RetryResult(job_id, "missing", changed=False) for job_id in ids]
