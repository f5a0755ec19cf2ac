"""Procrastinate, settings from its how-to on concurrency."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="procrastinate",
    package="procrastinate",
    about="keeps finished jobs and an event for each step of theirs; fetches one job at a time; "
    "the enqueue notifies in its transaction",
    settings="uvloop, psycopg pool of 20, concurrency 20, LISTEN, jobs kept (its how-to on "
    "concurrency); batch_defer_async in batches of 10,000; "
    "for flows a lock for each key, which only lets one job run at a time",
    pace=500,
    unfinished="select count(*) from procrastinate_jobs where status in ('todo', 'doing')",
    workloads=("drain", "bulk", "single", "latency", "io", "idle", "fleet", "flow"),
    knobs={"BENCH_CONCURRENCY": ("20", "10", "50", "100")},
    requires=("procrastinate==3.*", "uvloop", "psycopg[binary]"),
)
