"""Reads every job of a database, wherever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.model.model import Job

__all__ = ["FIRST_NEW", "LOOK", "job_of"]

FIRST_NEW = 1000  # ids and positions from here on were handed out after the start
NOBODY: Mapping[int, Any] = {}
LOOK = """
select id, unique_key, 'live' as state, position, attempt, crash_count,
       coalesce(jsonb_array_length(errors), 0) as errors, claim_token, worker_id, cancel_requested,
       quarantined, run_at <= clock_timestamp() as due, false as aged
from @.job
union all
select id, unique_key, 'dead', null, attempt, crash_count, coalesce(jsonb_array_length(errors), 0),
       claim_token, worker_id, false, false, true, false
from @.dead
union all
select id, unique_key, state, null, attempt, crash_count, coalesce(jsonb_array_length(errors), 0),
       claim_token, worker_id, false, false, true, finished_at < '2021-01-01'
from @.history
"""


def job_of(row: Any, holders: Mapping[int, Any] = NOBODY) -> Job:
    """The job as the model has it; ``holders``: other names of workers and tokens."""
    state = row["state"]
    if state == "live":
        state = "pending" if row["position"] is not None else "scheduled"
        state = "running" if row["worker_id"] is not None else state
    place = "" if row["position"] is None else "new" if row["position"] >= FIRST_NEW else "old"
    return Job(
        state=state,
        key=row["unique_key"],
        due=row["due"] or state != "scheduled",
        place="aged" if row["aged"] else place,
        attempt=row["attempt"],
        crashes=row["crash_count"],
        errors=row["errors"],
        token=holders.get(row["claim_token"], row["claim_token"]),
        worker=holders.get(row["worker_id"], row["worker_id"]),
        asked=row["cancel_requested"],
        quarantined=row["quarantined"],
    )
