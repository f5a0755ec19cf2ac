"""The limit of a queue, which workers hold permits of: one worker, with no limit and with two."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, ratio, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain
from pgqueue.client import Client

__all__ = ["run"]

NAME = "flow"
_SLOTS = 100  # what a worker has by default
# Name -> limit, share of the usual number of jobs, target in jobs a second.
_LIMITS: dict[str, tuple[int | None, float, str | None]] = {
    "queue without a limit": (None, 2.0, None),
    "queue with a limit of all slots": (_SLOTS, 2.0, None),
    "queue with limit 1": (1, 0.2, ">= 5,000"),
}


def run(bench: Bench, systems: list[System]) -> list[Row]:
    rows: list[Row] = []
    for name, (limit, share, target) in _LIMITS.items():
        jobs = bench.size(int((bench.jobs or 100_000) * share), 200)

        def turn(system: System, limit: int | None = limit, jobs: int = jobs) -> Window:
            with bench.run(system, jobs) as run:
                if limit is not None:
                    with Client(run.database.dsn) as client:
                        client.queue_limits.set("default", concurrency=limit)
                run.bulk("noop", 0, jobs)
                return drain(run, jobs)

        for system, windows in bench.in_turn(NAME, systems, turn).items():
            rates = [window.rate for window in windows]
            rows.append(row(NAME, system, name, rates, "jobs/s", target, f"{jobs:,} jobs"))
    all_slots, none = "queue with a limit of all slots", "queue without a limit"
    return rows + ratio(rows, "queue with a limit of all slots / none", all_slots, none, ">= 0.9")
