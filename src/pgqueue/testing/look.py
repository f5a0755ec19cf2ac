"""The jobs that wait or run, as the test's own transaction sees them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pgqueue.admin.info import JobInfo
from pgqueue.admin.rows import job_info
from pgqueue.testing.wire import Wire

__all__ = ["live_jobs"]

_MOST = 1_000
_TIMES = ("run_at", "enqueued_at", "claimed_at")


async def live_jobs(wire: Wire, above_id: int = 0) -> list[JobInfo]:
    """Return the newest thousand of them, the oldest first."""
    rows = await wire.rows("list_live_jobs", above_id, _MOST)
    return [_job(json.loads(text)) for (text,) in reversed(rows)]


def _job(row: dict[str, Any]) -> JobInfo:
    for name in _TIMES:
        row[name] = None if row[name] is None else datetime.fromisoformat(row[name])
    return job_info(row)
