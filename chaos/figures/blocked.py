"""An async handler that blocks the event loop for a minute."""

from __future__ import annotations

import time

from chaos.figures.place import Bench
from chaos.figures.row import Row
from tests.harness.waiting import wait_until

__all__ = ["blocked"]

_SECONDS = 60.0
_JOBS = 20
_WARNING = "the event loop has been blocked"


def blocked(bench: Bench) -> list[Row]:
    """Others stand by to take the jobs away; and the log is watched for where the loop is."""
    seconds = _SECONDS if not bench.quick else 20.0
    with bench.place("blocked") as place, place.host(processes=1) as host:
        host.until_ready()
        gate, jobs = place.held(_JOBS)
        place.until_begun(jobs)
        # What else this process has claimed has to wait for it, and stays its own.
        blocker = place.enqueue("block", seconds=seconds)
        begun = place.until_begun([blocker])[blocker].at
        with place.host() as other:
            wait_until(lambda: _WARNING in host.log(), timeout_s=30.0, what="a warning")
            warned = time.monotonic() - begun
            other.until_ready()
            states = place.until_finished([blocker], timeout_s=seconds + 30.0)
            place.open(gate)
            states |= place.until_finished(jobs)
        where = host.log().partition(_WARNING)[2]
        shown = "jobs.py" in where and "in block" in where
        moved = sum(len(events) > 1 for events in place.trace.begins(states).values())
        attempts = place.rows("select count(*) from pgqueue.jobs where attempt > 1")[0][0]
    return [
        Row(
            figure=f"event loop blocked for {seconds:g} s: jobs taken away",
            value=max(moved, attempts, sum(s != "completed" for s in states.values())),
            unit="jobs",
            target=0,
        ),
        Row(
            figure="event loop blocked: a warning shows where after",
            value=warned if shown else None,
            unit="s",
            target=2.0,
            note="" if shown else "the warning does not show the handler",
        ),
    ]
