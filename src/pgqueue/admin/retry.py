"""Makes jobs ready: those that wait for later, those that were cancelled, those that are dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pgqueue.admin.results import RetryResult
from pgqueue.admin.session import repeated, writing
from pgqueue.admin.states import find_states
from pgqueue.admin.wake import wake_flows
from pgqueue.db.statements import statement
from pgqueue.job import MOVES, JobState

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["redrive", "retry"]

_ROUNDS = 3
# Which statement makes a job of this state ready.
_RETRY = {"scheduled": "ready_jobs", "dead": "redrive_jobs", "cancelled": "revive_jobs"}
_REDRIVE = {"dead": "redrive_jobs"}
assert all(JobState.PENDING in MOVES[JobState(state)] for state in {**_RETRY, **_REDRIVE})


async def retry(connection: Connection, schema: str, ids: Sequence[int]) -> list[RetryResult]:
    """Make jobs ready now, given in ascending order, and say what became of each."""
    return await _make_ready(connection, schema, ids, _RETRY, "retry")


async def redrive(connection: Connection, schema: str, ids: Sequence[int]) -> list[RetryResult]:
    """Make dead jobs ready again, given in ascending order, and say what became of each."""
    return await _make_ready(connection, schema, ids, _REDRIVE, "redrive")


async def _make_ready(
    connection: Connection, schema: str, ids: Sequence[int], moves: dict[str, str], what: str
) -> list[RetryResult]:
    """Look where the jobs are, move each kind, and look again for what moved meanwhile.

    A transaction for each kind. Each statement takes unique keys in their order, but two of them
    in one transaction do not, and a bulk enqueue of the same keys could deadlock with that.
    Each is repeated by itself: if all were, what the first ones moved would count as not moved.
    """
    done: dict[int, RetryResult] = {}
    for _ in range(_ROUNDS):
        states = await _look(connection, schema, set(ids) - done.keys(), what)
        kinds: dict[str, list[int]] = {}
        for job_id, (state, holder) in sorted(states.items()):
            if state in moves and holder is None:
                kinds.setdefault(moves[state], []).append(job_id)
            else:
                done[job_id] = _left(job_id, state, holder if state in moves else None)
        if not kinds:
            break
        for name, which in kinds.items():
            moved = await _move(connection, schema, name, which, what)
            done |= {job_id: RetryResult(job_id, state, changed=True) for job_id, state in moved}
    else:
        # What kept changing hands for all the rounds is where it is seen last.
        states = await _look(connection, schema, set(ids) - done.keys(), what)
        done |= {job_id: _left(job_id, *found) for job_id, found in states.items()}
    return [done.get(job_id) or RetryResult(job_id, "missing", changed=False) for job_id in ids]


def _left(job_id: int, state: str, holder: int | None) -> RetryResult:
    return RetryResult(job_id, state, changed=False, holder=holder)


async def _look(
    connection: Connection, schema: str, ids: Iterable[int], what: str
) -> dict[int, tuple[str, int | None]]:
    async def look() -> dict[int, tuple[str, int | None]]:
        async with writing(connection, schema, what=what):
            return await find_states(connection, schema, ids)

    return await repeated(look, what)


async def _move(
    connection: Connection, schema: str, name: str, ids: Sequence[int], what: str
) -> list[tuple[int, str]]:
    """Make jobs of one kind ready, and wake their queues; return id and state of each."""

    async def move() -> list[tuple[int, str]]:
        async with writing(connection, schema, what=what):
            rows = await connection.fetch(statement(name, schema), ids)
            if queues := sorted({row["queue"] for row in rows if row["flow"] is None}):
                await connection.execute(statement("wake_queues", schema), queues)
            await wake_flows(connection, schema, rows)
        return [(row["id"], "pending" if row["flow"] is None else "blocked") for row in rows]

    return await repeated(move, what)
