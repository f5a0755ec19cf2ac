"""Cancels jobs: at once where they wait, by a request to the worker where they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgqueue.admin.results import CancelResult
from pgqueue.admin.session import writing
from pgqueue.admin.states import find_states
from pgqueue.admin.wake import wake_flows
from pgqueue.db.statements import statement
from pgqueue.job import JobState

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["cancel"]

_ROUNDS = 3
_LIVE = frozenset(state for state in JobState if not state.is_final)


async def cancel(connection: Connection, schema: str, ids: Sequence[int]) -> list[CancelResult]:
    """Cancel jobs, given in ascending order, and say what became of each."""
    import asyncpg

    if not ids:
        return []
    try:
        return await _cancel(connection, schema, ids)
    except asyncpg.CheckViolationError:
        # History has no partition for today: no worker was up to make it.
        async with writing(connection, schema, what="making a partition of history"):
            await connection.execute(statement("ensure_history", schema))
        return await _cancel(connection, schema, ids)


async def _cancel(connection: Connection, schema: str, ids: Sequence[int]) -> list[CancelResult]:
    done: dict[int, CancelResult] = {}
    async with writing(connection, schema, what="cancel"):
        # A job can become live between the two statements, when another operator retries it.
        for _ in range(_ROUNDS):
            open_ids = [job_id for job_id in ids if job_id not in done]
            rows = await connection.fetch(statement("cancel_jobs", schema), open_ids)
            await wake_flows(connection, schema, (row for row in rows if not row["running"]))
            for row in rows:
                if row["running"]:
                    result = CancelResult(row["id"], "requested", not row["asked_before"])
                else:
                    result = CancelResult(row["id"], "cancelled", changed=True)
                done[row["id"]] = result
            states = await find_states(connection, schema, set(open_ids) - done.keys())
            for job_id, (state, _) in states.items():
                if state not in _LIVE:
                    done[job_id] = CancelResult(job_id, state, changed=False)
            if all(state not in _LIVE for state, _ in states.values()):
                break
        if any(result.state == "requested" for result in done.values()):
            await connection.execute(statement("announce_cancel", schema))
    return [done.get(job_id) or CancelResult(job_id, "missing", changed=False) for job_id in ids]
