"""SAQ over PostgreSQL."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="saq",
    package="saq",
    about="keeps finished jobs for their ttl of 10 minutes; the enqueue notifies",
    settings="uvloop, concurrency 100, its pool of connections at its default; no bulk call: 64 "
    "enqueues under way at once",
    pace=700,
    unfinished="select count(*) from saq_jobs where status in ('new', 'queued', 'active')",
    knobs={"BENCH_CONCURRENCY": ("100", "50", "200", "500")},
    requires=("saq[postgres]==0.26.*", "uvloop", "psycopg[binary,pool]"),
)
